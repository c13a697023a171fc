--[[
  Counts the delayed jobs that are there before their time because a job scheduler has one ready; changes nothing.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  ms    now
  ARGV[3]  int   job schedulers to pass over
  ARGV[4]  int   job schedulers to look at

  Reply:   jobs counted, and whether there are more job schedulers, 1 or 0
  Protocol: none; reads what §5.13.1 describes
]]
local base, wanted, count = ARGV[1], tonumber(ARGV[4]), 0
local found = redis.call('ZRANGEBYSCORE', base .. 'repeat', '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', ARGV[3], wanted)
for at = 1, #found, 2 do
  if redis.call('ZSCORE', base .. 'delayed', 'repeat:' .. found[at] .. ':' .. found[at + 1]) then
    count = count + 1
  end
end
return {count, #found == 2 * wanted and 1 or 0}
