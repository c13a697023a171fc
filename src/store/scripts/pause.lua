--[[
  Pauses a queue: no job is taken from now on. In the 5.x placement the jobs that wait go to the
  `paused` list, behind those that are there already.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  int   list entries moved at most
  ARGV[3]  int   "1" in a call that goes on with the moving: the queue is paused and that was said

  Reply:   1 when entries are left to be moved: call again; else 0
  Codes:   none
  Events:  paused
  Protocol: §5.16.1, bullmq 5.81.5 and 6.7.0 by the placement; never overwrites a list (§9.1)
]]
--@include queue_state
--@include emit

local base = ARGV[1]
local q = queue_state(base)
if ARGV[3] ~= '1' then
  redis.call('HSET', base .. 'meta', 'paused', 1)
  redis.call('DEL', base .. 'marker')
  emit(q, 'paused')
elseif not q.paused then
  return 0
end
local wait, paused = base .. 'wait', base .. 'paused'
if q.placement ~= 'v5' or redis.call('LLEN', wait) == 0 then
  return 0
end
if redis.call('LLEN', paused) == 0 then
  redis.call('RENAME', wait, paused)
  return 0
end
redis.call('LPUSH', paused, unpack(redis.call('RPOP', wait, ARGV[2])))
return redis.call('EXISTS', wait)
