--@include emit
--@include publish_status
-- Stores a job's progress, JSON, and tells listeners.
local function set_progress(q, id, value, now, attempt, status)
  redis.call('HSET', q.base .. id, 'progress', value)
  emit(q, 'progress', 'jobId', id, 'data', value)
  if status then
    publish_status(status, q, id, 'progress', now, attempt, false)
  end
end
