--[[
  Deletes values of the cache, and the locks of those who are making them: what they make is not stored.

  KEYS[1]  string  the first of the keys, names the slot

  ARGV[n…]  text  the keys

  Reply:   {values deleted, keys left alone since they hold something else}
  Protocol: none; these are no keys of a queue
]]
local deleted, left = 0, 0
for at = 1, #ARGV do
  local kind = redis.call('TYPE', ARGV[at]).ok
  if kind == 'string' then
    deleted = deleted + redis.call('UNLINK', ARGV[at])
  elseif kind ~= 'none' then
    left = left + 1
  end
  redis.call('UNLINK', 'oxherd:warm:' .. ARGV[at])
end
return {deleted, left}
