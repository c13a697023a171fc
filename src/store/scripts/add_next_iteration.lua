--[[
  Has an iteration of a job scheduler that was taken followed by the next one. Done by whoever took it, and once: when
  the scheduler has come to another iteration, nothing happens.

  KEYS[1]   hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  status probe (open_status)
  ARGV[4]   JSON  status settings (publish_status)
  ARGV[5]   text  id of the scheduler
  ARGV[6]   text  id of the iteration taken
  ARGV[7]   JSON  options of the next one up to the moment its id ends in (add_iteration)
  ARGV[8]   int   priority
  ARGV[9]   text  "1" to go to the front
  ARGV[10]  text  deduplication id, "" for none
  ARGV[11]  ms    next time of a pattern, "" for an interval
  ARGV[12]  ms    interval if the definition names none, "" for none
  ARGV[13]  text  "1" when the id is one that BullMQ goes on with only if the definition counts iterations

  Reply:   {"added", id}; {"exists", id} when a job has that id already; else {word}: "removed" when there is no such
           scheduler, "passed" when it has come to another iteration, "legacy" for an id that is not gone on with,
           "aimless" when neither definition nor job name a pattern or an interval
  Codes:   none
  Events:  added, and waiting or delayed; duplicated
  Protocol: §5.13.4 and §5.13.6, bullmq 5.81.5 and 6.7.0; data that stands in the job alone is kept, as in 5.81.5
]]
--@include queue_state
--@include open_status
--@include next_every
--@include add_iteration

local base, now, sid = ARGV[1], tonumber(ARGV[2]), ARGV[5]
local definition = base .. 'repeat:' .. sid
local score = redis.call('ZSCORE', base .. 'repeat', sid)
if not score then
  return {'removed'}
end
local prev = tonumber(score)
if ARGV[6] ~= 'repeat:' .. sid .. ':' .. string.format('%.0f', prev) then
  return {'passed'}
end
local stored = redis.call('HMGET', definition, 'name', 'data', 'every', 'offset', 'startDate', 'ic',
  'oxherd.mark')
if ARGV[13] == '1' and not stored[6] then
  return {'legacy'}
end
local next = tonumber(ARGV[11])
if not next then
  local every = tonumber(stored[3] or ARGV[12])
  if not (every and every > 0) then
    return {'aimless'}
  end
  next = next_every(prev, every, now, tonumber(stored[4] or '') or 0, tonumber(stored[5] or ''))
end
local q = queue_state(base)
local id = 'repeat:' .. sid .. ':' .. string.format('%.0f', next)
if redis.call('EXISTS', base .. id) == 1 then
  emit(q, 'duplicated', 'jobId', id)
  return {'exists', id}
end
local taken = redis.call('HMGET', base .. ARGV[6], 'name', 'data')
local data = stored[2]
if not data and not stored[6] and taken[2] and taken[2] ~= '{}' then
  data = taken[2]
  redis.call('HSET', definition, 'data', data)
end
redis.call('HINCRBY', definition, 'ic', 1)
if stored[7] then
  redis.call('HSET', definition, 'oxherd.last', ARGV[6], 'oxherd.fired', score)
end
redis.call('INCR', base .. 'id')
redis.call('ZADD', base .. 'repeat', string.format('%.0f', next), sid)
return {'added', add_iteration(q, sid, next, now, {
  name = stored[1] or taken[1] or sid,
  data = data or '{}',
  opts = ARGV[7],
  cron = ARGV[11] ~= '',
  priority = tonumber(ARGV[8]),
  lifo = ARGV[9] == '1',
  deid = ARGV[10]
}, open_status(ARGV[3], ARGV[4]))}
