--[[
  Writes what is told about jobs in any state, mostly by those who run them: progress, rows for the log, data.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  status probe (open_status)
  ARGV[4]   JSON  status settings (publish_status)
  ARGV[n…]  records one after the other, each a kind and its values:
            "p" id value       progress, JSON
            "d" id value       data, JSON
            "l" id keep row    a row for the job's log; keep "" for all rows

  Reply:   per record: 0, of a row how many the log has now, or a code; the text of what failed where a command did
  Codes:   -1 job missing
  Events:  progress
  Protocol: §5.15, bullmq 5.81.5 and 6.7.0
]]
--@include queue_state
--@include open_status
--@include set_progress

local base = ARGV[1]
local q, status
local there = {}

local function exists(id)
  if there[id] == nil then
    there[id] = redis.call('EXISTS', base .. id) == 1
  end
  return there[id]
end

local function write(at)
  local kind, id = ARGV[at], ARGV[at + 1]
  if not exists(id) then
    return -1
  end
  if kind == 'l' then
    local rows = redis.call('RPUSH', base .. id .. ':logs', ARGV[at + 3])
    local keep = tonumber(ARGV[at + 2])
    if keep and rows > keep then
      redis.call('LTRIM', base .. id .. ':logs', rows - keep, -1)
      rows = keep
    end
    return rows
  elseif kind == 'd' then
    redis.call('HSET', base .. id, 'data', ARGV[at + 2])
  else
    if not q then
      q = queue_state(base)
      status = open_status(ARGV[3], ARGV[4])
    end
    local made = status and tonumber(redis.call('HGET', base .. id, 'atm') or '') or 0
    set_progress(q, id, ARGV[at + 2], tonumber(ARGV[2]), made + 1, status)
  end
  return 0
end

local answers = {}
local at = 5
while at <= #ARGV do
  local worked, answer = pcall(write, at)
  if not worked then
    answer = tostring(type(answer) == 'table' and answer.err or answer)
  end
  answers[#answers + 1] = answer
  at = at + (ARGV[at] == 'l' and 4 or 3)
end
return answers
