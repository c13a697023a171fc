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

-- Since it was added or its delay was over, or since its last attempt began.
local function since(base)
  local id = redis.call('LINDEX', base .. 'wait', -1) or redis.call('LINDEX', base .. 'paused', -1)
    or redis.call('ZRANGE', base .. 'prioritized', 0, 0)[1]
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
  return {
    redis.call('LLEN', base .. 'wait') + redis.call('LLEN', base .. 'paused'),
    redis.call('LLEN', base .. 'active'),
    redis.call('ZCARD', base .. 'delayed'),
    redis.call('ZCARD', base .. 'prioritized'),
    redis.call('ZCARD', base .. 'completed'),
    redis.call('ZCARD', base .. 'failed'),
    redis.call('ZCARD', base .. 'waiting-children'),
    redis.call('HEXISTS', base .. 'meta', 'paused'),
    since(base)
  }
end

local answers = {}
for at = 1, #ARGV do
  local worked, answer = pcall(depths, ARGV[at])
  answers[at] = worked and answer
end
return answers
