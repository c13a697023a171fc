--[[
  Gives a delayed job another delay, counted from now.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  job id
  ARGV[3]  ms    delay
  ARGV[4]  ms    now

  Reply:   0, or a code
  Codes:   -1 job missing, -3 not delayed
  Events:  delayed
  Protocol: §5.16.5, bullmq 5.81.5 and 6.7.0, which answer -3 for a missing job
]]
--@include queue_state
--@include add_delayed
--@include mark_delayed

local base, id, delay = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key = base .. id
if redis.call('EXISTS', key) == 0 then
  return -1
end
if not redis.call('ZSCORE', base .. 'delayed', id) then
  return -3
end
local q = queue_state(base)
redis.call('HSET', key, 'delay', ARGV[3])
redis.call('ZREM', base .. 'delayed', id)
add_delayed(q, id, tonumber(ARGV[4]), delay)
mark_delayed(q)
return 0
