--@include store_job
--@include add_delayed
--@include mark_delayed
--@include make_ready
--@include publish_status
-- The owner of a deduplication key has ended: the key goes, unless it lives on by its own time;
-- a job that was kept for this moment is added now. `status` as of open_status.
local function finish_deduplication(q, id, did, now, status)
  local key = q.base .. 'de:' .. did
  local ttl = redis.call('PTTL', key)
  if ttl == 0 or (ttl == -1 and redis.call('GET', key) == id) then
    redis.call('DEL', key)
  end
  local kept = q.base .. 'dn:' .. did
  local next = redis.call('HMGET', kept, 'name', 'data', 'opts', 'jid', 'pk', 'pd', 'pdk', 'rjk')
  if not next[4] then
    return
  end
  redis.call('DEL', kept)
  redis.call('INCR', q.base .. 'id')
  local new = next[4]
  if redis.call('EXISTS', q.base .. new) == 1 then
    -- somebody has added a job with its id since
    emit(q, 'duplicated', 'jobId', new)
    return
  end
  local read, opts = pcall(cjson.decode, next[3] or '{}')
  opts = read and type(opts) == 'table' and opts or {}
  local window = type(opts.de) == 'table' and opts.de or {}
  if not window.keepLastIfActive and tonumber(window.ttl) and tonumber(window.ttl) > 0 then
    redis.call('SET', key, new, 'PX', string.format('%.0f', window.ttl))
  else
    redis.call('SET', key, new)
  end
  local extra = {'deid', did}
  if next[5] then
    extra[3], extra[4] = 'parentKey', next[5]
    extra[5], extra[6] = 'parent', next[6] or '{}'
  end
  if next[8] then
    extra[#extra + 1] = 'rjk'
    extra[#extra + 1] = next[8]
  end
  local delay, priority = tonumber(opts.delay) or 0, tonumber(opts.priority) or 0
  store_job(q, new, next[1] or '', next[2] or '{}', next[3] or '{}', now, delay, priority, extra)
  if delay > 0 then
    add_delayed(q, new, now, delay)
    mark_delayed(q)
  else
    make_ready(q, new, priority, opts.lifo)
    emit(q, 'waiting', 'jobId', new)
  end
  if next[7] then
    redis.call('SADD', next[7], q.base .. new)
  end
  if status then
    publish_status(status, q, new, delay > 0 and 'delayed' or 'waiting', now, 1, false)
  end
end
