--@include queue_state
--@include split_key
--@include release_parent
-- Lets a parent go on that waits for children, when none is pending.
local function release_if_free(q, parent_key, now)
  if redis.call('SCARD', parent_key .. ':dependencies') == 0 and redis.call('EXISTS', parent_key) == 1 then
    local base, id = split_key(parent_key)
    release_parent(base == q.base and q or queue_state(base), id, now)
  end
end
