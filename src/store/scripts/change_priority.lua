--[[
  Gives a job another priority. One that waits for a worker takes its new place at once, any other when it becomes
  ready.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  job id
  ARGV[3]  int   priority, 0 for none
  ARGV[4]  "1" places it before the others of its priority, "0" behind them

  Reply:   0, or a code
  Codes:   -1 job missing
  Events:  none
  Protocol: §5.16.5, bullmq 5.81.5 and 6.7.0; the marker is set for every job that is ready (§9.4, 4)
]]
--@include queue_state
--@include make_ready
--@include state_of

local base, id, priority, front = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local key = base .. id
if redis.call('EXISTS', key) == 0 then
  return -1
end
redis.call('HSET', key, 'priority', ARGV[3])
local state = state_of(base, id)
if state == 'prioritized' then
  redis.call('ZREM', base .. 'prioritized', id)
elseif state ~= 'waiting'
  -- a paused queue may have jobs in either list
  or redis.call('LREM', base .. 'wait', 1, id) == 0 and redis.call('LREM', base .. 'paused', 1, id) == 0 then
  return 0
end
local q = queue_state(base)
if priority > 0 and front then
  redis.call('ZADD', base .. 'prioritized', string.format('%.0f', priority * 4294967296), id)
  mark(q)
else
  make_ready(q, id, priority, front)
end
return 0
