--[[
  Moves jobs of one state to the wait list, the oldest first, so that it is served first. Priorities do not count.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  state they are in: completed, failed or delayed
  ARGV[3]  int   highest score moved: of finished jobs when they ended, in ms
  ARGV[4]  int   jobs moved at most
  ARGV[5]  ms    now
  ARGV[6]  text  status probe (open_status)
  ARGV[7]  JSON  status settings (publish_status)

  Reply:   {jobs moved, 1 when more may be there}; ids without a job are dropped
  Codes:   none
  Events:  waiting
  Protocol: §5.16.5 and §5.16.6, bullmq 6.7.0; 5.81.5 does not tell parents
]]
--@include queue_state
--@include open_status
--@include publish_status
--@include emit
--@include mark
--@include child_back
--@include forget_end

local base, state, count = ARGV[1], ARGV[2], tonumber(ARGV[4])
local ids = redis.call('ZRANGEBYSCORE', base .. state, '-inf', ARGV[3], 'LIMIT', 0, count)
if #ids == 0 then
  return {0, 0}
end
local q = queue_state(base)
local status = open_status(ARGV[6], ARGV[7])
local ready = {}
for _, id in ipairs(ids) do
  local key = base .. id
  local job = redis.pcall('HMGET', key, 'name', 'parentKey', 'atm')
  if job.err then
    -- a key of the wrong type is left for the take to deal with
    ready[#ready + 1] = id
  elseif job[1] or redis.call('EXISTS', key) == 1 then
    forget_end(key, state)
    if job[2] and state ~= 'delayed' then
      child_back(job[2], key, state)
    end
    ready[#ready + 1] = id
    emit(q, 'waiting', 'jobId', id, 'prev', state)
    if status then
      publish_status(status, q, id, 'waiting', tonumber(ARGV[5]), (tonumber(job[3] or '') or 0) + 1, false)
    end
  end
end
for at = 1, #ready, 1000 do
  redis.call('LPUSH', q.wait, unpack(ready, at, math.min(at + 999, #ready)))
end
for at = 1, #ids, 1000 do
  redis.call('ZREM', base .. state, unpack(ids, at, math.min(at + 999, #ids)))
end
if #ready > 0 then
  mark(q)
end
return {#ready, #ids == count and 1 or 0}
