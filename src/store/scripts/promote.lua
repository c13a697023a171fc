--[[
  Makes a delayed job ready to run now.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  job id
  ARGV[3]  ms    now
  ARGV[4]  text  status probe (open_status)
  ARGV[5]  JSON  status settings (publish_status)

  Reply:   0, or a code
  Codes:   -1 job missing, -3 not delayed
  Events:  waiting
  Protocol: §5.16.5, bullmq 5.81.5 and 6.7.0, which answer -3 for a missing job
]]
--@include queue_state
--@include open_status
--@include publish_status
--@include emit
--@include make_ready

local base, id = ARGV[1], ARGV[2]
local key = base .. id
if redis.call('EXISTS', key) == 0 then
  return -1
end
if not redis.call('ZSCORE', base .. 'delayed', id) then
  return -3
end
local q = queue_state(base)
local job = redis.call('HMGET', key, 'priority', 'atm')
make_ready(q, id, tonumber(job[1] or '') or 0, false)
redis.call('ZREM', base .. 'delayed', id)
emit(q, 'waiting', 'jobId', id, 'prev', 'delayed')
redis.call('HSET', key, 'delay', 0)
local status = open_status(ARGV[4], ARGV[5])
if status then
  publish_status(status, q, id, 'waiting', tonumber(ARGV[3]), (tonumber(job[2] or '') or 0) + 1, false)
end
return 0
