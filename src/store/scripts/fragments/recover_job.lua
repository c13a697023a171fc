--@include emit
--@include mark
--@include publish_status
-- Puts a job whose worker has gone back to the head of the wait list and counts the stall. Past
-- `max` stalls it is marked: the next worker that takes it fails it without running it. Returns
-- the job's number of stalls, 0 when no job was behind the id, or nil when it was not active. `near` is
-- the end of the active list it is nearer to, 1 for the first or -1 for the last.
local function recover_job(q, id, near, max, now, status)
  local key = q.base .. id
  if redis.call('LREM', q.active, near, id) == 0 then
    return nil
  end
  if redis.call('TYPE', key).ok ~= 'hash' then
    -- no job behind the id; a key of the wrong type is dealt with when it is taken
    if redis.call('EXISTS', key) == 1 then
      redis.call('RPUSH', q.wait, id)
      mark(q)
    end
    return 0
  end
  local stalls = redis.call('HINCRBY', key, 'stc', 1)
  if stalls > max then
    local series = redis.call('HGET', key, 'rjk')
    -- an iteration of a scheduler is never given up for stalling: its series would end with it
    if not (series and (redis.call('EXISTS', q.base .. 'repeat:' .. series) == 1
      or redis.call('ZSCORE', q.base .. 'repeat', series))) then
      redis.call('HSET', key, 'defa', 'job stalled more than allowable limit')
    end
  end
  redis.call('RPUSH', q.wait, id)
  mark(q)
  emit(q, 'waiting', 'jobId', id, 'prev', 'active')
  emit(q, 'stalled', 'jobId', id)
  if status then
    local made = tonumber(redis.call('HGET', key, 'atm') or '') or 0
    publish_status(status, q, id, 'stalled', now, made + 1, false)
  end
  return stalls
end
