--[[
  Stores values in the cache. Whoever is making one of them is late: its lock goes.

  KEYS[1]  string  the first of the keys, names the slot

  ARGV[1]  int   how many tags the keys bear
  ARGV[2]  int   the longest time to live of them, in ms
  ARGV[n…]  text  sets of the tags; then per key: the key, its value, and its time to live in ms

  Reply:   1
  Protocol: none; these are no keys of a queue
]]
--@include tag_key
local first = 3 + tonumber(ARGV[1])
for at = first, #ARGV, 3 do
  local key = ARGV[at]
  for tag = 3, first - 1 do
    tag_key(ARGV[tag], key, tonumber(ARGV[2]))
  end
  redis.call('SET', key, ARGV[at + 1], 'PX', ARGV[at + 2])
  redis.call('UNLINK', 'oxherd:warm:' .. key)
end
return 1
