--[[
  Shows which handlers of a queue one process can do nothing with, in place of what it showed before.

  KEYS[1]  zset  K(oxherd.gates): what each process shows, by the moment it counts no longer

  ARGV[1]   ms    now
  ARGV[2]   ms    how long it counts
  ARGV[3]   text  what is shown now, "" for nothing
  ARGV[n…]  text  what may have been shown before

  Reply:   0
  Protocol: BullMQ has no such key, bullmq 5.81.5 and 6.7.0; no client looks at it
]]
local now = tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for n = 4, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[n])
end
if ARGV[3] ~= '' then
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
