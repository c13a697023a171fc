--[[
  Adds jobs, in order, each as BullMQ adds one: standard, delayed, prioritized, at the front, with
  its own id.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   text  status probe (open_status)
  ARGV[3]   JSON  status settings (publish_status)
  ARGV[n…]  per job: id ("" takes the next number), name, data JSON, opts JSON, timestamp in ms, delay in ms,
            priority, "1" to go to the front

  Reply:   ids in order; a job whose id is taken already is not added and its id returned
  Codes:   none
  Events:  added and waiting or delayed; duplicated
  Protocol: §5.3, bullmq 5.81.5 and 6.7.0
]]
--@include queue_state
--@include open_status
--@include publish_status
--@include store_job
--@include add_delayed
--@include mark_delayed
--@include add_prioritized
--@include mark

local base = ARGV[1]
local q = queue_state(base)
local status = open_status(ARGV[2], ARGV[3])
local count = (#ARGV - 3) / 8
local number = redis.call('INCRBY', base .. 'id', count) - count
local ids, back, front = {}, {}, {}
local ready, delayed = false, false
for n = 1, count do
  local at = n * 8 - 4
  local id = ARGV[at]
  number = number + 1
  if id ~= '' and redis.call('EXISTS', base .. id) == 1 then
    emit(q, 'duplicated', 'jobId', id)
  else
    if id == '' then
      id = string.format('%.0f', number)
    end
    local timestamp, delay, priority = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
    store_job(q, id, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
    if delay > 0 then
      add_delayed(q, id, timestamp, delay)
      delayed = true
    else
      if priority > 0 then
        add_prioritized(q, id, priority)
      elseif ARGV[at + 7] == '1' then
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
  ids[n] = id
end
for at = 1, #back, 1000 do
  redis.call('LPUSH', q.wait, unpack(back, at, math.min(at + 999, #back)))
end
for at = 1, #front, 1000 do
  redis.call('RPUSH', q.wait, unpack(front, at, math.min(at + 999, #front)))
end
if ready then
  mark(q)
end
if delayed then
  mark_delayed(q)
end
return ids
