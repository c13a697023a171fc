--@include publish_message
-- Publishes one status message about a job, while its hash is still there. The rest is as of publish_message.
local function publish_status(status, q, id, state, now, attempt, error)
  local job = redis.pcall('HMGET', q.base .. id, 'data', 'name', 'opts', 'processedOn', 'progress')
  publish_message(status, job.err and {} or job, id, state, now, attempt, error)
end
