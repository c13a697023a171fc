--[[
  In several queues, puts jobs back whose worker has gone: those that were active at the last check,
  have not been renewed since and carry no lock. Rescues nothing where any worker checked within the
  interval. Either way says whether something is there to be taken.

  KEYS[1]  hash  K(meta) of the first queue, names the slot; all other keys derive from the bases

  ARGV[1]   ms    now
  ARGV[n…]  per queue: base "P:Q:", ms between checks, stalls a job may have, status probe (open_status),
            status settings (publish_status)

  Reply:   per queue {ids recovered, ids that had no job behind them, 1 when a job may be there to be
           taken}, or the text of what failed
  Codes:   none
  Events:  waiting, stalled
  Protocol: §5.10, bullmq 5.81.5 and 6.7.0; ids without a job are dropped (§9.4, 2)
]]
--@include queue_state
--@include open_status
--@include recover_job

local now = tonumber(ARGV[1])

-- Whether a job may be taken from the queue, by a look at its lists.
local function has_work(base)
  if redis.call('EXISTS', base .. 'wait', base .. 'prioritized') > 0 then
    return 1
  end
  local first = redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) / 4096 < now + 1 and 1 or 0
end

local function check(base, interval, max, probe, settings)
  if redis.call('EXISTS', base .. 'stalled-check') == 1 then
    return {{}, {}, has_work(base)}
  end
  redis.call('SET', base .. 'stalled-check', ARGV[1], 'PX', interval)
  local recovered, dropped = {}, {}
  local active = redis.call('LRANGE', base .. 'active', 0, -1)
  local suspects = redis.call('SMEMBERS', base .. 'stalled')
  if #suspects > 0 then
    local q = queue_state(base)
    local status = open_status(probe, settings)
    redis.call('DEL', base .. 'stalled')
    for _, id in ipairs(suspects) do
      if redis.call('EXISTS', base .. id .. ':lock') == 0 then
        local held = redis.call('LPOS', q.active, id)
        if recover_job(q, id, tonumber(max), now, status) then
          recovered[#recovered + 1] = id
        elseif held then
          dropped[#dropped + 1] = id
        end
      end
    end
    redis.call('XTRIM', q.events, 'MAXLEN', '~', q.max_events)
    active = redis.call('LRANGE', base .. 'active', 0, -1)
  end
  for at = 1, #active, 1000 do
    redis.call('SADD', base .. 'stalled', unpack(active, at, math.min(at + 999, #active)))
  end
  return {recovered, dropped, has_work(base)}
end

local answers = {}
for at = 2, #ARGV, 5 do
  -- a queue with a broken key must not keep the others from being looked after
  local worked, answer = pcall(check, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
  if not worked then
    answer = tostring(type(answer) == 'table' and answer.err or answer)
  end
  answers[#answers + 1] = answer
end
return answers
