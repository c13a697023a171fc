--[[
  Ends log-in sessions of a user, all but one if need be.

  KEYS[1]  zset  the user's index: sessions by the moment they end, each as its key goes on behind ARGV[1]

  ARGV[1]  text  base "P:session:"
  ARGV[2]  text  the session that stays, "{T}:H", or ""
  ARGV[3]  int   sessions looked at, at most

  Reply:   {sessions ended, ended ones that left the index, 1 when there are more}
  Protocol: none; these are no keys of a queue
]]
local index, most = KEYS[1], tonumber(ARGV[3])
-- one more than that may be the one that stays
local members = redis.call('ZRANGE', index, 0, most)
local ended, left = 0, 0
for _, member in ipairs(members) do
  if member ~= ARGV[2] then
    ended = ended + redis.call('UNLINK', ARGV[1] .. member)
    left = left + redis.call('ZREM', index, member)
  end
end
return {ended, left - ended, #members > most and 1 or 0}
