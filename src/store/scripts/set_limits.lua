--[[
  Sets or removes limits that bind all workers of a queue, and rings where jobs wait and may be taken now.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   "1" ends the current rate window
  ARGV[n…]  fields of meta and their values: concurrency, max, duration; "" removes one

  Reply:   0
  Codes:   none
  Events:  none
  Protocol: §5.16.8, bullmq 5.81.5 and 6.7.0, which do not ring (§9.4, 4)
]]
--@include queue_state
--@include mark

local base = ARGV[1]
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', base .. 'meta', ARGV[at])
  else
    redis.call('HSET', base .. 'meta', ARGV[at], ARGV[at + 1])
  end
end
if ARGV[2] == '1' then
  redis.call('DEL', base .. 'limiter')
end
if redis.call('EXISTS', base .. 'wait', base .. 'prioritized') > 0 then
  mark(queue_state(base))
end
return 0
