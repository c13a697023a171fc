--@include emit
--@include add_prioritized
--@include mark
-- Moves at most `limit` delayed jobs whose time has come to where they can be taken. Returns how
-- many. An id without a job behind it is dropped.
local function promote_due(q, now, limit)
  local delayed = q.base .. 'delayed'
  local due = redis.call('ZRANGEBYSCORE', delayed, 0, string.format('%.0f', (now + 1) * 4096 - 1), 'LIMIT', 0, limit)
  if #due == 0 then
    return 0
  end
  -- rung first and each taken out when it has its place: a script is not rolled back, and whatever fails on the way
  -- must cost no job
  mark(q)
  for _, id in ipairs(due) do
    local job = q.base .. id
    -- a key of the wrong type is left for the take to deal with
    local stored = redis.pcall('HMGET', job, 'priority', 'timestamp', 'name')
    local is_job = not stored.err and (stored[2] or stored[3] or redis.call('EXISTS', job) == 1)
    local priority = is_job and tonumber(stored[1] or '') or 0
    if priority > 0 then
      add_prioritized(q, id, priority)
    elseif is_job or stored.err then
      redis.call('LPUSH', q.wait, id)
    end
    redis.call('ZREM', delayed, id)
    if is_job then
      redis.call('HSET', job, 'delay', 0)
      emit(q, 'waiting', 'jobId', id, 'prev', 'delayed')
    end
  end
  return #due
end
