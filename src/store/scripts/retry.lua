--[[
  Makes a finished job ready to run again: among the prioritized ones when it has a priority, else on the wait list.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  job id
  ARGV[3]  text  state it is in: completed or failed
  ARGV[4]  "1" forgets how many attempts were made
  ARGV[5]  "1" forgets how many attempts were started
  ARGV[6]  ms    now
  ARGV[7]  text  status probe (open_status)
  ARGV[8]  JSON  status settings (publish_status)

  Reply:   1, or a code
  Codes:   -1 job missing, -3 not in that state
  Events:  waiting
  Protocol: §5.16.6, bullmq 6.7.0; 5.81.5 ignores the priority
]]
--@include queue_state
--@include open_status
--@include publish_status
--@include emit
--@include make_ready
--@include child_back
--@include forget_end

local base, id, state = ARGV[1], ARGV[2], ARGV[3]
local key = base .. id
if redis.call('EXISTS', key) == 0 then
  return -1
end
local job = redis.call('HMGET', key, 'priority', 'opts', 'parentKey')
if not redis.call('ZSCORE', base .. state, id) then
  return -3
end
local q = queue_state(base)
local read, opts = pcall(cjson.decode, job[2] or '{}')
make_ready(q, id, tonumber(job[1] or '') or 0, read and type(opts) == 'table' and opts.lifo == true)
redis.call('ZREM', base .. state, id)
forget_end(key, state)
if ARGV[4] == '1' then
  redis.call('HDEL', key, 'atm', 'attemptsMade')
end
if ARGV[5] == '1' then
  redis.call('HDEL', key, 'ats')
end
if job[3] then
  child_back(job[3], key, state)
end
emit(q, 'waiting', 'jobId', id, 'prev', state)
local status = open_status(ARGV[7], ARGV[8])
if status then
  local made = tonumber(redis.call('HGET', key, 'atm') or '') or 0
  publish_status(status, q, id, 'waiting', tonumber(ARGV[6]), made + 1, false)
end
return 1
