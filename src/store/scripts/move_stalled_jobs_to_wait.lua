--[[
  In several queues, puts jobs back whose worker has gone: those that were active at the last check,
  have not been renewed since and carry no lock. Rescues nothing where any worker checked within the
  interval. Either way says whether something is there to be taken.

  KEYS[1]  hash  K(meta) of the first queue, names the slot; all other keys derive from the bases

  ARGV[1]   ms    now
  ARGV[2]   int   jobs put back at most
  ARGV[n…]  per queue: base "P:Q:", ms between checks, stalls a job may have, status probe (open_status),
            status settings (publish_status)

  Reply:   per queue {ids recovered, ids that had no job behind them, 2 when a job may be there to be taken and 1 when
           one waits that must not be now (paused, a limit is reached), 1 when more are to be put back: call again,
           1 when no job waits, is delayed or active},
           or the text of what failed
  Codes:   none
  Events:  waiting, stalled
  Protocol: §5.10, bullmq 5.81.5 and 6.7.0; ids without a job are dropped (§9.4, 2)
]]
--@include queue_state
--@include open_status
--@include recover_job
--@include tokens_of

local now, room = tonumber(ARGV[1]), tonumber(ARGV[2])

-- Whether a job may be taken from the queue, by a look at its lists and, where something is there, at its limits.
local function has_work(base)
  if redis.call('EXISTS', base .. 'wait', base .. 'prioritized') == 0 then
    local first = redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
    if not first[2] or tonumber(first[2]) / 4096 >= now + 1 then
      return 0
    end
  end
  local meta = redis.call('HMGET', base .. 'meta', 'paused', 'concurrency', 'max')
  local most, max = tonumber(meta[2] or ''), tonumber(meta[3] or '')
  local is_held = meta[1] or most and redis.call('LLEN', base .. 'active') >= most
    or max and (tonumber(redis.call('GET', base .. 'limiter') or '') or 0) >= max
  return is_held and 1 or 2
end

-- Whoever does not show up before the next check is lost.
local function suspect(base, ids)
  for at = 1, #ids, 1000 do
    redis.call('SADD', base .. 'stalled', unpack(ids, at, math.min(at + 999, #ids)))
  end
end

local function check(base, interval, max, probe, settings)
  if redis.call('EXISTS', base .. 'wait', base .. 'prioritized', base .. 'delayed', base .. 'active', base .. 'stalled') == 0 then
    return {{}, {}, 0, 0, 1}
  end
  if redis.call('EXISTS', base .. 'stalled-check') == 1 then
    return {{}, {}, has_work(base), 0, 0}
  end
  redis.call('SET', base .. 'stalled-check', ARGV[1], 'PX', interval)
  local recovered, dropped = {}, {}
  local active = redis.call('LRANGE', base .. 'active', 0, -1)
  local suspects = redis.call('SMEMBERS', base .. 'stalled')
  if #suspects > 0 then
    local q = queue_state(base)
    local status = open_status(probe, settings)
    local lost, left = {}, {}
    for at, token in ipairs(tokens_of(base, suspects)) do
      lost[suspects[at]] = not token
    end
    redis.call('DEL', base .. 'stalled')
    -- the one taken last first, so that the one taken first is served first
    for at, id in ipairs(active) do
      if lost[id] and room == 0 then
        left[#left + 1] = id
      elseif lost[id] then
        lost[id] = false
        room = room - 1
        local stalls = recover_job(q, id, at * 2 > #active and -1 or 1, tonumber(max), now, status)
        if stalls then
          table.insert(stalls > 0 and recovered or dropped, id)
        end
      end
    end
    if #left > 0 then
      -- the check is not over: whoever comes next goes on with these
      redis.call('DEL', base .. 'stalled-check')
      suspect(base, left)
      return {recovered, dropped, 2, 1, 0}
    end
    redis.call('XTRIM', q.events, 'MAXLEN', '~', q.max_events)
    active = redis.call('LRANGE', base .. 'active', 0, -1)
  end
  suspect(base, active)
  return {recovered, dropped, has_work(base), 0, 0}
end

local answers = {}
for at = 3, #ARGV, 5 do
  -- a queue with a broken key must not keep the others from being looked after
  local worked, answer = pcall(check, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
  if not worked then
    answer = tostring(type(answer) == 'table' and answer.err or answer)
  end
  answers[#answers + 1] = answer
end
return answers
