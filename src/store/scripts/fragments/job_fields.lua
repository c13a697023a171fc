-- The hash fields `read_job` is given, in its order; the last one tells a finished job.
local function job_fields(key)
  return redis.pcall('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'priority', 'atm', 'attemptsMade', 'ats', 'stc',
    'defa', 'parentKey', 'rjk', 'stacktrace', 'finishedOn')
end
