--@include queue_state
--@include split_key
--@include release_parent
-- Tells a parent that a child has failed for good. What follows is written in the child's
-- `parent` field: fail the parent, go on without the child, ignore it, forget it, or nothing.
local function child_failed(q, parent_key, parent, child_key, reason, now)
  local read, flags = pcall(cjson.decode, parent or '{}')
  if not read or type(flags) ~= 'table' or not (flags.fpof or flags.cpof or flags.idof or flags.rdof) then
    return
  end
  if redis.call('SREM', parent_key .. ':dependencies', child_key) == 0 then
    return
  end
  local base, id = split_key(parent_key)
  local p = base == q.base and q or queue_state(base)
  local exists = redis.call('EXISTS', parent_key) == 1
  if flags.fpof then
    redis.call('ZADD', parent_key .. ':unsuccessful', now, child_key)
    if not exists then
      return
    end
    local why = 'child ' .. child_key .. ' failed'
    if redis.call('ZSCORE', base .. 'waiting-children', id) then
      redis.call('HSET', parent_key, 'defa', why)
      release_parent(p, id, now)
    elseif redis.call('ZREM', base .. 'delayed', id) == 1 then
      redis.call('HSET', parent_key, 'defa', why, 'delay', 0)
      make_ready(p, id, tonumber(redis.call('HGET', parent_key, 'priority') or '') or 0, true)
      emit(p, 'waiting', 'jobId', id, 'prev', 'waiting-children')
    elseif not redis.call('ZSCORE', base .. 'failed', id) then
      redis.call('HSET', parent_key, 'defa', why)
    end
  elseif flags.cpof then
    redis.call('HSET', parent_key .. ':failed', child_key, reason)
    if exists then
      release_parent(p, id, now)
    end
  else
    if exists and redis.call('SCARD', parent_key .. ':dependencies') == 0 then
      release_parent(p, id, now)
    end
    if flags.idof then
      redis.call('HSET', parent_key .. ':failed', child_key, reason)
    end
  end
end
