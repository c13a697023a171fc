--[[
  Answers a value of the cache, or lets the caller make it, so that of many who want it one does. Its key bears its tags
  from now on: whoever deletes by tag finds it, and takes the lock away with it.

  KEYS[1]  string  the key; its lock is "oxherd:warm:" and the key

  ARGV[1]  text  token for the lock
  ARGV[2]  int   how long the lock lasts, in ms
  ARGV[3]  int   how long lock and value last together at most, in ms
  ARGV[n…]  text  sets of the tags

  Reply:   the value; or 1 the lock is the caller's, 0 it is another's
  Protocol: none; these are no keys of a queue
]]
--@include tag_key
local value = redis.call('GET', KEYS[1])
if value then
  return value
end
local lock = 'oxherd:warm:' .. KEYS[1]
if redis.call('EXISTS', lock) == 1 then
  return 0
end
for at = 4, #ARGV do
  tag_key(ARGV[at], KEYS[1], tonumber(ARGV[3]))
end
redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
return 1
