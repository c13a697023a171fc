--@include emit
-- Writes a new job's hash and says so. `extra` holds further field, value pairs.
local function store_job(q, id, name, data, opts, timestamp, delay, priority, extra)
  redis.call('HSET', q.base .. id, 'name', name, 'data', data, 'opts', opts, 'timestamp', timestamp, 'delay', delay,
    'priority', priority, unpack(extra or {}))
  emit(q, 'added', 'jobId', id, 'name', name)
end
