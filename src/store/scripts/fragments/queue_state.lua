--@include placement
-- What every operation must know about a queue, read once per call. `wait` is the list a job
-- that becomes ready goes to: in a queue of the 5.x `placement` the `paused` list takes its place
-- while the queue is paused. Protocol: §5.16.1
local function queue_state(base)
  local meta = redis.call('HMGET', base .. 'meta', 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents',
    'version', 'oxherd.placement')
  local q = {
    base = base,
    paused = meta[1] and true or false,
    concurrency = tonumber(meta[2] or ''),
    max = tonumber(meta[3] or ''),
    duration = tonumber(meta[4] or ''),
    max_events = tonumber(meta[5] or ''),
    events = base .. 'events',
    active = base .. 'active',
    wait = base .. 'wait'
  }
  if not q.max_events then
    q.max_events = 10000
    redis.call('HSET', base .. 'meta', 'opts.maxLenEvents', 10000)
  end
  q.placement = placement(meta[7], meta[6])
  if q.paused and q.placement == 'v5' then
    q.wait = base .. 'paused'
  end
  return q
end
