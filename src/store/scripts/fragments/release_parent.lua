--@include emit
--@include mark_delayed
--@include make_ready
-- Lets a parent go on that waits for its children: to delayed when it has a delay, else to where
-- it can be taken, at the front. Nothing happens when it does not wait.
local function release_parent(p, id, now)
  if redis.call('ZREM', p.base .. 'waiting-children', id) == 0 then
    return
  end
  local stored = redis.call('HMGET', p.base .. id, 'delay', 'priority')
  local delay = tonumber(stored[1] or '') or 0
  if delay > 0 then
    redis.call('ZADD', p.base .. 'delayed', string.format('%.0f', (now + delay) * 4096), id)
    emit(p, 'delayed', 'jobId', id, 'delay', string.format('%.0f', now + delay))
    mark_delayed(p)
  else
    make_ready(p, id, tonumber(stored[2] or '') or 0, true)
    emit(p, 'waiting', 'jobId', id, 'prev', 'waiting-children')
  end
end
