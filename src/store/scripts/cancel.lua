--[[
  Cancels a job. One that does not run fails at once, without an attempt being charged. One that runs is marked, and its
  worker told: it is stopped there, or fails unrun when a worker of ours takes it again.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  job id
  ARGV[3]  ms    now
  ARGV[4]  text  why, what follows "cancelled: "
  ARGV[5]  text  retention policy (read_keep)
  ARGV[6]  text  status probe (open_status)
  ARGV[7]  JSON  status settings (publish_status)
  ARGV[8]  text  channel workers listen to
  ARGV[9]  text  what is said there of a job that runs

  Reply:   {code, word}: 0 it has failed, and the state it was in; 1 it runs and is marked, "heard" when its worker knows,
           else "asked"; 2 it had ended, its state, and the reason it failed for; or a code
  Codes:   -1 job missing, -3 in no state, -8 the next iteration of a job scheduler
  Events:  failed, and those of a parent
  Protocol: §5.9, what a failure for good leaves; bullmq 5.81.5 and 6.7.0 have no such operation
]]
--@include queue_state
--@include open_status
--@include publish_status
--@include state_of
--@include is_iteration
--@include end_job
--@include read_keep
--@include trim_finished
--@include delete_jobs

local base, id, now, reason = ARGV[1], ARGV[2], tonumber(ARGV[3]), 'cancelled: ' .. ARGV[4]
local key = base .. id
local job = redis.pcall('HMGET', key, 'name', 'parentKey', 'parent', 'deid', 'oxherd.cancel', 'oxherd.deferred', 'atm',
  'attemptsMade')
if job.err or redis.call('EXISTS', key) == 0 then
  return {-1, ''}
end
local place = state_of(base, id)
if place == 'completed' or place == 'failed' then
  return {2, place, redis.call('HGET', key, 'failedReason')}
elseif place == 'active' then
  if not job[5] then
    redis.call('HSET', key, 'oxherd.cancel', 'asked ' .. ARGV[4])
  end
  -- that some job is marked, for renewals to look: as long as this job's lock may live, and some of those after it
  local flag = base .. 'oxherd.cancel'
  local lasts = 60000 + 3 * math.max(redis.call('PTTL', key .. ':lock'), 0)
  redis.call('SET', flag, '1', 'PX', math.max(lasts, redis.call('PTTL', flag)))
  redis.pcall('PUBLISH', ARGV[8], ARGV[9])
  return {1, job[5] and string.match(job[5], '^%a*') or 'asked'}
elseif is_iteration(base, id) then
  return {-8, ''}
end
local q = queue_state(base)
local left
if place == 'waiting' then
  left = redis.call('LREM', base .. 'wait', -1, id) + redis.call('LREM', base .. 'paused', -1, id)
else
  left = redis.call('ZREM', base .. place, id)
end
if left == 0 then
  return {-3, ''}
end
local status = open_status(ARGV[6], ARGV[7])
local made = tonumber(job[8] or job[7] or '') or 0
if status then
  publish_status(status, q, id, 'cancelled', now, made + 1, reason)
end
local kept = ARGV[5] ~= '0'
end_job(q, id, job, 'failed', reason, kept, made, place, now, 0, status)
if kept then
  local policy = read_keep(ARGV[5])
  if policy.age or policy.count then
    trim_finished(q, 'failed', policy, now, 1)
  end
else
  delete_jobs(base, {id})
end
return {0, place}
