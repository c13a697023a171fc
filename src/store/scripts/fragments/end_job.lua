--@include child_completed
--@include child_failed
--@include drop_dependency
--@include finish_deduplication
--@include count_metric
--@include emit
-- Ends a job for good that has left its place `prev`: the part completed and failed have in common. `job` holds name,
-- parent key, parent, deduplication id, cancel mark and first deferral, `value` is what it returned or why it failed. One
-- that is not `kept` is left for the caller to delete. The outcome's own events come after those of the parent.
local function end_job(q, id, job, target, value, kept, attempts_made, prev, now, metrics, status)
  local key = q.base .. id
  local field = target == 'completed' and 'returnvalue' or 'failedReason'
  if job[4] then
    finish_deduplication(q, id, job[4], now, status)
  end
  if job[2] then
    if target == 'completed' then
      child_completed(q, job[2], key, value, now)
    else
      child_failed(q, job[2], job[3], key, value, now)
      if not kept then
        drop_dependency(q, job[2], key, now)
      end
    end
  end
  if kept then
    redis.call('HSET', key, field, value, 'finishedOn', now, 'atm', attempts_made)
    if target == 'failed' then
      redis.call('HDEL', key, 'defa')
    end
    if job[5] or job[6] then
      redis.call('HDEL', key, 'oxherd.cancel', 'oxherd.deferred')
    end
    redis.call('ZADD', q.base .. target, now, id)
  end
  emit(q, target, 'jobId', id, field, value, 'prev', prev)
  if metrics > 0 then
    count_metric(q.base, target, metrics, now)
  end
end
