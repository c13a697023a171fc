--[[
  Removes a job scheduler, with the iteration that waits for its time. One that is waiting already, or active, stays.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  id of the scheduler
  ARGV[3]  text  its mark, as the caller has seen it; "" removes it whatever it is

  Reply:   0, or 1 when there was none, or none with that mark
  Codes:   none
  Events:  removed
  Protocol: §5.13.5, bullmq 5.81.5 and 6.7.0
]]
--@include queue_state
--@include emit
--@include delete_jobs

local base, sid = ARGV[1], ARGV[2]
local mark = redis.pcall('HGET', base .. 'repeat:' .. sid, 'oxherd.mark')
if ARGV[3] ~= '' and mark ~= ARGV[3] then
  return 1
end
if type(mark) == 'string' then
  -- tells those who fire it to look
  redis.call('HINCRBY', base .. 'meta', 'oxherd.schedules', 1)
end
local score = redis.call('ZSCORE', base .. 'repeat', sid)
if score then
  local id = 'repeat:' .. sid .. ':' .. string.format('%.0f', tonumber(score))
  if redis.call('ZSCORE', base .. 'delayed', id) then
    -- first what needs memory: without any, nothing else is done
    emit(queue_state(base), 'removed', 'jobId', id, 'prev', 'delayed')
    redis.call('ZREM', base .. 'delayed', id)
    delete_jobs(base, {id})
  end
end
local listed = redis.call('ZREM', base .. 'repeat', sid)
local defined = redis.call('DEL', base .. 'repeat:' .. sid)
return listed + defined > 0 and 0 or 1
