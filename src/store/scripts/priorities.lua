--[[
  Which priorities jobs wait for a worker with, and how many jobs each; changes nothing.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  int   the lowest priority looked for; 0 stands for none
  ARGV[3]  int   priorities told at most

  Reply:   priority and count for each that there is, in turn; when as many came as were asked for, there may be more
  Protocol: §5.2, bullmq 5.81.5 and 6.7.0
]]
local base, priority, wanted = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
if priority == 0 then
  local plain = redis.call('LLEN', base .. 'wait') + redis.call('LLEN', base .. 'paused')
  if plain > 0 then
    found = {0, plain}
  end
  priority = 1
end
local key = base .. 'prioritized'
while #found < 2 * wanted do
  local low = string.format('%.0f', priority * 4294967296)
  local first = redis.call('ZRANGEBYSCORE', key, low, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if #first == 0 then
    break
  end
  priority = math.floor(tonumber(first[2]) / 4294967296)
  local high = (priority + 1) * 4294967296 - 1
  found[#found + 1] = priority
  found[#found + 1] = redis.call('ZCOUNT', key, first[2], string.format('%.0f', high))
  priority = priority + 1
end
return found
