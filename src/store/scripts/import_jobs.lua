--[[
  Puts whole jobs back into the state they were in, each wholly or not at all. An active one becomes ready, in front. A
  job whose id is there is left alone.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  status probe (open_status)
  ARGV[4]   JSON  status settings (publish_status)
  ARGV[n…]  per job: id, state, ms of that state (when it is due, ended, or began to wait for children; "" for none), ms
            left of the deduplication window it owns (-1 without end, "" for none), then six groups, each its length
            and its values: fields and values of the hash, log rows, dependencies, processed, failed, and scores and
            members of unsuccessful

  Reply:   per job 1, 0 when its id is there already, or the text of what failed
  Codes:   none
  Events:  added, and waiting, delayed or waiting-children; none for finished jobs
  Protocol: §2.1 and §5.1, as bullmq 5.81.5 and 6.7.0 read it
]]
--@include queue_state
--@include open_status
--@include publish_status
--@include emit
--@include mark
--@include mark_delayed
--@include add_delayed
--@include add_prioritized
--@include delete_jobs

local base, now = ARGV[1], tonumber(ARGV[2])
local q = queue_state(base)
local status = open_status(ARGV[3], ARGV[4])
local commands = {'HSET', 'RPUSH', 'SADD', 'HSET', 'HSET', 'ZADD'}
local suffixes = {'', ':logs', ':dependencies', ':processed', ':failed', ':unsuccessful'}
local highest, ready, delayed = 0, false, false

local function enter(id, state, at)
  local key = base .. id
  local priority = tonumber(redis.call('HGET', key, 'priority') or '') or 0
  if state == 'completed' or state == 'failed' then
    redis.call('ZADD', base .. state, at, id)
    return
  end
  emit(q, 'added', 'jobId', id, 'name', redis.call('HGET', key, 'name') or '')
  local word = 'waiting'
  if state == 'delayed' then
    add_delayed(q, id, at, 0)
    delayed, word = true, 'delayed'
  elseif state == 'waiting-children' then
    redis.call('ZADD', base .. 'waiting-children', at, id)
    emit(q, 'waiting-children', 'jobId', id)
    return
  else
    if state == 'prioritized' and priority > 0 then
      add_prioritized(q, id, priority)
    else
      redis.call(state == 'active' and 'RPUSH' or 'LPUSH', q.wait, id)
    end
    emit(q, 'waiting', 'jobId', id)
    ready = true
  end
  if status then
    local made = tonumber(redis.call('HGET', key, 'atm') or '') or 0
    publish_status(status, q, id, word, now, made + 1, false)
  end
end

local function restore(id, state, at, window, groups)
  local key = base .. id
  -- what a deleted job has left behind would mix with what comes
  delete_jobs(base, {id})
  for n, group in ipairs(groups) do
    -- an even number, so that no pair is torn
    for from = group.from, group.to, 1000 do
      redis.call(commands[n], key .. suffixes[n], unpack(ARGV, from, math.min(from + 999, group.to)))
    end
  end
  local did = window ~= '' and redis.call('HGET', key, 'deid')
  if did and window == '-1' then
    redis.call('SET', base .. 'de:' .. did, id, 'NX')
  elseif did and tonumber(window) > 0 then
    redis.call('SET', base .. 'de:' .. did, id, 'NX', 'PX', window)
  end
  enter(id, state, at)
end

local answers = {}
local at = 5
while at <= #ARGV do
  local id, state, moment, window = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]) or now, ARGV[at + 3]
  local groups = {}
  at = at + 4
  for n = 1, 6 do
    groups[n] = {from = at + 1, to = at + tonumber(ARGV[at])}
    at = groups[n].to + 1
  end
  local answer = 0
  if redis.call('EXISTS', base .. id) == 0 then
    local worked, why = pcall(restore, id, state, moment, window, groups)
    if worked then
      answer = 1
      -- numbers given to later jobs must not be those of earlier ones
      if #id < 16 and string.match(id, '^[1-9]%d*$') then
        highest = math.max(highest, tonumber(id))
      end
    else
      answer = tostring(type(why) == 'table' and why.err or why)
      delete_jobs(base, {id})
    end
  end
  answers[#answers + 1] = answer
end
if highest > (tonumber(redis.call('GET', base .. 'id') or '') or 0) then
  redis.call('SET', base .. 'id', string.format('%.0f', highest))
end
if ready then
  mark(q)
end
if delayed then
  mark_delayed(q)
end
return answers
