--[[
  Records what became of running jobs, many in one call and each in the way its outcome asks, then
  takes jobs for the slots that got free.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  token of the take, never that of an earlier one
  ARGV[4]   ms    life of the locks taken
  ARGV[5]   int   jobs wanted, 0 takes none
  ARGV[6]   text  worker name for `pb`, "" for none
  ARGV[7]   int   the worker's own rate limit, "" for none
  ARGV[8]   ms    window of that limit, "" for none
  ARGV[9]   int   due delayed jobs promoted at most
  ARGV[10]  int   longest data in bytes that is sent
  ARGV[11]  text  status probe (open_status)
  ARGV[12]  JSON  status settings (publish_status)
  ARGV[13]  text  "1" tells which of the jobs taken have or had children
  ARGV[14]  int   minutes of metrics kept, 0 for none
  ARGV[n…]  outcomes one after the other, each a kind and its values:
            "c" id token value keep                  completed; value JSON, keep as in read_keep
            "f" id token reason keep stack attempts state    failed for good; stack JSON, total tries, and the
                                                     status word's state: failed, expired or cancelled
            "r" id token reason stack end            retried at once; end "front" or "back" of the wait list
            "d" id token delay charged reason stack  delayed; delay in ms; charged "1" counts an attempt and
                                                     stores reason and stack; else both are "", and "-"
                                                     does not count the start either
            "w" id token                             back to the head of the queue, no attempt charged
            "h" id token                             waits for its children, no attempt charged; to the head of the
                                                     queue when none is pending
            and before a job's outcome, recorded with it:
            "p" id value told                        progress, JSON; told "1" has a status message of its own
            "u" id count                             so many of the rows that follow may be in the log already
            "l" id keep line                         a row for the job's log; keep "" for all

  Reply:   {codes, take}: a code per outcome: 0, or text "code place" where place is where the job is;
           take as of move_to_active, {} when none was asked for
  Codes:   -1 job missing, -2 lock missing, -3 not active, -4 pending children, -6 lock of another, -9 failed children,
           -100 a command failed (its text follows the place); the job is active as before
  Events:  progress, completed, failed, retries-exhausted, waiting, delayed, waiting-children, drained, those of a take
  Protocol: §5.7, §5.8, §5.9, bullmq 5.81.5 and 6.7.0; membership is tested before anything is written (§9.4, 14)
]]
--@include queue_state
--@include open_status
--@include publish_status
--@include emit
--@include append_logs
--@include set_progress
--@include mark
--@include mark_delayed
--@include mark_room
--@include add_delayed
--@include make_ready
--@include promote_due
--@include end_job
--@include trim_finished
--@include delete_jobs
--@include read_keep
--@include state_of
--@include claim_jobs

local base, now = ARGV[1], tonumber(ARGV[2])
local metrics = tonumber(ARGV[14])
local q = queue_state(base)
local status = open_status(ARGV[11], ARGV[12])

