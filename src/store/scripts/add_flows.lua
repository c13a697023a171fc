--[[
  Adds whole trees of jobs over any number of queues, all of them or none. A job comes after its parent.

  KEYS[1]  hash  K(meta) of the first queue, names the slot; all other keys derive from the bases and the parents

  ARGV[1]   ms    now
  ARGV[2]   int   number of queues
  ARGV[n…]  per queue: base "P:Q:", status probe (open_status), status settings (publish_status);
            then per job: number of its queue from 1, id, name, data JSON, opts JSON, timestamp in ms, delay in ms,
            priority, where it goes: "back" or "front" of the wait list, or "children" to wait for them; key of its
            parent or "", the `parent` text stored or "", its window of deduplication as JSON or "" (only of a job
            without parent and children)

  Reply:   {0, id…} with an id per job with a window, in order: its own, or that of the job that is there instead;
           or {code, number of the job that is refused from 1}, and nothing is done
  Codes:   -5 the parent is missing, -7 the job is there and has another parent
  Events:  per job as of add_jobs, or waiting-children; then waiting or delayed of parents that need not wait
  Protocol: §5.4.2, §5.4.3, bullmq 6.7.0; codes are found before anything is written (§9.4, 9)
]]
--@include queue_state
--@include open_status
--@include publish_status
--@include store_job
--@include add_delayed
--@include mark_delayed
--@include add_prioritized
--@include mark
--@include deduplicate
--@include attach_child
--@include release_if_free

local now = tonumber(ARGV[1])
local queues, at = {}, 3
for n = 1, tonumber(ARGV[2]) do
  queues[n] = {base = ARGV[at], probe = ARGV[at + 1], spec = ARGV[at + 2], jobs = 0, back = {}, front = {}}
  at = at + 3
end
local first, last = at, #ARGV

-- most jobs are new: one look tells for a thousand of them
local known = {}
local keys = {}
local function look()
  if #keys > 0 and redis.call('EXISTS', unpack(keys)) > 0 then
    for _, key in ipairs(keys) do
      known[key] = redis.call('EXISTS', key) == 1
    end
  end
  keys = {}
end
for at = first, last, 12 do
  keys[#keys + 1] = queues[tonumber(ARGV[at])].base .. ARGV[at + 1]
  if #keys == 1000 then
    look()
  end
end
look()

-- what is added here, by key
local made = {}
for at = first, last, 12 do
  local queue = queues[tonumber(ARGV[at])]
  local key, parent_key = queue.base .. ARGV[at + 1], ARGV[at + 9]
  if parent_key ~= '' then
    local code
    if not made[parent_key] and redis.call('EXISTS', parent_key) == 0 then
      code = -5
    elseif known[key] then
      local old = redis.call('HGET', key, 'parentKey')
      if old and old ~= parent_key and (made[old] or redis.call('EXISTS', old) == 1) then
        code = -7
      end
    end
    if code then
      return {code, (at - first) / 12 + 1}
    end
  end
  made[key] = true
  queue.jobs = queue.jobs + 1
end

for _, queue in ipairs(queues) do
  redis.call('INCRBY', queue.base .. 'id', queue.jobs)
  queue.q = queue_state(queue.base)
  queue.status = open_status(queue.probe, queue.spec)
end

-- parents in the order they were met, and a queue to look for each from
local parents, seen_from = {}, {}
local function look_after(q, key)
  if not seen_from[key] then
    seen_from[key] = q
    parents[#parents + 1] = key
  end
end

-- Children of one parent come one after the other: one command tells it of all.
local family, children = nil, {}
local function waits_for(parent_key, child_key)
  if child_key and family == parent_key and #children < 1000 then
    children[#children + 1] = child_key
    return
  end
  if #children > 0 then
    redis.call('SADD', family .. ':dependencies', unpack(children))
  end
  family, children = parent_key, {child_key}
end

local reply = {0}
for at = first, last, 12 do
  local queue = queues[tonumber(ARGV[at])]
  local q, id, place, parent_key = queue.q, ARGV[at + 1], ARGV[at + 8], ARGV[at + 9]
  local timestamp, delay, priority = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local window = ARGV[at + 11] ~= '' and cjson.decode(ARGV[at + 11])
  local answer
  -- looked at once more: a job of another tree may have replaced it
  if known[q.base .. id] and redis.call('EXISTS', q.base .. id) == 1 then
    answer = id
    if parent_key ~= '' then
      attach_child(q, id, parent_key, ARGV[at + 10])
    end
    emit(q, 'duplicated', 'jobId', id)
  elseif window then
    local job = {name = ARGV[at + 2], data = ARGV[at + 3], opts = ARGV[at + 4], delay = delay}
    answer = deduplicate(q, window, id, job, timestamp)
  end
  if not answer then
    answer = id
    local extra
    if window then
      extra = {'deid', window.id}
    elseif parent_key ~= '' then
      extra = {'parentKey', parent_key, 'parent', ARGV[at + 10]}
      waits_for(parent_key, q.base .. id)
    end
    store_job(q, id, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7], extra)
    local state = 'waiting'
    if place == 'children' then
      redis.call('ZADD', q.base .. 'waiting-children', timestamp, id)
      emit(q, 'waiting-children', 'jobId', id)
    elseif delay > 0 then
      add_delayed(q, id, timestamp, delay)
      queue.delayed = true
      state = 'delayed'
    else
      if priority > 0 then
        add_prioritized(q, id, priority)
      else
        table.insert(queue[place], id)
      end
      emit(q, 'waiting', 'jobId', id)
      queue.ready = true
    end
    if queue.status then
      publish_status(queue.status, q, id, state, timestamp, 1, false)
    end
  end
  if window then
    reply[#reply + 1] = answer
  end
  if place == 'children' then
    look_after(q, q.base .. id)
  end
  if parent_key ~= '' then
    look_after(q, parent_key)
  end
end

waits_for()
for _, queue in ipairs(queues) do
  local q, back, front = queue.q, queue.back, queue.front
  for at = 1, #back, 1000 do
    redis.call('LPUSH', q.wait, unpack(back, at, math.min(at + 999, #back)))
  end
  for at = 1, #front, 1000 do
    redis.call('RPUSH', q.wait, unpack(front, at, math.min(at + 999, #front)))
  end
  if queue.ready then
    mark(q)
  end
  if queue.delayed then
    mark_delayed(q)
  end
end
for _, key in ipairs(parents) do
  release_if_free(seen_from[key], key, now)
end
return reply
