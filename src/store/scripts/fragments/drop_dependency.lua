--@include release_if_free
-- A child goes away without having finished its parent's wait: the parent forgets it, and the
-- last one forgotten releases it.
local function drop_dependency(q, parent_key, child_key, now)
  if redis.call('SREM', parent_key .. ':dependencies', child_key) == 1 then
    release_if_free(q, parent_key, now)
  end
end
