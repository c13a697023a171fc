--@include emit
-- A job key that is no hash cannot be worked and cannot carry a reason. It is renamed out of the
-- queue, so that nothing is lost, and a job that tells where takes its place among the failed.
local function quarantine(q, id, now)
  local kind = redis.call('TYPE', q.base .. id).ok
  local kept = 'oxherd:quarantine:' .. q.base .. id
  local reason = 'the key of this job holds a ' .. kind .. ' instead of a hash; it was moved to ' .. kept
  redis.call('RENAME', q.base .. id, kept)
  redis.call('HSET', q.base .. id, 'name', '', 'data', 'null', 'opts', '{}', 'timestamp', now, 'delay', 0, 'priority', 0,
    'failedReason', reason, 'finishedOn', now)
  redis.call('ZADD', q.base .. 'failed', now, id)
  emit(q, 'failed', 'jobId', id, 'failedReason', reason, 'prev', 'active')
end
