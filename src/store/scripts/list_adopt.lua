--[[
  Tells what a take holds whose reply got lost.

  KEYS[1]  list  the list itself, names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  what the keys beside the list begin with
  ARGV[2]  text  token of the take

  Reply:   {elements, elements with a note before them, which of either are done: a digit each}
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
return {
  redis.call('LRANGE', ARGV[1] .. 'held:' .. ARGV[2], 0, -1),
  redis.call('LRANGE', ARGV[1] .. 'again:' .. ARGV[2], 0, -1),
  redis.call('GET', ARGV[1] .. 'done:' .. ARGV[2]) or ''
}
