--[[
  Lets a paused queue go on. What waits in the `paused` list, where 5.x clients put it, is joined with
  the wait list and served first. The queue stays paused until all of it has moved.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  int   list entries moved at most

  Reply:   1 when entries are left to be moved: call again; else 0
  Codes:   none
  Events:  resumed, with the last call
  Protocol: §5.16.1, bullmq 6.7.0; the order is kept however long both lists are
]]
--@include queue_state
--@include emit
--@include mark_delayed

local base, most = ARGV[1], tonumber(ARGV[2])
local wait, paused = base .. 'wait', base .. 'paused'
local young, old = redis.call('LLEN', wait), redis.call('LLEN', paused)
if old > 0 then
  if young <= most then
    if young > 0 then
      redis.call('LPUSH', paused, unpack(redis.call('RPOP', wait, young)))
    end
    redis.call('RENAME', paused, wait)
  else
    redis.call('RPUSH', wait, unpack(redis.call('LPOP', paused, most)))
    if old > most then
      return 1
    end
  end
end
local q = queue_state(base)
redis.call('HDEL', base .. 'meta', 'paused')
if redis.call('EXISTS', wait, base .. 'prioritized') > 0 then
  redis.call('ZADD', base .. 'marker', 0, '0')
else
  mark_delayed(q)
end
emit(q, 'resumed')
return 0
