--[[
  Puts dead elements back into the list, behind those that wait, as they once were.

  KEYS[1]  list  the list itself; all other keys derive from ARGV[1]

  ARGV[1]   text  what the keys beside the list begin with
  ARGV[2]   text  end that is taken from, left or right
  ARGV[3]   int   of the oldest so many at most; 0 for those that are named
  ARGV[n…]  bytes entries of the dead list

  Reply:   elements put back
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
--@include split_note
--@include print_of

-- a list that is none is found before anything is moved
redis.call('LLEN', KEYS[1])
local dead, moved = ARGV[1] .. 'dead', 0
local push = ARGV[2] == 'left' and 'RPUSH' or 'LPUSH'
local function back(entry)
  local _, raw = split_note(entry)
  redis.call(push, KEYS[1], raw)
  redis.pcall('HDEL', ARGV[1] .. 'crashes', print_of(raw))
  moved = moved + 1
end
for _ = 1, tonumber(ARGV[3]) do
  local entry = redis.call('LINDEX', dead, -1)
  if not entry then
    break
  end
  back(entry)
  redis.call('RPOP', dead)
end
for at = 4, #ARGV do
  if redis.call('LREM', dead, 1, ARGV[at]) == 1 then
    back(ARGV[at])
  end
end
return moved
