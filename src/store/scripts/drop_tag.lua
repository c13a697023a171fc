--[[
  Deletes values of the cache that bear a tag, each with its membership and with the lock of whoever is making it.

  KEYS[1]  set  the keys that bear the tag; it goes with its last member

  ARGV[1]  text  what keys of the cache begin with; any other member only leaves the set
  ARGV[2]  int   members at most

  Reply:   {values deleted, members left}
  Protocol: none; these are no keys of a queue
]]
local deleted = 0
for _, key in ipairs(redis.call('SPOP', KEYS[1], ARGV[2])) do
  if string.sub(key, 1, #ARGV[1]) == ARGV[1] then
    deleted = deleted + redis.call('UNLINK', key)
    redis.call('UNLINK', 'oxherd:warm:' .. key)
  end
end
return {deleted, redis.call('SCARD', KEYS[1])}
