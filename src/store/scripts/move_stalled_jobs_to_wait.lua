--[[
  Puts jobs back whose worker has gone: those that were active at the last check, have not been
  renewed since and carry no lock. Rescues nothing when any worker checked within the interval.
  Either way says whether something is there to be taken.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  ms    now
  ARGV[3]  ms    interval between checks
  ARGV[4]  int   stalls a job may have
  ARGV[5]  text  status probe (open_status)
  ARGV[6]  JSON  status settings (publish_status)

  Reply:   {ids recovered, ids that had no job behind them, 1 when a job may be there to be taken}
  Codes:   none
  Events:  waiting, stalled
  Protocol: §5.10, bullmq 5.81.5 and 6.7.0; ids without a job are dropped (§9.4, 2)
]]
--@include queue_state
--@include open_status
--@include recover_job

local base, now = ARGV[1], ARGV[2]

local function work()
  if redis.call('EXISTS', base .. 'wait', base .. 'prioritized') > 0 then
    return 1
  end
  local first = redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) / 4096 < tonumber(now) + 1 and 1 or 0
end

if redis.call('EXISTS', base .. 'stalled-check') == 1 then
  return {{}, {}, work()}
end
redis.call('SET', base .. 'stalled-check', now, 'PX', ARGV[3])
local q = queue_state(base)
redis.call('XTRIM', q.events, 'MAXLEN', '~', q.max_events)
local recovered, dropped = {}, {}
local suspects = redis.call('SMEMBERS', base .. 'stalled')
if #suspects > 0 then
  local status = open_status(ARGV[5], ARGV[6])
  redis.call('DEL', base .. 'stalled')
  for _, id in ipairs(suspects) do
    if redis.call('EXISTS', base .. id .. ':lock') == 0 then
      local held = redis.call('LPOS', q.active, id)
      if recover_job(q, id, tonumber(ARGV[4]), tonumber(now), status) then
        recovered[#recovered + 1] = id
      elseif held then
        dropped[#dropped + 1] = id
      end
    end
  end
end
local active = redis.call('LRANGE', q.active, 0, -1)
for at = 1, #active, 1000 do
  redis.call('SADD', base .. 'stalled', unpack(active, at, math.min(at + 999, #active)))
end
return {recovered, dropped, work()}
