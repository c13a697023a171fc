--[[
  Notes that a log-in session is used, which then ends later, though never after its last moment; or replaces what is kept
  with it; or both.

  KEYS[1]  hash  the session "P:session:{T}:H"

  ARGV[1]  text  the session as the index has it, "{T}:H"
  ARGV[2]  ms    now
  ARGV[3]  int   "1" when it is used, "0" when it is changed alone
  ARGV[4]  JSON  what is kept with it, or "" for what it is
  ARGV[5]  int   members that leave the index at most

  Reply:   {user, created, seen, idle, until, data, ended ones that left the index}, empty when there is no such session
  Protocol: none; these are no keys of a queue
]]
--@include drop_lapsed
--@include end_with_last

local key, now = KEYS[1], tonumber(ARGV[2])
local session = redis.call('HMGET', key, 'user', 'created', 'seen', 'idle', 'until', 'data', 'index')
local index = session[7]
if not index then
  return {}
end
session[7] = 0
if ARGV[4] ~= '' then
  session[6] = ARGV[4]
  redis.call('HSET', key, 'data', ARGV[4])
end
if ARGV[3] == '1' then
  local stays, last = tonumber(session[4]), tonumber(session[5])
  if last > 0 then
    stays = math.min(stays, last - now)
  end
  if stays <= 0 then
    redis.call('UNLINK', key)
    redis.call('ZREM', index, ARGV[1])
    return {}
  end
  -- clocks of processes differ by little, and none turns it back
  session[3] = string.format('%.0f', math.max(session[3], now))
  redis.call('HSET', key, 'seen', session[3])
  redis.call('PEXPIRE', key, stays)
  redis.call('ZADD', index, now + stays, ARGV[1])
  session[7] = drop_lapsed(index, now, tonumber(ARGV[5]))
  end_with_last(index, now, {index})
end
return session
