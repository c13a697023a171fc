--[[
  The few fields of some jobs that tell whether they are meant; changes nothing.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[n…]  text  job ids

  Reply:   per job name, timestamp, processedOn, finishedOn, atm, attemptsMade, failedReason (false where the hash has
           none), or false where there is no job
  Protocol: §3.1, bullmq 5.81.5 and 6.7.0
]]
local out = {}
for at = 2, #ARGV do
  local job = redis.pcall('HMGET', ARGV[1] .. ARGV[at], 'name', 'timestamp', 'processedOn', 'finishedOn', 'atm',
    'attemptsMade', 'failedReason')
  out[at - 1] = not job.err and (job[1] or job[2]) and job or false
end
return out
