--[[
  Puts elements back whose process has gone: of takes whose lease is over, or of processes that are named. Those from the list go
  back to the end they were taken from, in their order; the others are due at once. One that is left behind too often goes to
  the dead list.

  KEYS[1]  list  the list itself; all other keys derive from ARGV[1]

  ARGV[1]   text  what the keys beside the list begin with
  ARGV[2]   ms    now
  ARGV[3]   int   times an element may be left behind
  ARGV[4]   int   elements put back at most
  ARGV[5]   text  end that is taken from, left or right
  ARGV[6]   JSON  how elements are read (element_job)
  ARGV[7]   text  status probe (open_status)
  ARGV[8]   JSON  status settings (publish_message)
  ARGV[9]   text  what is kept of the dead list (read_keep)
  ARGV[10]  text  name of this process
  ARGV[11]  ms    how long it is believed to be there
  ARGV[n…]  text  first parts of tokens; none for takes whose lease is over

  Reply:   {ids put back, ids that went to the dead list, 2 when something may be there to be taken and 1 when something waits
           that must not be now (a limit is reached, what kills processes is in hand), 1 when more are to be put back:
           call again}
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
--@include open_status
--@include publish_message
--@include element_job
--@include split_note
--@include print_of
--@include count_in_hand
--@include bury

local key, root, now, max, room = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local back = ARGV[5] == 'left' and 'LPUSH' or 'RPUSH'
local takes, crashes = root .. 'takes', root .. 'crashes'
local recovered, buried, more = {}, {}, 0

redis.call('ZREMRANGEBYSCORE', root .. 'instances', '-inf', now)
redis.call('ZADD', root .. 'instances', now + ARGV[11], ARGV[10])

-- The takes to be ended, the last one of each process first: what it took first is to be served first.
local function abandoned()
  local found = {}
  if #ARGV < 12 then
    found = redis.call('ZRANGEBYSCORE', takes, '-inf', '(' .. now, 'LIMIT', 0, 10000)
  else
    local named = {}
    for at = 12, #ARGV do
      named[ARGV[at]] = true
    end
    for _, token in ipairs(redis.call('ZRANGE', takes, 0, -1)) do
      if named[string.match(token, '^[^:]*')] then
        found[#found + 1] = token
      end
    end
  end
  local order = {}
  for _, token in ipairs(found) do
    local instance, number = string.match(token, '^([^:]*):?(%d*)')
    order[#order + 1] = {token = token, instance = instance, number = tonumber(number) or 0}
  end
  table.sort(order, function(a, b)
    if a.instance ~= b.instance then
      return a.instance < b.instance
    end
    return a.number > b.number
  end)
  return order
end

-- How many processes have left this element behind, the one that died now included.
local function times_left(raw, instance)
  local field = print_of(raw)
  local times, last = string.match(redis.call('HGET', crashes, field) or '', '^(%d+):(.*)$')
  times = tonumber(times) or 0
  if last ~= instance then
    times = times + 1
    redis.call('HSET', crashes, field, times .. ':' .. instance)
    redis.call('PEXPIRE', crashes, 86400000)
  end
  return times
end

local spec, status
local function put_back(take)
  spec = spec or cjson.decode(ARGV[6])
  status = status or open_status(ARGV[7], ARGV[8])
  local count, held, done = count_in_hand(root, take.token)
  -- the numbers in the take of those that are there still
  local indices, index = {}, 0
  while #indices < count do
    if not done or string.sub(done, index + 1, index + 1) ~= '1' then
      indices[#indices + 1] = index
    end
    index = index + 1
  end
  local first = math.max(count - room, 0)
  local entries = count > 0 and redis.call('LRANGE', held, first, -1) or {}
  local noted = string.sub(held, #root + 1, #root + 6) == 'again:'
  local list, later = {}, {}
  for at = #entries, 1, -1 do
    local note, raw = nil, entries[at]
    if noted then
      note, raw = split_note(raw)
    end
    local id, job = element_job(spec, raw, note, take.token, indices[first + at])
    local times = times_left(raw, take.instance)
    local attempt = (note and tonumber(note.made) or 0) + 1
    if times > max then
      local reason = 'job stalled more than allowable limit'
      local told = {id = id, reason = reason, at = now, made = attempt - 1, stalls = times, queue = spec.queue,
        by = take.token}
      bury(root, cjson.encode(told), raw, ARGV[9], now)
      redis.call('HDEL', crashes, print_of(raw))
      buried[#buried + 1] = id
      if status then
        publish_message(status, job, id, 'failed', now, attempt, reason)
      end
    else
      if noted then
        later[#later + 1] = now
        later[#later + 1] = entries[at]
      else
        list[#list + 1] = raw
      end
      recovered[#recovered + 1] = id
      if status then
        publish_message(status, job, id, 'stalled', now, attempt, false)
      end
    end
  end
  if #list > 0 then
    redis.call(back, key, unpack(list))
  end
  if #later > 0 then
    redis.call('ZADD', root .. 'delayed', unpack(later))
  end
  room = room - #entries
  if first > 0 then
    redis.call('LTRIM', held, 0, first - 1)
    more = 1
  else
    redis.call('DEL', held, root .. 'done:' .. take.token)
    redis.call('ZREM', takes, take.token)
  end
end

for _, take in ipairs(abandoned()) do
  if room <= 0 then
    more = 1
    break
  end
  put_back(take)
end

-- Whether a limit is reached, or the next element is one that is not taken beside another like it.
local function is_held(meta)
  local max, most = tonumber(meta[2] or ''), tonumber(meta[3] or '')
  if max and (tonumber(redis.call('GET', root .. 'limiter') or '') or 0) >= max then
    return true
  end
  if most then
    for _, token in ipairs(redis.call('ZRANGE', takes, 0, most)) do
      most = most - count_in_hand(root, token)
    end
    if most <= 0 then
      return true
    end
  end
  local suspect = redis.call('HGET', root .. 'suspects', (string.gsub(string.match(ARGV[10], '[^-]*$'), ':', '')))
  return suspect and redis.call('ZSCORE', takes, suspect)
end

local work = 0
local meta = redis.call('HMGET', root .. 'meta', 'paused', 'max', 'concurrency')
if not meta[1] then
  local first = redis.call('ZRANGE', root .. 'delayed', 0, 0, 'WITHSCORES')
  if redis.call('EXISTS', key) == 1 or first[2] and tonumber(first[2]) <= now then
    work = is_held(meta) and 1 or 2
  end
end
return {recovered, buried, work, more}
