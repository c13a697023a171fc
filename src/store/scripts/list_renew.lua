--[[
  Renews the leases of takes whose elements are in hand.

  KEYS[1]  list  the list itself, names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  what the keys beside the list begin with
  ARGV[2]   ms    now
  ARGV[3]   ms    life of the leases from now
  ARGV[n…]  text  tokens

  Reply:   the tokens whose elements are not in hand any more
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
local takes, renewed, lost = ARGV[1] .. 'takes', {}, {}
local tokens = {unpack(ARGV, 4)}
-- a write that frees memory comes first: where memory is short Redis allows the others after it
redis.call('ZREM', takes, '')
for at, score in ipairs(redis.call('ZMSCORE', takes, unpack(tokens))) do
  if score then
    renewed[#renewed + 1] = ARGV[2] + ARGV[3]
    renewed[#renewed + 1] = tokens[at]
  else
    lost[#lost + 1] = tokens[at]
  end
end
if #renewed > 0 then
  redis.call('ZADD', takes, 'XX', unpack(renewed))
end
return lost
