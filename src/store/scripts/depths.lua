--[[
  How many jobs are in each state of several queues, and since when the one waits that is served next; changes nothing.

  KEYS[1]  hash  K(meta) of the first queue, names the slot; all other keys derive from the bases

  ARGV[n…]  text  per queue: base "P:Q:"

  Reply:   per queue {waiting, active, delayed, prioritized, completed, failed, waiting-children (counts), 1 when paused,
           moment in ms since when the job waits that is served next, false without one}, or false where a key is of
           another type
  Codes:   none
  Events:  none
  Protocol: §5.17, bullmq 5.81.5 and 6.7.0
]]
--@include count_states
--@include served_next

-- Since it was added or its delay was over, or since its last attempt began.
local function since(base)
  local id = served_next(base)
  local job = id and redis.call('HMGET', base .. id, 'timestamp', 'opts', 'processedOn')
  local added = job and tonumber(job[1] or '')
  if not added then
    return false
  end
  local worked, opts = pcall(cjson.decode, job[2] or '')
  local delay = worked and type(opts) == 'table' and tonumber(opts.delay) or 0
  return math.max(added + delay, tonumber(job[3] or '') or 0)
end

local function depths(base)
  local answer = count_states(base)
  answer[9] = since(base)
  return answer
end

local answers = {}
for at = 1, #ARGV do
  local worked, answer = pcall(depths, ARGV[at])
  answers[at] = worked and answer
end
return answers
