-- The hash fields `read_job` is given, in its order; then one that tells a finished job, the mark of one that is to be
-- cancelled, the moment it was last taken, and, for `read_job` again, that of its first deferral.
local function job_fields(key)
  return redis.pcall('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'priority', 'atm', 'attemptsMade', 'ats', 'stc',
    'defa', 'parentKey', 'rjk', 'stacktrace', 'finishedOn', 'oxherd.cancel', 'processedOn',
    'oxherd.deferred')
end
