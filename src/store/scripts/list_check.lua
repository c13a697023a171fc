--[[
  Fails when the list or a key beside it holds another type: a script that met it half-way would leave half its work.

  KEYS[1]  list  the list itself; all other keys derive from ARGV[1]

  ARGV[1]  text  what the keys beside the list begin with

  Reply:   1
  Codes:   none; WRONGTYPE as an error that names the key
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
local expected = {
  meta = 'hash', marker = 'zset', delayed = 'zset', dead = 'list', takes = 'zset', instances = 'zset', crashes = 'hash',
  suspects = 'hash', limiter = 'string'
}
local function check(key, kind)
  local found = redis.call('TYPE', key).ok
  return found ~= 'none' and found ~= kind and 'WRONGTYPE key ' .. key .. ' holds a ' .. found .. ' instead of a ' .. kind
end
local wrong = check(KEYS[1], 'list')
for name, kind in pairs(expected) do
  wrong = wrong or check(ARGV[1] .. name, kind)
end
return wrong and redis.error_reply(wrong) or 1
