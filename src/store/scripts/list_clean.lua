--[[
  Removes elements of a list that wait, are delayed or dead: those next in turn, those due first, the oldest.

  KEYS[1]  list  the list itself; all other keys derive from ARGV[1]

  ARGV[1]  text  what the keys beside the list begin with
  ARGV[2]  text  waiting, delayed or failed
  ARGV[3]  text  end that is taken from, left or right
  ARGV[4]  int   elements removed at most

  Reply:   elements removed
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
local most = tonumber(ARGV[4])
if ARGV[2] == 'delayed' then
  return redis.call('ZREMRANGEBYRANK', ARGV[1] .. 'delayed', 0, most - 1)
end
local key, left = KEYS[1], ARGV[3] == 'left'
if ARGV[2] == 'failed' then
  key, left = ARGV[1] .. 'dead', false
end
local count = redis.call('LLEN', key)
if left then
  redis.call('LTRIM', key, most, -1)
else
  redis.call('LTRIM', key, 0, -most - 1)
end
return math.min(count, most)
