--[[
  Tells which calls the user of this connection may not make; makes none of them.

  KEYS[1]  any  names the slot; the user has a right to it

  ARGV[n…]  per call: how many words it has, and the words

  Reply:   for each call: 1 when it may be made, 0 when not, -1 when the server has no such command; or one -2 alone where
           the server cannot tell, before Redis 7
  Codes:   none
  Events:  none
  Protocol: none
]]
if not redis.acl_check_cmd then
  return {-2}
end
local answers = {}
local at = 1
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  local known, may = pcall(redis.acl_check_cmd, unpack(ARGV, at + 1, at + words))
  answers[#answers + 1] = known and (may and 1 or 0) or -1
  at = at + words + 1
end
return answers
