-- Jobs in each state: waiting, active, delayed, prioritized, completed, failed, waiting-children; then 1 when paused.
-- Protocol: §5.17
local function count_states(base)
  return {
    redis.call('LLEN', base .. 'wait') + redis.call('LLEN', base .. 'paused'),
    redis.call('LLEN', base .. 'active'),
    redis.call('ZCARD', base .. 'delayed'),
    redis.call('ZCARD', base .. 'prioritized'),
    redis.call('ZCARD', base .. 'completed'),
    redis.call('ZCARD', base .. 'failed'),
    redis.call('ZCARD', base .. 'waiting-children'),
    redis.call('HEXISTS', base .. 'meta', 'paused')
  }
end
