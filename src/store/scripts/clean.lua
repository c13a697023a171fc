--[[
  Deletes jobs of one collection that are old enough, the oldest first, but for the current iterations of
  schedulers and for active jobs that are locked.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  ms    now
  ARGV[3]  ms    jobs of this moment and before go: of finished ones by their end, of those in delayed by their
                 last start and else their creation, of prioritized ones by their creation, of those in lists by
                 the first of end, start, creation they have
  ARGV[4]  text  collection: completed, failed, delayed, prioritized, wait, paused or active
  ARGV[5]  int   jobs deleted at most
  ARGV[6]  int   jobs looked at at most; active is looked through whole
  ARGV[7]  text  cursor: "" at first, then that of the reply

  Reply:   {1 when more may be there, cursor, ids…}
  Codes:   none
  Events:  cleaned; those of parents in other queues that waited for a deleted job
  Protocol: §5.16.3, bullmq 5.81.5 and 6.7.0; parents the deleted jobs leave alone are not counted
]]
--@include queue_state
--@include emit
--@include mark_room
--@include is_iteration
--@include sweep_jobs
--@include leave_set
--@include tokens_of

local base, now, until_ms, name = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local most, looked, cursor = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local key = base .. name
local q = queue_state(base)
local ids, more = {}, 0

-- Whether a job goes, by the first of these hash fields it has. Nothing holds an id without a job.
local function is_old(id, ...)
  if is_iteration(base, id) then
    return false
  end
  local at = redis.pcall('HMGET', base .. id, ...)
  return (tonumber(at[1] or at[2] or at[3] or '') or 0) <= until_ms
end

local function clean_finished()
  ids = redis.call('ZRANGEBYSCORE', key, 0, ARGV[3], 'LIMIT', 0, most)
  more = #ids == most and 1 or 0
  sweep_jobs(q, ids, now)
  leave_set(key, ids)
end

-- The cursor is the last score looked at and the number of jobs left alone that have it.
local function clean_set(...)
  local from, skip = string.match(cursor, '^(%S+) (%d+)$')
  from, skip = from or '-inf', tonumber(skip or '0')
  local page = redis.call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', skip, looked)
  more = #page == looked * 2 and 1 or 0
  for at = 1, #page, 2 do
    local id, score = page[at], page[at + 1]
    if score ~= from then
      from, skip = score, 0
    end
    if not is_old(id, ...) then
      skip = skip + 1
    elseif #ids < most then
      ids[#ids + 1] = id
    else
      more = 1
      break
    end
  end
  cursor = from .. ' ' .. skip
  sweep_jobs(q, ids, now)
  leave_set(key, ids)
end

-- How far from the served end the entry is now that was `skip` entries from it at the last call. Jobs are taken
-- from there meanwhile; when it is gone itself, all beyond it is. Where it cannot be found near by, all is looked at anew.
local function distance_of(id, skip, length)
  if skip == 0 or (skip <= length and redis.call('LINDEX', key, -skip) == id) then
    return skip
  end
  local near = redis.call('LRANGE', key, -skip, math.min(-skip + 4999, -1))
  local from = math.min(skip, length)
  for at, found in ipairs(near) do
    if found == id then
      return from - at + 1
    end
  end
  return 0
end

-- The cursor is the last entry that was left alone, and how far from the served end it was.
local function clean_list()
  local length, skip = redis.call('LLEN', key), 0
  local last = ''
  if name == 'active' then
    looked = length
  elseif cursor ~= '' then
    skip, last = string.match(cursor, '^(%d+) (.*)$')
    skip = distance_of(last, tonumber(skip), length)
  end
  local page = looked > 0 and redis.call('LRANGE', key, -(skip + looked), -(skip + 1)) or {}
  more = #page == looked and name ~= 'active' and 1 or 0
  local tokens = name == 'active' and tokens_of(base, page) or {}
  local places, left = {}, 0
  for at = #page, 1, -1 do
    local id = page[at]
    if tokens[at] or not is_old(id, 'finishedOn', 'processedOn', 'timestamp') then
      last, left = id, left + 1
    elseif #ids < most then
      ids[#ids + 1] = id
      places[#places + 1] = at - #page - 1 - skip
    else
      more = 1
      break
    end
  end
  sweep_jobs(q, ids, now)
  if last ~= '' and name ~= 'active' then
    cursor = skip + left .. ' ' .. last
  end
  -- taken out in one walk; entries that start with "0:" are skipped by every worker, should the walk fail
  for _, place in ipairs(places) do
    redis.call('LSET', key, place, '0:cleaned')
  end
  if #places > 0 then
    redis.call('LREM', key, skip * 2 > length and #places or -#places, '0:cleaned')
    if name == 'active' then
      mark_room(q)
    end
  end
end

if name == 'completed' or name == 'failed' then
  clean_finished()
elseif name == 'delayed' then
  clean_set('processedOn', 'timestamp')
elseif name == 'prioritized' then
  clean_set('timestamp')
else
  clean_list()
end
-- those in paused are waiting jobs too, of which wait has told
if #ids > 0 or name ~= 'paused' then
  emit(q, 'cleaned', 'count', #ids)
end
return {more, cursor, unpack(ids)}
