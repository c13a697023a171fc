--[[
  The log-in sessions of a user, the one that would end last first. What has ended leaves the index.

  KEYS[1]  zset  the user's index: sessions by the moment they end, each as its key goes on behind ARGV[1]

  ARGV[1]  text  base "P:session:"
  ARGV[2]  ms    now
  ARGV[3]  int   sessions answered, and members that leave the index, at most

  Reply:   {ended ones that left the index, then per session: member, created, seen, idle, until, data}
  Protocol: none; these are no keys of a queue
]]
--@include drop_lapsed
--@include end_with_last

local index, now, most = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local reply = {drop_lapsed(index, now, most)}
for _, member in ipairs(redis.call('ZREVRANGE', index, 0, most - 1)) do
  local session = redis.call('HMGET', ARGV[1] .. member, 'created', 'seen', 'idle', 'until', 'data')
  if session[1] then
    reply[#reply + 1] = member
    for _, field in ipairs(session) do
      reply[#reply + 1] = field
    end
  else
    reply[1] = reply[1] + redis.call('ZREM', index, member)
  end
end
end_with_last(index, now, {index})
return reply