-- how many values follow each kind
local arity = {c = 4, f = 7, r = 5, d = 6, w = 2, h = 2, p = 3, u = 2, l = 3}
-- what is told of a job beside its outcome
local before = {p = true, u = true, l = true}
local outcomes, locks, family, told = {}, {}, {}, nil
local at, last = 15, #ARGV
while at <= last do
  local kind = ARGV[at]
  local id = ARGV[at + 1]
  if before[kind] then
    told = told or {}
    told[id] = told[id] or {rows = {}}
    if kind == 'p' then
      told[id].progress, told[id].loud = ARGV[at + 2], ARGV[at + 3] == '1'
    elseif kind == 'u' then
      told[id].doubtful = tonumber(ARGV[at + 2])
    else
      told[id].keep = ARGV[at + 2]
      table.insert(told[id].rows, ARGV[at + 3])
    end
  else
    local n = #outcomes + 1
    outcomes[n] = at
    locks[n] = base .. id .. ':lock'
    if kind == 'c' or kind == 'h' then
      family[#family + 1] = base .. id .. ':dependencies'
      family[#family + 1] = base .. id .. ':unsuccessful'
    end
  end
  at = at + arity[kind] + 1
end

-- most jobs never had a child: one look for all of them
local any_family = #family > 0 and redis.call('EXISTS', unpack(family)) > 0
local tokens = #locks > 0 and redis.call('MGET', unpack(locks)) or {}
local codes, unlocked, freed = {}, {}, {}
local crowded = false
if #outcomes > 0 and redis.call('LLEN', q.active) > 200 then
  local oldest = redis.call('LINDEX', q.active, -1)
  local since = redis.pcall('HGET', base .. oldest, 'processedOn')
  crowded = type(since) == 'string' and now - (tonumber(since) or now) > 2000
end
local removed, kept = {}, {}
local ended, trimmed = 0, 0

local function refuse(code, id)
  return code .. ' ' .. state_of(base, id)
end

-- Trims what jobs that ended one after the other under one policy have left, as each would have
-- done on its own. What cannot be trimmed must not keep outcomes from being recorded.
local function trim(target)
  local run = kept[target]
  kept[target] = nil
  -- where outcomes have many policies, what one call leaves goes with the next
  if run and (run.policy.age or run.policy.count) and trimmed < 3000 then
    local worked, why = pcall(trim_finished, q, target, run.policy, now, run.jobs)
    if worked then
      trimmed = trimmed + why
    else
      redis.log(redis.LOG_WARNING, base .. target .. ' cannot be trimmed: ' .. tostring(type(why) == 'table' and why.err or why))
    end
  end
end

-- Ends a job for good, and notes what is to be deleted or trimmed after all of them.
local function finish(target, id, job, value, keep_text, attempts_made)
  local is_kept = keep_text ~= '0'
  if is_kept then
    local run = kept[target]
    if not run or run.text ~= keep_text then
      trim(target)
      run = {text = keep_text, policy = read_keep(keep_text), jobs = 0}
      kept[target] = run
    end
    run.jobs = run.jobs + 1
  end
  end_job(q, id, job, target, value, is_kept, attempts_made, 'active', now, metrics, status)
  if not is_kept then
    removed[#removed + 1] = id
  end
  ended = ended + 1
end

-- Writes what was told of a job beside its outcome.
local function tell(id, key, it, attempt)
  if it.progress then
    set_progress(q, id, it.progress, now, attempt, it.loud and status)
  end
  if #it.rows > 0 then
    append_logs(key .. ':logs', it.rows, it.doubtful or 0, it.keep)
  end
end

-- An attempt was made: how long the job has been deferred counts from zero.
local function forget_deferral(key, job)
  if job[6] then
    redis.call('HDEL', key, 'oxherd.deferred')
  end
end

-- Puts a job where it is taken next, and says so.
local function put_back(id, priority, attempt)
  if priority > 0 then
    redis.call('ZADD', base .. 'prioritized', string.format('%.0f', priority * 4294967296), id)
  else
    redis.call('RPUSH', q.wait, id)
  end
  emit(q, 'waiting', 'jobId', id, 'prev', 'active')
  mark(q)
  if status then
    publish_status(status, q, id, 'waiting', now, attempt, false)
  end
end

-- Records one outcome and returns its code. `left` learns that the job is no longer active.
local function record(n, first, left)
  local kind, id, token = ARGV[first], ARGV[first + 1], ARGV[first + 2]
  local key = base .. id
  local job = redis.pcall('HMGET', key, 'name', 'parentKey', 'parent', 'deid', 'oxherd.cancel', 'oxherd.deferred', 'atm',
    'attemptsMade', 'timestamp', 'processedOn', 'priority')
  if job.err or (not (job[1] or job[9]) and redis.call('EXISTS', key) == 0) then
    return refuse(-1, id)
  elseif kind == 'c' and any_family and redis.call('SCARD', key .. ':dependencies') > 0 then
    return refuse(-4, id)
  elseif (kind == 'c' or kind == 'h') and any_family and redis.call('ZCARD', key .. ':unsuccessful') > 0 then
    return refuse(-9, id)
  elseif token ~= '0' and tokens[n] ~= token then
    return refuse(tokens[n] and -6 or -2, id)
  end
  -- jobs end about in the order they were taken, so most are near the tail of the active list; not
  -- where many long ones pile up there
  local young = crowded and now - (tonumber(job[10] or '') or 0) < 1000
  if redis.call('LREM', q.active, young and 1 or -1, id) == 0 then
    return refuse(-3, id)
  end
  left[1] = id
  local attempts_made = (tonumber(job[8] or job[7] or '') or 0) + 1
  local priority = tonumber(job[11] or '') or 0
  if told and told[id] then
    tell(id, key, told[id], attempts_made)
  end
  if kind == 'c' then
    if status then
      publish_status(status, q, id, 'completed', now, attempts_made, '')
    end
    finish('completed', id, job, ARGV[first + 3], ARGV[first + 4], attempts_made)
  elseif kind == 'f' then
    local reason = ARGV[first + 3]
    redis.call('HSET', key, 'failedReason', reason, 'stacktrace', ARGV[first + 5])
    if status then
      publish_status(status, q, id, ARGV[first + 7], now, attempts_made, reason)
    end
    finish('failed', id, job, reason, ARGV[first + 4], attempts_made)
    if attempts_made >= tonumber(ARGV[first + 6]) then
      emit(q, 'retries-exhausted', 'jobId', id, 'attemptsMade', attempts_made)
    end
  elseif kind == 'r' then
    promote_due(q, now, tonumber(ARGV[9]))
    redis.call('HSET', key, 'failedReason', ARGV[first + 3], 'stacktrace', ARGV[first + 4], 'atm', attempts_made)
    forget_deferral(key, job)
    make_ready(q, id, priority, ARGV[first + 5] == 'front')
    emit(q, 'waiting', 'jobId', id, 'prev', 'active')
    if status then
      publish_status(status, q, id, 'retrying', now, attempts_made, false)
    end
  elseif kind == 'd' then
    local delay = tonumber(ARGV[first + 3])
    local charged = ARGV[first + 4] == '1'
    if charged then
      redis.call('HSET', key, 'failedReason', ARGV[first + 5], 'stacktrace', ARGV[first + 6], 'delay', delay,
        'atm', attempts_made)
      forget_deferral(key, job)
    else
      redis.call('HSET', key, 'delay', delay)
      if ARGV[first + 4] == '-' then
        redis.call('HINCRBY', key, 'ats', -1)
      elseif not job[6] then
        redis.call('HSET', key, 'oxherd.deferred', now)
      end
    end
    add_delayed(q, id, now, delay)
    mark_delayed(q)
    if status then
      publish_status(status, q, id, charged and 'retrying' or 'delayed', now, attempts_made, false)
    end
  elseif kind == 'h' and any_family and redis.call('SCARD', key .. ':dependencies') > 0 then
    redis.call('ZADD', base .. 'waiting-children', now, id)
    emit(q, 'waiting-children', 'jobId', id, 'prev', 'active')
    if status then
      publish_status(status, q, id, 'waiting', now, attempts_made, false)
    end
  else
    put_back(id, priority, attempts_made)
  end
  if token ~= '0' then
    unlocked[#unlocked + 1] = locks[n]
    freed[#freed + 1] = id
  end
  return 0
end

for n, first in ipairs(outcomes) do
  -- a script is not rolled back: what fails for one job must not keep the others from their end
  local left = {}
  local worked, code = pcall(record, n, first, left)
  if not worked then
    code = '-100 active ' .. tostring(type(code) == 'table' and code.err or code)
    if left[1] then
      redis.call('LPUSH', q.active, left[1])
    end
  end
  codes[n] = code
end

if #unlocked > 0 then
  redis.call('DEL', unpack(unlocked))
  redis.call('SREM', base .. 'stalled', unpack(freed))
end
if #removed > 0 then
  delete_jobs(base, removed)
end
trim('completed')
trim('failed')

local take = {}
local quiet = true
if ARGV[5] ~= '0' then
  take = claim_jobs(q, {
    now = now,
    token = ARGV[3],
    lock = ARGV[4],
    want = tonumber(ARGV[5]),
    worker = ARGV[6],
    limit_max = tonumber(ARGV[7]),
    limit_duration = tonumber(ARGV[8]),
    promote = tonumber(ARGV[9]),
    payload = tonumber(ARGV[10]),
    family = ARGV[13] == '1'
  }, status)
  quiet = #take[5] == 0 and take[1] == 0 and take[2] == 0 and not q.paused
elseif #unlocked > 0 then
  mark_room(q)
end
if ended > 0 and quiet and redis.call('EXISTS', base .. 'wait', q.active, base .. 'prioritized') == 0 then
  emit(q, 'drained')
end
return {codes, take}
