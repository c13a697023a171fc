--[[
  Removes jobs, with their children where that is asked for, in whatever queues these are. A job that is
  locked runs, and is never removed.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from the bases

  ARGV[1]   ms    now
  ARGV[2]   text  which children go too: "none", "all", or "pending": those not finished, and none that has
                  failed, at any depth
  ARGV[3]   text  "whole": everything at once, or nothing; "look": only looks for locks; "part": from the top
                  as far as it goes, and what is locked stays with its children
  ARGV[4]   int   jobs handled at most
  ARGV[n…]  per job to begin with: base "P:Q:", id, key of the parent it must have, "" for any, and "1" when its
            children are not to be looked for: the caller knows them

  Reply:   {code, jobs removed, then of each job not come to: base, id, parent, and "1" when it has too many children to
           be read in one call; call again with these}
  Codes:   1 done, 0 something is locked and nothing was removed, 2 too much for one call and nothing was
           removed, -8 the job is the current iteration of a scheduler
  Events:  removed; waiting or delayed when a parent has nothing more to wait for
  Protocol: §5.16.7, bullmq 5.81.5 and 6.7.0; a parent goes on as after its last child's end (§9.4, 11)
]]
--@include queue_state
--@include emit
--@include mark_room
--@include is_iteration
--@include split_key
--@include drop_dependency
--@include drop_deduplication

local now, which, how, most = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
-- entries of lists that are walked along in one call, once a job is found: that takes some 20 ms per half a million
local walk = 250000
-- children of one job that are read in one call, and jobs known of and not come to at which it ends
local wide, far = 1000, 2000
local sets = {'completed', 'waiting-children', 'delayed', 'failed', 'prioritized'}
local lists = {'active', 'wait', 'paused'}

local stack = {}
for at = #ARGV - 3, 5, -4 do
  stack[#stack + 1] = {base = ARGV[at], id = ARGV[at + 1], parent = ARGV[at + 2], alone = ARGV[at + 3] == '1', first = true}
end
local jobs, seen, walked, aside = {}, {}, 0, {}
while #stack > 0 and #stack < far and #jobs < most and walked < walk do
  local job = table.remove(stack)
  local key = job.base .. job.id
  if how == 'whole' and job.first and is_iteration(job.base, job.id) then
    return {-8, 0}
  end
  local stored = redis.pcall('HMGET', key, 'parentKey', 'deid')
  local wanted = not seen[key] and (job.parent == '' or job.parent == stored[1])
    and not (which == 'pending' and redis.call('ZSCORE', job.base .. 'failed', job.id))
  seen[key] = true
  if wanted and redis.call('EXISTS', key .. ':lock') == 1 then
    if how ~= 'part' then
      return {0, 0}
    end
    wanted = false
  end
  local kinds = {}
  if wanted and not job.alone and which ~= 'none' then
    local count = redis.call('SCARD', key .. ':dependencies')
    kinds = {{'SMEMBERS', key .. ':dependencies'}}
    if which == 'all' then
      count = count + redis.call('HLEN', key .. ':processed') + redis.call('HLEN', key .. ':failed')
        + redis.call('ZCARD', key .. ':unsuccessful')
      kinds = {{'HKEYS', key .. ':processed'}, {'HKEYS', key .. ':failed'}, {'ZRANGE', key .. ':unsuccessful', 0, -1},
        kinds[1]}
    end
    if count > wide then
      aside[#aside + 1] = job
      wanted = false
    end
  end
  if wanted then
    job.key, job.parent_key, job.deid = key, stored[1], stored[2]
    for _, name in ipairs(sets) do
      if redis.call('ZSCORE', job.base .. name, job.id) then
        job.place = name
        break
      end
    end
    if not job.place then
      for _, name in ipairs(lists) do
        walked = walked + redis.call('LLEN', job.base .. name)
      end
    end
    jobs[#jobs + 1] = job
    for _, kind in ipairs(kinds) do
      for _, child in ipairs(redis.call(unpack(kind))) do
        local base, id = split_key(child)
        stack[#stack + 1] = {base = base, id = id, parent = key}
      end
    end
  end
end

local removed = 0
if how == 'part' or (how == 'whole' and #stack + #aside == 0) then
  local queues = {}
  for _, job in ipairs(jobs) do
    local q = queues[job.base] or queue_state(job.base)
    queues[job.base] = q
    -- the parent of one that is not the first has gone before it
    if job.first and job.parent_key then
      drop_dependency(q, job.parent_key, job.key, now)
    end
    if job.place then
      redis.call('ZREM', job.base .. job.place, job.id)
    else
      for _, name in ipairs(lists) do
        if redis.call('LREM', job.base .. name, -1, job.id) > 0 then
          job.place = name
          break
        end
      end
    end
    if job.place == 'active' then
      mark_room(q)
    end
    if job.deid then
      drop_deduplication(q, job.id, job.deid)
    end
    local key = job.key
    job.there = redis.call('UNLINK', key, key .. ':logs', key .. ':dependencies', key .. ':processed', key .. ':failed',
      key .. ':unsuccessful') > 0
    removed = removed + 1
  end
  -- children are told of before their parents
  for at = #jobs, 1, -1 do
    local job = jobs[at]
    if job.there then
      emit(queues[job.base], 'removed', 'jobId', job.id, 'prev', job.place or 'unknown')
    end
  end
elseif how == 'whole' then
  return {2, 0}
end
local reply = {1, removed}
for _, list in ipairs({stack, aside}) do
  for _, job in ipairs(list) do
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = job.base, job.id, job.parent, list == aside and '1' or ''
  end
end
return reply
