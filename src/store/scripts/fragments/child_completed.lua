--@include queue_state
--@include split_key
--@include release_parent
-- Tells a parent that a child is done: its value is kept, and the last child releases it.
local function child_completed(q, parent_key, child_key, value, now)
  if redis.call('SREM', parent_key .. ':dependencies', child_key) == 0 then
    return
  end
  redis.call('HSET', parent_key .. ':processed', child_key, value)
  if redis.call('EXISTS', parent_key) == 1 and redis.call('SCARD', parent_key .. ':dependencies') == 0 then
    local base, id = split_key(parent_key)
    release_parent(base == q.base and q or queue_state(base), id, now)
  end
end
