--@include release_if_free
-- Tells a parent that a child is done: its value is kept, and the last child releases it.
local function child_completed(q, parent_key, child_key, value, now)
  if redis.call('SREM', parent_key .. ':dependencies', child_key) == 1 then
    redis.call('HSET', parent_key .. ':processed', child_key, value)
    release_if_free(q, parent_key, now)
  end
end
