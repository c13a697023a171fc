--[[
  Where jobs of job schedulers are, each asked for in a few steps however long the queue is; changes nothing.

  KEYS[1]   hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[n…]  text  ids of jobs

  Reply:   for each {state, ms it ended or false}; 0 when there is no such job. A job that a worker holds is active,
           what is in no sorted set and held by nobody waits
  Protocol: §5.1; bullmq 5.81.5 and 6.7.0
]]
local base, found = ARGV[1], {}
local sets = {'completed', 'failed', 'delayed', 'prioritized', 'waiting-children'}

local function place(id)
  for _, state in ipairs(sets) do
    if redis.call('ZSCORE', base .. state, id) then
      return state
    end
  end
  return redis.call('EXISTS', base .. id .. ':lock') == 1 and 'active' or 'waiting'
end

for at, id in ipairs({unpack(ARGV, 2)}) do
  found[at] = 0
  if redis.call('EXISTS', base .. id) == 1 then
    found[at] = {place(id), redis.call('HGET', base .. id, 'finishedOn')}
  end
end
return found
