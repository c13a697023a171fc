--[[
  Pauses a list, or lets it go on: while it is paused nothing is taken by oxherd, and what waits stays where it is.

  KEYS[1]  list  the list itself, names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  what the keys beside the list begin with
  ARGV[2]  int   1 pauses, 0 resumes

  Reply:   1 when that changed something, else 0
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
local meta = ARGV[1] .. 'meta'
if ARGV[2] == '1' then
  return redis.call('HSET', meta, 'paused', 1)
end
local changed = redis.call('HDEL', meta, 'paused')
redis.call('ZADD', ARGV[1] .. 'marker', 0, '0')
return changed
