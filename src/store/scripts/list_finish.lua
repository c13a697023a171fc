--[[
  Records what became of elements in hand, many in one call, then takes others for the slots that got free. An element is out of
  hand and its end published in the same step, so both happen once.

  KEYS[1]  list  the list itself; all other keys derive from ARGV[1]

  ARGV[1]   text  what the keys beside the list begin with
  ARGV[2]   ms    now
  ARGV[3]   text  token of the take, never that of an earlier one
  ARGV[4]   ms    life of the lease
  ARGV[5]   int   elements wanted, 0 takes none
  ARGV[6]   text  end that is taken from, left or right
  ARGV[7]   text  "reliable", or "at-most-once": nothing is held
  ARGV[8]   int   longest element in bytes that is a job
  ARGV[9]   JSON  how elements are read (element_job)
  ARGV[10]  text  status probe (open_status)
  ARGV[11]  JSON  status settings (publish_message)
  ARGV[12]  int   times an element may be left behind by a process that dies
  ARGV[13]  text  what is kept of the dead list (read_keep)
  ARGV[14]  text  name of this process
  ARGV[n…]  outcomes one after the other, each a kind and its values: token of its take, index in it, id, name, number of the
            attempt, when it began, progress as JSON or "", its bytes where nothing is held, and then
            "c"                       completed
            "f" state reason note     among the dead; the status word's state: failed, expired or cancelled
            "d" state due note        waits until a moment; the status word's state: retrying or delayed
            "w" note                  back to the end it was taken from; with a note to those whose next attempt is due

  Reply:   {codes, take, due}: a code per outcome: 0, or text "code place"; take as of list_take, {} when none was asked for,
           and then when the next delayed element is due in ms, 0 for none
  Codes:   -3 not in hand (any more), -100 a command failed (its text follows the place)
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
--@include open_status
--@include publish_message
--@include count_in_hand
--@include split_note
--@include print_of
--@include bury
--@include take_elements

local key, root, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local reliable, keep = ARGV[7] == 'reliable', ARGV[13]
local back = ARGV[6] == 'left' and 'LPUSH' or 'RPUSH'
local status = open_status(ARGV[10], ARGV[11])
local is_json = status and cjson.decode(ARGV[9]).payload == 'json'
local crashes = root .. 'crashes'
-- a write that frees memory comes first: where memory is short Redis allows the others after it, and an end that is half
-- recorded would be told again
redis.call('ZREM', root .. 'takes', '')
local crashed = redis.call('EXISTS', crashes) == 1
local takes, codes, freed = {}, {}, 0

-- What is known of a take, read once.
local function take_of(token)
  local take = takes[token]
  if not take then
    take = {gone = {}, places = {}, first = 0, last = -1}
    take.count, take.key, take.done = count_in_hand(root, token)
    takes[token] = take
  end
  return take
end

-- Where an element of a take is in its list now, or nil.
local function place_in(take, index)
  if take.gone[index] or take.done and string.sub(take.done, index + 1, index + 1) == '1' then
    return nil
  end
  local place = index
  if take.done then
    place = place - select(2, string.gsub(string.sub(take.done, 1, index), '1', ''))
  end
  return place < take.count and place or nil
end

local function record(at)
  local kind, token, index = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local take, place = nil, nil
  if reliable then
    take = take_of(token)
    place = place_in(take, index)
    if not place then
      return '-3 gone'
    end
  end
  local raw
  local function bytes()
    if not raw and take then
      raw = redis.call('LINDEX', take.key, place)
      if string.sub(take.key, #root + 1, #root + 6) == 'again:' then
        raw = select(2, split_note(raw))
      end
    end
    raw = raw or ARGV[at + 8]
    return raw
  end
  local word, reason = 'completed', ''
  if kind == 'f' then
    word, reason = ARGV[at + 9], ARGV[at + 10]
    bury(root, ARGV[at + 11], bytes(), keep, now)
  elseif kind == 'd' then
    word, reason = ARGV[at + 9], false
    redis.call('ZADD', root .. 'delayed', ARGV[at + 10], ARGV[at + 11] .. '\n' .. bytes())
  elseif kind == 'w' then
    word, reason = 'waiting', false
    if ARGV[at + 9] == '' then
      redis.call(back, key, bytes())
    else
      redis.call('ZADD', root .. 'delayed', now, ARGV[at + 9] .. '\n' .. bytes())
    end
  end
  if take then
    take.gone[index] = true
    take.places[#take.places + 1] = place
    take.last = math.max(take.last, index)
  end
  freed = freed + 1
  if crashed and kind ~= 'w' then
    -- whoever has an answer has not killed its process
    redis.pcall('HDEL', crashes, print_of(bytes()))
  end
  if status then
    local job = {is_json and bytes() or 'null', ARGV[at + 4], nil, ARGV[at + 6], ARGV[at + 7] ~= '' and ARGV[at + 7] or nil}
    publish_message(status, job, ARGV[at + 3], word, now, tonumber(ARGV[at + 5]), reason)
  end
  return 0
end

-- Takes out of a take's list what left it, and forgets the take when that was the last.
local function close(token, take, emptied)
  local gone = #take.places
  if gone == 0 then
    return
  elseif gone == take.count then
    emptied.keys[#emptied.keys + 1] = take.key
    emptied.keys[#emptied.keys + 1] = root .. 'done:' .. token
    emptied.tokens[#emptied.tokens + 1] = token
    return
  end
  local flags = {}
  for index = 0, math.max(take.last, #(take.done or '') - 1) do
    local before = take.done and string.sub(take.done, index + 1, index + 1) == '1'
    flags[#flags + 1] = (before or take.gone[index]) and '1' or '0'
  end
  redis.call('SET', root .. 'done:' .. token, table.concat(flags))
  local mark = 'oxherd:done:' .. token
  for _, place in ipairs(take.places) do
    redis.call('LSET', take.key, place, mark)
  end
  redis.call('LREM', take.key, gone, mark)
end

local arity = {c = 8, f = 11, d = 11, w = 9}
local at = 15
while at <= #ARGV do
  -- a script is not rolled back: what fails for one must not keep the others from their end
  local worked, code = pcall(record, at)
  if not worked then
    code = '-100 active ' .. tostring(type(code) == 'table' and code.err or code)
  end
  codes[#codes + 1] = code
  at = at + arity[ARGV[at]] + 1
end
local emptied = {keys = {}, tokens = {}}
for token, take in pairs(takes) do
  close(token, take, emptied)
end
if #emptied.tokens > 0 then
  redis.call('DEL', unpack(emptied.keys))
  redis.call('ZREM', root .. 'takes', unpack(emptied.tokens))
end

local take = {}
if ARGV[5] ~= '0' then
  take = take_elements(key, root, {
    now = now,
    token = ARGV[3],
    lease = tonumber(ARGV[4]),
    want = tonumber(ARGV[5]),
    side = ARGV[6],
    reliable = reliable,
    payload = tonumber(ARGV[8]),
    spec = ARGV[9],
    stalls = tonumber(ARGV[12]),
    keep = keep,
    instance = ARGV[14]
  }, status)
  if take.err then
    take = {0, 0, 0, 1, {}, {}, {}}
  end
end
if freed > 0 then
  -- those who could not take before are told of the room
  if ARGV[5] == '0' and redis.call('EXISTS', root .. 'suspects') == 1 then
    redis.call('ZADD', root .. 'marker:' .. string.match(ARGV[3], '^[^:]*'), 0, '0')
  end
  if take[4] ~= 1 and redis.call('HEXISTS', root .. 'meta', 'concurrency') == 1 then
    redis.call('ZADD', root .. 'marker', 0, '0')
  end
end
local first = ARGV[5] == '0' and redis.call('ZRANGE', root .. 'delayed', 0, 0, 'WITHSCORES') or {}
return {codes, take, first[2] and math.floor(tonumber(first[2])) or 0}
