--[[
  Makes a job scheduler, or makes one another: its definition is replaced, the iteration that waits for its time goes,
  and the one that follows from the new definition is added.

  KEYS[1]   hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  status probe (open_status)
  ARGV[4]   JSON  status settings (publish_status)
  ARGV[5]   text  id of the scheduler
  ARGV[6]   text  name of its jobs
  ARGV[7]   JSON  data of its jobs
  ARGV[8]   JSON  options of the iteration up to the moment its id ends in (add_iteration)
  ARGV[9]   int   priority
  ARGV[10]  text  "1" to go to the front
  ARGV[11]  ms    next time of a pattern, "" for an interval
  ARGV[12]  ms    interval, "" for a pattern
  ARGV[13]  ms    offset of the interval, "" for none
  ARGV[14]  ms    start of the interval, "" for none
  ARGV[n…]  text  fields and values of the definition, all but ic and offset

  Reply:   id of the iteration, or a code
  Codes:   -10 the iteration of the pattern is there already, -11 the next 32 times of the interval are
  Events:  added, and waiting or delayed
  Protocol: §5.13.3, bullmq 5.81.5 and 6.7.0; the old iteration is looked for in both lists, and no iteration is
            written over (§9.4, 5 and 6)
]]
--@include queue_state
--@include open_status
--@include next_every
--@include add_iteration
--@include state_of
--@include delete_jobs
--@include drop_deduplication

local base, now, sid = ARGV[1], tonumber(ARGV[2]), ARGV[5]
local definition = base .. 'repeat:' .. sid
local every, offset = tonumber(ARGV[12]), tonumber(ARGV[13])
local before = redis.call('HMGET', definition, 'every', 'offset', 'ic')
local prev = tonumber(redis.call('ZSCORE', base .. 'repeat', sid) or '')

-- where the iteration waits that is to go; nil when there is none, or when it has been taken
local old, place
if prev then
  old = 'repeat:' .. sid .. ':' .. string.format('%.0f', prev)
  if redis.call('EXISTS', base .. old) == 1 then
    local state = state_of(base, old)
    place = (state == 'delayed' or state == 'prioritized' or state == 'waiting') and state
  end
end

local function is_taken(at)
  local id = 'repeat:' .. sid .. ':' .. string.format('%.0f', at)
  return redis.call('EXISTS', base .. id) == 1 and not (place and id == old)
end

local next, next_offset = tonumber(ARGV[11]), 0
if every then
  local unchanged = prev and tonumber(before[1] or '') == every
  next, next_offset = next_every(unchanged and prev or nil, every, now, offset or 0, tonumber(ARGV[14]))
  if place and unchanged then
    next = prev
  end
  local tries = 1
  while is_taken(next) do
    if tries == 32 then
      return -11
    end
    next, tries = next + every, tries + 1
  end
elseif is_taken(next) then
  return -10
end
if place then
  next_offset = before[2] or next_offset
end

local q = queue_state(base)
local status = open_status(ARGV[3], ARGV[4])
-- first what needs memory: without any, nothing else is done
redis.call('INCR', base .. 'id')
redis.call('DEL', definition)
redis.call('HSET', definition, 'ic', before[3] or 1, 'offset', every and (offset or next_offset) or 0,
  unpack(ARGV, 15))
if place == 'waiting' then
  if redis.call('LREM', base .. 'wait', -1, old) == 0 then
    redis.call('LREM', base .. 'paused', -1, old)
  end
elseif place then
  redis.call('ZREM', base .. place, old)
end
if place then
  local did = redis.call('HGET', base .. old, 'deid')
  if did then
    drop_deduplication(q, old, did)
  end
  delete_jobs(base, {old})
end
redis.call('ZADD', base .. 'repeat', string.format('%.0f', next), sid)
return add_iteration(q, sid, next, now, {
  name = ARGV[6],
  data = ARGV[7],
  opts = ARGV[8],
  cron = not every,
  priority = tonumber(ARGV[9]),
  lifo = ARGV[10] == '1',
  deid = ''
}, status)
