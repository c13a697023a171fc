--[[
  Adds jobs, in order, each as BullMQ adds one: standard, delayed, prioritized, at the front, with
  its own id, as a child, in a window of deduplication.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1] and the parents

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   text  status probe (open_status)
  ARGV[3]   JSON  status settings (publish_status)
  ARGV[n…]  per job: id ("" takes the next number), name, data JSON, opts JSON, timestamp in ms, delay in ms,
            priority, and its ties: "" for none, "1" to go to the front, else JSON with the members front, parentKey
            and parent (the text stored), and de (the window, as in opts)

  Reply:   per job, in order: its id, also where a job of this id is there already; in a window the id of the job that
           is there instead; or a code
  Codes:   -5 the parent is missing, no number was used; -7 the job is there and has another parent
  Events:  added and waiting or delayed; duplicated; deduplicated, removed; those of a parent that is released
  Protocol: §4.2, §4.3, §5.3, §5.4.3, bullmq 6.7.0
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

local base = ARGV[1]
local q = queue_state(base)
local status = open_status(ARGV[2], ARGV[3])
local count = (#ARGV - 3) / 8
local number = redis.call('INCRBY', base .. 'id', count) - count
local answers, back, front = {}, {}, {}
local ready, delayed = false, false
local unused = 0

local function flush()
  for at = 1, #back, 1000 do
    redis.call('LPUSH', q.wait, unpack(back, at, math.min(at + 999, #back)))
  end
  for at = 1, #front, 1000 do
    redis.call('RPUSH', q.wait, unpack(front, at, math.min(at + 999, #front)))
  end
  back, front = {}, {}
end

for n = 1, count do
  local at = n * 8 - 4
  local id, ties = ARGV[at], ARGV[at + 7]
  local first, parent_key, parent, window = ties == '1', nil, nil, nil
  if #ties > 1 then
    ties = cjson.decode(ties)
    first, parent_key, parent, window = ties.front, ties.parentKey, ties.parent, ties.de
  end
  local timestamp, delay, priority = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local answer
  if parent_key and redis.call('EXISTS', parent_key) == 0 then
    answer = -5
    unused = unused + 1
  elseif id ~= '' and redis.call('EXISTS', base .. id) == 1 then
    number = number + 1
    answer = id
    if parent_key then
      -- a parent that is released goes to the front, past those who came before it
      flush()
      if attach_child(q, id, parent_key, parent) == 0 then
        release_if_free(q, parent_key, timestamp)
      else
        answer = -7
      end
    end
    if answer == id then
      emit(q, 'duplicated', 'jobId', id)
    end
  else
    number = number + 1
    if id == '' then
      id = string.format('%.0f', number)
    end
    if window then
      local job = {name = ARGV[at + 1], data = ARGV[at + 2], opts = ARGV[at + 3], delay = delay}
      answer = deduplicate(q, window, id, job, timestamp)
    end
    if not answer then
      answer = id
      local extra
      if window then
        extra = {'deid', window.id}
      elseif parent_key then
        extra = {'parentKey', parent_key, 'parent', parent}
        redis.call('SADD', parent_key .. ':dependencies', base .. id)
      end
      store_job(q, id, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], extra)
      if delay > 0 then
        add_delayed(q, id, timestamp, delay)
        delayed = true
      else
        if priority > 0 then
          add_prioritized(q, id, priority)
        elseif first then
          front[#front + 1] = id
        else
          back[#back + 1] = id
        end
        emit(q, 'waiting', 'jobId', id)
        ready = true
      end
      if status then
        publish_status(status, q, id, delay > 0 and 'delayed' or 'waiting', timestamp, 1, false)
      end
    end
  end
  answers[n] = answer
end
flush()
if unused > 0 then
  redis.call('DECRBY', base .. 'id', unused)
end
if ready then
  mark(q)
end
if delayed then
  mark_delayed(q)
end
return answers
