--[[
  What those who keep schedules must know of job schedulers; changes nothing.

  KEYS[1]   hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   text  field of the definition that is wanted as well, "" for none
  ARGV[n…]  text  ids of schedulers

  Reply:   for each {mark, next time, time put off, that field, "1" when paused}, false where there is none; 0 when
           there is no such scheduler
  Protocol: none; reads what §5.13.1 describes
]]
local base, found = ARGV[1], {}
for at, id in ipairs({unpack(ARGV, 3)}) do
  local definition = base .. 'repeat:' .. id
  local score = redis.call('ZSCORE', base .. 'repeat', id)
  found[at] = 0
  if score or redis.call('EXISTS', definition) == 1 then
    -- a key of the wrong type carries no mark: one that is broken keeps nobody from seeing to the others
    local stored = redis.pcall('HMGET', definition, 'oxherd.mark', 'oxherd.pending', ARGV[2], 'oxherd.paused')
    found[at] = {stored[1], score and string.format('%.0f', tonumber(score)), stored[2], stored[3], stored[4]}
  end
end
return found
