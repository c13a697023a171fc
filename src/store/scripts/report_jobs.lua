--[[
  Writes what running jobs tell, each as long as its lock is held by the one who tells it: progress, data, rows for the
  log.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  status probe (open_status)
  ARGV[4]   JSON  status settings (publish_status)
  ARGV[n…]  job after job: id, token, progress as JSON or "", data as JSON or "", rows kept of the log or "" for all,
            how many of the rows may be there already from a call nobody heard the answer of, how many rows, the rows

  Reply:   per job: 0, a code, or the text of what failed where a command did
  Codes:   -1 job missing, -2 lock missing, -6 lock of another
  Events:  progress
  Protocol: §5.15, bullmq 5.81.5 and 6.7.0, which look at no lock
]]
--@include queue_state
--@include open_status
--@include set_progress
--@include append_logs

local base, now = ARGV[1], tonumber(ARGV[2])
local q = queue_state(base)
local status = open_status(ARGV[3], ARGV[4])

local function write(at, rows)
  local id, token, progress, data = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local key = base .. id
  local job = redis.call('HMGET', key, 'name', 'timestamp', 'atm', 'attemptsMade')
  if not (job[1] or job[2]) and redis.call('EXISTS', key) == 0 then
    return -1
  end
  local holder = redis.call('GET', key .. ':lock')
  if holder ~= token then
    return holder and -6 or -2
  end
  if data ~= '' then
    redis.call('HSET', key, 'data', data)
  end
  if #rows > 0 then
    append_logs(key .. ':logs', rows, tonumber(ARGV[at + 5]), ARGV[at + 4])
  end
  if progress ~= '' then
    set_progress(q, id, progress, now, (tonumber(job[4] or job[3] or '') or 0) + 1, status)
  end
  return 0
end

local answers = {}
local at = 5
while at <= #ARGV do
  local rows, count = {}, tonumber(ARGV[at + 6])
  for n = 1, count do
    rows[n] = ARGV[at + 6 + n]
  end
  local worked, answer = pcall(write, at, rows)
  if not worked then
    answer = tostring(type(answer) == 'table' and answer.err or answer)
  end
  answers[#answers + 1] = answer
  at = at + 7 + count
end
return answers
