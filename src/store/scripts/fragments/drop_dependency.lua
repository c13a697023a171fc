--@include queue_state
--@include split_key
--@include release_parent
-- A child goes away without having finished its parent's wait: the parent forgets it, and the
-- last one forgotten releases it.
local function drop_dependency(q, parent_key, child_key, now)
  if redis.call('SREM', parent_key .. ':dependencies', child_key) == 1
    and redis.call('EXISTS', parent_key) == 1
    and redis.call('SCARD', parent_key .. ':dependencies') == 0 then
    local base, id = split_key(parent_key)
    release_parent(base == q.base and q or queue_state(base), id, now)
  end
end
