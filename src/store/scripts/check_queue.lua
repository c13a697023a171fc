--[[
  Fails, before anything else is done, when a key of the queue holds another type than BullMQ's: a
  script that met it half-way would leave half its work.

  KEYS[1]  hash  K(meta), names the slot

  ARGV[1]  text  base "P:Q:"

  Reply:   1
  Codes:   none; WRONGTYPE as an error that names the key
  Events:  none
  Protocol: §2.1
]]
local expected = {
  meta = 'hash', wait = 'list', paused = 'list', active = 'list', prioritized = 'zset', delayed = 'zset',
  completed = 'zset', failed = 'zset', ['waiting-children'] = 'zset', marker = 'zset', stalled = 'set',
  events = 'stream', id = 'string', pc = 'string', limiter = 'string', ['stalled-check'] = 'string'
}
for name, kind in pairs(expected) do
  local found = redis.call('TYPE', ARGV[1] .. name).ok
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE key ' .. ARGV[1] .. name .. ' holds a ' .. found .. ' instead of a ' .. kind)
  end
end
return 1
