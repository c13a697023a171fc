--[[
  Begins a log-in session of a user. Where the user has as many as are allowed, those that would end first go, or there
  is none. What has ended leaves the index, which ends with its last session.

  KEYS[1]  zset  the user's index: sessions by the moment they end, each as its key goes on behind ARGV[1]

  ARGV[1]  text  base "P:session:"
  ARGV[2]  text  the session, "{T}:H"
  ARGV[3]  text  user
  ARGV[4]  ms    now
  ARGV[5]  ms    how long it lasts unused
  ARGV[6]  ms    moment it ends in any case, or "0"
  ARGV[7]  JSON  what is kept with it
  ARGV[8]  int   sessions allowed, or "0" for any number
  ARGV[9]  text  "oldest": those that would end first make room, or "refuse"
  ARGV[10] int   members looked at and taken out at most

  Reply:   {1 begun or 0 refused, sessions that made room, ended ones that left the index}
  Protocol: none; these are no keys of a queue
]]
--@include drop_lapsed
--@include end_with_last

local index, base, now, allowed, most = KEYS[1], ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[8]), tonumber(ARGV[10])
local lapsed = drop_lapsed(index, now, most)
local over = allowed > 0 and redis.call('ZCOUNT', index, '(' .. ARGV[4], '+inf') + 1 - allowed or 0
if over > 0 then
  -- a key that somebody has deleted by hand counts no more
  for _, member in ipairs(redis.call('ZRANGE', index, 0, most - 1)) do
    if redis.call('EXISTS', base .. member) == 0 then
      over = over - redis.call('ZREM', index, member)
      lapsed = lapsed + 1
    end
  end
end
if over > 0 and ARGV[9] == 'refuse' then
  end_with_last(index, now, {index})
  return {0, 0, lapsed}
end
local stays = tonumber(ARGV[5])
if ARGV[6] ~= '0' then
  stays = math.min(stays, ARGV[6] - now)
end
-- the new one first: where there is no memory for it, nobody is logged out
local key = base .. ARGV[2]
redis.call('HSET', key, 'user', ARGV[3], 'index', index, 'created', ARGV[4], 'seen', ARGV[4], 'idle', ARGV[5],
  'until', ARGV[6], 'data', ARGV[7])
redis.call('PEXPIRE', key, stays)
local left = {}
if over > 0 then
  left = redis.call('ZRANGE', index, 0, math.min(over, most) - 1)
  for _, member in ipairs(left) do
    redis.call('UNLINK', base .. member)
    redis.call('ZREM', index, member)
  end
end
redis.call('ZADD', index, now + stays, ARGV[2])
end_with_last(index, now, {index})
return {1, #left, lapsed}
