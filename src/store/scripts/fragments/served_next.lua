-- The id of the job that is served next; nil when none waits.
local function served_next(base)
  return redis.call('LINDEX', base .. 'wait', -1) or redis.call('LINDEX', base .. 'paused', -1)
    or redis.call('ZRANGE', base .. 'prioritized', 0, 0)[1]
end
