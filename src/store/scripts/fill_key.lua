--[[
  Stores a value under a lock, and gives the lock back.

  KEYS[1]  string  the key; its lock is "oxherd:warm:" and the key

  ARGV[1]  text   token the lock has to hold
  ARGV[2]  text   "store", or "leave" to give back the lock alone
  ARGV[3]  bytes  the value
  ARGV[4]  int    its time to live in ms

  Reply:   1 done, 0 the lock is another's and nothing was changed, or the type of a key that is no string
  Protocol: none; these are no keys of a queue
]]
local lock = 'oxherd:warm:' .. KEYS[1]
if redis.call('GET', lock) ~= ARGV[1] then
  return 0
end
local kind = redis.call('TYPE', KEYS[1]).ok
if ARGV[2] == 'store' and (kind == 'string' or kind == 'none') then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
  kind = 'none'
end
redis.call('DEL', lock)
return ARGV[2] == 'store' and kind ~= 'none' and kind or 1
