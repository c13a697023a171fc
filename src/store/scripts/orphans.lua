--[[
  Looks whether keys of a queue are left over: nothing will ever come to them. Deletes them where that is asked for.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from the base

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  ms    now
  ARGV[3]  ms    younger ones are not left over
  ARGV[4]  text  "look": how old they are, lists are not looked through, the caller knows them; "check" of those found so:
                 also lists, which takes some milliseconds per 100,000 jobs that wait for each job asked about; "delete":
                 the same, and they go
  ARGV[n…]  per key: what it is, and its name behind the base: "job", "part" (of a job: its lock, logs, children),
            "marker", or "deduplication"

  Reply:   {age in ms of each, -1 where it is not left over}
  Events:  removed, for each job deleted; waiting or delayed when a parent has nothing more to wait for
  Protocol: §2.1 says which keys belong together; deleting is as by remove
]]
--@include queue_state
--@include emit
--@include drop_dependency
--@include drop_deduplication

local base, now, least, mode = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

-- How long nobody has touched a key; nothing where the server does not count that. Looking at some keys touches them, so
-- only the first look can tell.
local function idle(name)
  if mode ~= 'look' then
    return least
  end
  local seconds = redis.pcall('OBJECT', 'IDLETIME', base .. name)
  return type(seconds) == 'number' and seconds * 1000 or nil
end

-- a scheduler may be called like a job or what belongs to one
local function is_scheduler(name)
  local scheduler = string.match(name, '^repeat:(.*)$')
  return scheduler and redis.call('ZSCORE', base .. 'repeat', scheduler)
end

local function is_in_no_state(id)
  for _, name in ipairs({'completed', 'failed', 'delayed', 'prioritized', 'waiting-children'}) do
    if redis.call('ZSCORE', base .. name, id) then
      return false
    end
  end
  for _, name in ipairs(mode == 'look' and {} or {'active', 'wait', 'paused'}) do
    if redis.call('LPOS', base .. name, id) then
      return false
    end
  end
  return true
end

local find = {}

function find.job(id)
  -- before anything else touches it
  local age = idle(id)
  if redis.call('TYPE', base .. id).ok ~= 'hash' or redis.call('EXISTS', base .. id .. ':lock') == 1
    or is_scheduler(id) then
    return nil
  end
  local newest
  for _, at in ipairs(redis.call('HMGET', base .. id, 'timestamp', 'processedOn', 'finishedOn')) do
    at = tonumber(at or '')
    newest = at and math.max(at, newest or at) or newest
  end
  age = newest and now - newest or age
  return age and age >= least and is_in_no_state(id) and age
end

function find.part(name)
  local id = string.match(name, '^(.*):[^:]*$')
  return redis.call('EXISTS', base .. id) == 0 and redis.call('EXISTS', base .. name) == 1 and not is_scheduler(name)
    and idle(name)
end

function find.marker(name)
  local jobs = redis.call('LLEN', base .. 'wait') + redis.call('LLEN', base .. 'paused')
    + redis.call('ZCARD', base .. 'prioritized') + redis.call('ZCARD', base .. 'delayed')
  return jobs == 0 and redis.call('EXISTS', base .. name) == 1 and idle(name)
end

function find.deduplication(name)
  local age = idle(name)
  -- one with a time to live closes its window by itself
  local is_open = age and age >= least and redis.call('PTTL', base .. name) == -1
  local owner = is_open and redis.call('TYPE', base .. name).ok == 'string' and redis.call('GET', base .. name)
  return owner and redis.call('EXISTS', base .. owner) == 0 and age
end

local q
local ages = {}
for at = 5, #ARGV, 2 do
  local kind, name = ARGV[at], ARGV[at + 1]
  local age = find[kind](name)
  age = age and age >= least and age or -1
  if mode == 'delete' and age >= 0 then
    local key = base .. name
    if kind == 'job' then
      q = q or queue_state(base)
      local stored = redis.call('HMGET', key, 'parentKey', 'deid')
      if stored[1] then
        drop_dependency(q, stored[1], key, now)
      end
      if stored[2] then
        drop_deduplication(q, name, stored[2])
      end
      redis.call('UNLINK', key, key .. ':logs', key .. ':dependencies', key .. ':processed', key .. ':failed',
        key .. ':unsuccessful')
      emit(q, 'removed', 'jobId', name, 'prev', 'unknown')
    else
      redis.call('UNLINK', key)
    end
  end
  ages[#ages + 1] = string.format('%.0f', age)
end
return ages
