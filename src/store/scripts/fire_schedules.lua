--[[
  Fires schedules of ours whose time has come, each time once for all who try: the claim of a time and the job that
  comes of it are one step. A schedule that is not as the caller knows it is left alone. Where one cannot be fired the
  others are.

  KEYS[1]   hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  status probe (open_status)
  ARGV[4]   JSON  status settings (publish_status)
  ARGV[5]   ms    stands for never
  ARGV[n…]  a schedule each, one after the other:
    +0   text  id
    +1   text  its mark, as the caller knows it
    +2   ms    the time to claim, which is the schedule's next one; "" for the one that was put off
    +3   ms    its next time from then on
    +4   text  "series" when the jobs that follow are the next times' and not this one's; else what holds while the job
               before has not ended: "allow", "skip", "queue", or "each" when the time is to be claimed later then
    +5   int   most jobs of the schedule, "" for any number
    +6   text  name of the jobs
    +7   JSON  options of the jobs up to their number
    +8   JSON  what follows, up to the moment the id ends in (add_iteration)
    +9   int   priority
    +10  text  "1" to go to the front
    +11  text  "1" for a pattern
    +12  int   jobs that follow, in threes:  ms  moment the id ends in,  ms  when it may be taken,  JSON  data

  Reply:   for each schedule {word, next time, time put off or false, jobs added, jobs not added because of overlap}:
           "fired", and "paused" when it would have been; "busy" when it still has to wait; "passed" when the time was
           claimed before; or else {word}: "changed" when its mark is another one, "foreign" when it has
           none, "gone" when it is not there, "failed" with a message when a key is of the wrong type
  Codes:   none
  Events:  added, and waiting or delayed
  Protocol: none; the jobs are iterations as in §5.13.4, and never the current one, so that nobody who takes one has it
            followed by the next
]]
--@include queue_state
--@include open_status
--@include add_iteration

local base, now, never = ARGV[1], tonumber(ARGV[2]), ARGV[5]
local entries = base .. 'repeat'
local q, status

-- where a job is on its way: nil when it has ended or is gone, else "waiting" or "begun"
local function progress(id)
  if not id or redis.call('ZSCORE', base .. 'completed', id) or redis.call('ZSCORE', base .. 'failed', id) then
    return nil
  end
  local stored = redis.call('HMGET', base .. id, 'timestamp', 'processedOn')
  return stored[1] and (stored[2] and 'begun' or 'waiting')
end

local function add(sid, at, ic, job)
  if not q then
    q, status = queue_state(base), open_status(ARGV[3], ARGV[4])
  end
  redis.call('INCR', base .. 'id')
  return add_iteration(q, sid, tonumber(ARGV[job]), now, {
    name = ARGV[at + 6],
    data = ARGV[job + 2],
    opts = ARGV[at + 7] .. string.format('%.0f', ic) .. ARGV[at + 8],
    cron = ARGV[at + 11] == '1',
    priority = tonumber(ARGV[at + 9]),
    lifo = ARGV[at + 10] == '1',
    deid = '',
    due = tonumber(ARGV[job + 1])
  }, status)
end

local function fire(at)
  local sid, slot, mode = ARGV[at], ARGV[at + 2], ARGV[at + 4]
  local definition = base .. 'repeat:' .. sid
  local score = redis.call('ZSCORE', entries, sid)
  local stored = redis.call('HMGET', definition, 'oxherd.mark', 'ic', 'oxherd.last', 'oxherd.paused', 'oxherd.pending')
  if not score then
    return {'gone'}
  elseif not stored[1] then
    return {'foreign'}
  elseif stored[1] ~= ARGV[at + 1] then
    return {'changed'}
  end
  local next, pending = string.format('%.0f', tonumber(score)), stored[5]
  local is_put_off = slot == ''
  if is_put_off and not pending or not is_put_off and next ~= slot then
    return {'passed', next, pending}
  end
  local ic, limit, last = tonumber(stored[2] or '') or 0, tonumber(ARGV[at + 5]) or math.huge, stored[3]
  local paused, added, left, is_last = stored[4], 0, 0, ic >= limit
  for job = at + 13, at + 10 + 3 * tonumber(ARGV[at + 12]), 3 do
    local id = 'repeat:' .. sid .. ':' .. ARGV[job]
    local before = not (mode == 'allow' or mode == 'series') and progress(last)
    if paused or ic >= limit then
      pending = false
    elseif is_put_off and ARGV[job] ~= pending then
      return {'passed', next, pending}
    elseif before and (is_put_off or mode == 'each') then
      return {'busy', next, pending}
    elseif before then
      if mode == 'queue' and before == 'begun' and not pending then
        pending = ARGV[job]
      else
        left = left + 1
      end
    else
      if redis.call('EXISTS', base .. id) == 0 then
        ic, added = ic + 1, added + 1
        add(sid, at, ic, job)
      end
      last, pending = id, not is_put_off and pending
    end
  end
  local changes = {'ic', ic}
  if not is_put_off then
    if mode ~= 'series' then
      is_last = ic >= limit and not pending
    elseif not paused then
      last = 'repeat:' .. sid .. ':' .. slot
    end
    next = is_last and never or ARGV[at + 3]
    redis.call('ZADD', entries, next, sid)
    changes[3], changes[4] = 'oxherd.fired', slot
  end
  for field, value in pairs({['oxherd.last'] = last, ['oxherd.pending'] = pending}) do
    if value then
      changes[#changes + 1], changes[#changes + 2] = field, value
    end
  end
  redis.call('HSET', definition, unpack(changes))
  if stored[5] and not pending then
    redis.call('HDEL', definition, 'oxherd.pending')
  end
  return {paused and 'paused' or 'fired', next, pending, added, left}
end

local answers, at = {}, 6
while ARGV[at] do
  local done, answer = pcall(fire, at)
  if not done then
    local message = type(answer) == 'table' and answer.err or tostring(answer)
    -- a key of the wrong type is this schedule's trouble, any other refusal everybody's
    if not string.find(message, 'WRONGTYPE', 1, true) then
      error(answer)
    end
    answer = {'failed', message}
  end
  answers[#answers + 1] = answer
  at = at + 13 + 3 * tonumber(ARGV[at + 12])
end
return answers
