--[[
  Deletes the jobs that wait, the prioritized ones and, when asked to, the delayed ones, but for the
  current iterations of schedulers.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  ms    now
  ARGV[3]  int   entries taken at most
  ARGV[4]  int   "1" when delayed jobs go too

  Reply:   {jobs deleted, 1 when more may be there: call again}
  Codes:   none
  Events:  none, but those of parents in other queues that waited for a deleted job
  Protocol: §5.16.2, bullmq 5.81.5 and 6.7.0; exactly what was deleted leaves its list (§9.4, 1)
]]
--@include queue_state
--@include is_iteration
--@include sweep_jobs
--@include leave_set

local base, now, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local q = queue_state(base)
-- no more than this many entries are kept
local kept_most = redis.call('ZCARD', base .. 'repeat')
local gone = 0

-- The ids of a page that go and those that stay, as far as there is room, and how many were looked at.
local function sort(page)
  local ids, kept = {}, {}
  for at, id in ipairs(page) do
    if #ids == room then
      return ids, kept, at - 1
    end
    if is_iteration(base, id) then
      kept[#kept + 1] = id
    else
      ids[#ids + 1] = id
    end
  end
  return ids, kept, #page
end

for _, name in ipairs({'wait', 'paused'}) do
  local key = base .. name
  local page = room > 0 and redis.call('LRANGE', key, -(room + kept_most), -1) or {}
  -- served first comes first
  for at = 1, math.floor(#page / 2) do
    page[at], page[#page + 1 - at] = page[#page + 1 - at], page[at]
  end
  local ids, kept, looked = sort(page)
  if #ids > 0 then
    gone = gone + sweep_jobs(q, ids, now)
    redis.call('RPOP', key, looked)
    for at = #kept, 1, -1 do
      redis.call('RPUSH', key, kept[at])
    end
    room = room - #ids
  end
end
for _, name in ipairs({'prioritized', ARGV[4] == '1' and 'delayed' or nil}) do
  local ids = room > 0 and sort(redis.call('ZRANGE', base .. name, 0, room + kept_most - 1)) or {}
  if #ids > 0 then
    gone = gone + sweep_jobs(q, ids, now)
    leave_set(base .. name, ids)
    room = room - #ids
  end
end
return {gone, room == 0 and 1 or 0}
