--[[
  Deletes everything of a paused queue, whatever state its jobs are in, a bounded number in a call.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  ms    now
  ARGV[3]  int   jobs and schedulers deleted at most
  ARGV[4]  int   "1" when active jobs go too
  ARGV[5]  int   "1" when the queue itself goes too, once no job is left

  Reply:   {code, number}: 0 and the jobs deleted, nothing is left; 1 and the jobs deleted, call again; or a code
  Codes:   -1 the queue is not paused, -2 jobs are active, this many; nothing was deleted in that call
  Events:  none, but those of parents in other queues that waited for a deleted job
  Protocol: §5.16.4, bullmq 5.81.5 and 6.7.0; deletes also what they forget (§9.4, 7), but for the keys of
            deduplication whose job is gone, which no script can find
]]
--@include queue_state
--@include sweep_jobs
--@include leave_set

local base, now, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if redis.call('HEXISTS', base .. 'meta', 'paused') == 0 then
  return {-1, 0}
end
local active = redis.call('LLEN', base .. 'active')
if active > 0 and ARGV[4] ~= '1' then
  return {-2, active}
end
local q = queue_state(base)
local gone = 0
for _, name in ipairs({'active', 'wait', 'paused'}) do
  local key = base .. name
  local ids = room > 0 and redis.call('LRANGE', key, -room, -1) or {}
  if #ids > 0 then
    if name == 'active' then
      for _, id in ipairs(ids) do
        redis.call('DEL', base .. id .. ':lock')
      end
    end
    gone = gone + sweep_jobs(q, ids, now)
    redis.call('RPOP', key, #ids)
    room = room - #ids
  end
end
for _, name in ipairs({'delayed', 'prioritized', 'waiting-children', 'completed', 'failed'}) do
  local ids = room > 0 and redis.call('ZRANGE', base .. name, 0, room - 1) or {}
  if #ids > 0 then
    gone = gone + sweep_jobs(q, ids, now)
    leave_set(base .. name, ids)
    room = room - #ids
  end
end
local schedulers = room > 0 and redis.call('ZRANGE', base .. 'repeat', 0, room - 1) or {}
for _, scheduler in ipairs(schedulers) do
  redis.call('DEL', base .. 'repeat:' .. scheduler)
end
leave_set(base .. 'repeat', schedulers)
if room <= #schedulers then
  return {1, gone}
end
if ARGV[5] == '1' then
  local keys = {}
  for at, name in ipairs({'events', 'delay', 'stalled-check', 'stalled', 'id', 'pc', 'marker', 'limiter', 'priority',
    'meta', 'metrics:completed', 'metrics:failed', 'metrics:completed:data', 'metrics:failed:data', 'oxherd.cancel', 'oxherd.gates'}) do
    keys[at] = base .. name
  end
  redis.call('UNLINK', unpack(keys))
end
return {0, gone}
