--[[
  How many jobs wait for a worker with each of some priorities; changes nothing.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[n…]  int   priorities, 0 for none

  Reply:   a count for each
  Protocol: §5.2, bullmq 5.81.5 and 6.7.0
]]
local base, counts = ARGV[1], {}
for at = 2, #ARGV do
  local priority = tonumber(ARGV[at])
  if priority == 0 then
    counts[at - 1] = redis.call('LLEN', base .. 'wait') + redis.call('LLEN', base .. 'paused')
  else
    local low, high = priority * 4294967296, (priority + 1) * 4294967296 - 1
    counts[at - 1] =
      redis.call('ZCOUNT', base .. 'prioritized', string.format('%.0f', low), string.format('%.0f', high))
  end
end
return counts
