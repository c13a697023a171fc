--[[
  Makes schedules of ours what the caller says, each only if it is still what the caller has seen: then somebody else
  was faster, and it is left alone.

  KEYS[1]   hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  status probe (open_status)
  ARGV[4]   JSON  status settings (publish_status)
  ARGV[5]   ms    stands for never
  ARGV[n…]  a schedule each, one after the other:
    +0   text  id
    +1   text  its mark as the caller has seen it, "" when there was no such scheduler
    +2   ms    its next time
    +3   text  "1" when the next time it has, if it has one, is as good
    +4   text  "1" pauses it, "0" ends a pause, "" leaves that as it is
    +5   int   most jobs of the schedule, "" for any number
    +6   JSON  data of a job that is there before its time; "" when none is to be
    +7   JSON  options of that job up to its number
    +8   JSON  what follows, up to the moment the id ends in (add_iteration)
    +9   int   priority
    +10  text  "1" to go to the front
    +11  text  "1" for a pattern
    +12  int   fields and values that follow, counted one by one: the definition, with its name first; all but ic

  Reply:   for each schedule {next time, time put off or false, "1" when paused or false}; 0 when it was not as seen
  Codes:   none
  Events:  removed; added, and delayed
  Protocol: §5.13.1 and §5.13.3, bullmq 5.81.5 and 6.7.0; what has run already is kept, and counted
]]
--@include queue_state
--@include open_status
--@include add_iteration
--@include delete_jobs

local base, now, never = ARGV[1], tonumber(ARGV[2]), ARGV[5]
local entries, delayed = base .. 'repeat', base .. 'delayed'
local q = queue_state(base)
local status = open_status(ARGV[3], ARGV[4])
-- tells those who fire them to look; first what needs memory: without any, nothing else is done
redis.call('HINCRBY', base .. 'meta', 'oxherd.schedules', 1)

local function put(at)
  local sid = ARGV[at]
  local definition = base .. 'repeat:' .. sid
  local score = redis.call('ZSCORE', entries, sid)
  local mark = redis.call('HGET', definition, 'oxherd.mark')
  local is_there = score or redis.call('EXISTS', definition) == 1
  if (mark or '') ~= ARGV[at + 1] or is_there and not mark then
    return 0
  end
  local kept = redis.call('HMGET', definition, 'ic', 'oxherd.last', 'oxherd.fired', 'oxherd.paused', 'oxherd.pending')
  local ic, paused, pending = tonumber(kept[1] or '') or 0, kept[4], kept[5]
  if ARGV[at + 4] ~= '' then
    paused = ARGV[at + 4] == '1' and '1'
  end
  if paused then
    pending = false
  end
  -- the job that waits for its time
  local replaced = false
  if score then
    local old = 'repeat:' .. sid .. ':' .. string.format('%.0f', tonumber(score))
    if redis.call('ZREM', delayed, old) == 1 then
      emit(q, 'removed', 'jobId', old, 'prev', 'delayed')
      delete_jobs(base, {old})
      replaced, ic = true, ic - 1
    end
  end
  local next = ARGV[at + 2]
  if score and ARGV[at + 3] == '1' and tonumber(score) ~= tonumber(never) then
    next = string.format('%.0f', tonumber(score))
  end
  local limit = tonumber(ARGV[at + 5]) or math.huge
  if ic >= limit then
    next = never
  end
  redis.call('DEL', definition)
  redis.call('HSET', definition, unpack(ARGV, at + 13, at + 12 + tonumber(ARGV[at + 12])))
  local id = 'repeat:' .. sid .. ':' .. next
  if ARGV[at + 6] ~= '' and not paused and next ~= never and (replaced or tonumber(next) > now)
    and redis.call('EXISTS', base .. id) == 0 then
    ic = ic + 1
    redis.call('INCR', base .. 'id')
    add_iteration(q, sid, tonumber(next), now, {
      name = ARGV[at + 14],
      data = ARGV[at + 6],
      opts = ARGV[at + 7] .. string.format('%.0f', ic) .. ARGV[at + 8],
      cron = ARGV[at + 11] == '1',
      priority = tonumber(ARGV[at + 9]),
      lifo = ARGV[at + 10] == '1',
      deid = ''
    }, status)
  end
  redis.call('HSET', definition, 'ic', ic)
  for place, field in ipairs({'oxherd.last', 'oxherd.fired'}) do
    if kept[place + 1] then
      redis.call('HSET', definition, field, kept[place + 1])
    end
  end
  if paused then
    redis.call('HSET', definition, 'oxherd.paused', '1')
  end
  if pending then
    redis.call('HSET', definition, 'oxherd.pending', pending)
  end
  redis.call('ZADD', entries, next, sid)
  return {next, pending, paused}
end

local answers, at = {}, 6
while ARGV[at] do
  answers[#answers + 1] = put(at)
  at = at + 13 + tonumber(ARGV[at + 12])
end
return answers
