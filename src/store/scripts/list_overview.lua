--[[
  Tells how a list stands.

  KEYS[1]  list  the list itself; all other keys derive from ARGV[1]

  ARGV[1]  text  what the keys beside the list begin with
  ARGV[2]  int   takes passed over
  ARGV[3]  int   takes told of at most

  Reply:   {elements waiting, delayed, dead, 1 when paused, elements in hand at once at most or "", elements started per window or
           "", the window in ms or "", {token, end of its lease in ms, elements in hand} of each take,
           {name, moment until which it is believed to be there} of each process}
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
--@include count_in_hand

local root, takes = ARGV[1], {}
local members = redis.call('ZRANGE', root .. 'takes', ARGV[2], ARGV[2] + ARGV[3] - 1, 'WITHSCORES')
for at = 1, #members, 2 do
  takes[#takes + 1] = {members[at], members[at + 1], (count_in_hand(root, members[at]))}
end
local processes = {}
local names = redis.call('ZRANGE', root .. 'instances', 0, 999, 'WITHSCORES')
for at = 1, #names, 2 do
  processes[#processes + 1] = {names[at], names[at + 1]}
end
local meta = redis.call('HMGET', root .. 'meta', 'paused', 'concurrency', 'max', 'duration')
return {
  redis.call('LLEN', KEYS[1]),
  redis.call('ZCARD', root .. 'delayed'),
  redis.call('LLEN', root .. 'dead'),
  meta[1] and 1 or 0,
  meta[2] or '',
  meta[3] or '',
  meta[4] or '',
  takes,
  processes
}
