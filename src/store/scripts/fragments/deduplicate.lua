--@include emit
--@include add_delayed
--@include mark_delayed
--@include among_active
--@include delete_jobs
--@include drop_dependency
-- A job that belongs to a window of deduplication: the window's `id`, and its `ttl` in ms, `extend`, `replace`,
-- `keepLastIfActive` and `reschedule` as in the job's options. Returns nil when the job is to be added, and then its
-- `id` owns the window; else the id of the job that is there instead. `job` is what the window may keep of it: name,
-- data, opts JSON, delay in ms. `now` is the job's own moment.
local function deduplicate(q, window, id, job, now)
  local key, kept = q.base .. 'de:' .. window.id, q.base .. 'dn:' .. window.id
  local keep_last = window.keepLastIfActive
  local ttl = tonumber(window.ttl) or 0
  local expires = ttl > 0 and not keep_last
  local function own(owner)
    if expires then
      redis.call('SET', key, owner, 'PX', string.format('%.0f', ttl))
    else
      redis.call('SET', key, owner)
    end
  end

  local owner = redis.call('GET', key)
  if owner and window.replace and redis.call('ZREM', q.base .. 'delayed', owner) == 1 then
    local parent_key = redis.call('HGET', q.base .. owner, 'parentKey')
    delete_jobs(q.base, {owner})
    emit(q, 'removed', 'jobId', owner, 'prev', 'delayed')
    emit(q, 'deduplicated', 'jobId', id, 'deduplicationId', window.id, 'deduplicatedJobId', owner)
    redis.call('DEL', kept)
    if expires and not window.extend then
      redis.call('SET', key, id, 'KEEPTTL')
    else
      own(id)
    end
    if parent_key then
      drop_dependency(q, parent_key, q.base .. owner, now)
    end
    return nil
  end
  if owner and redis.call('EXISTS', q.base .. owner) == 0 and redis.call('PTTL', key) == -1 then
    -- its job went without a word, and nothing else would ever end the window
    redis.call('DEL', kept)
    owner = false
  end
  if not owner then
    own(id)
    return nil
  end

  if keep_last and among_active(q, owner) then
    redis.call('DEL', kept)
    redis.call('HSET', kept, 'name', job.name, 'data', job.data, 'opts', job.opts, 'jid', id)
    redis.call('PERSIST', key)
  elseif window.replace then
    return owner
  elseif window.extend and ttl > 0 then
    own(owner)
  end
  emit(q, 'deduplicated', 'jobId', owner, 'deduplicationId', window.id, 'deduplicatedJobId', id)
  if window.reschedule and not window.replace and redis.call('ZREM', q.base .. 'delayed', owner) == 1 then
    redis.call('HSET', q.base .. owner, 'delay', job.delay)
    add_delayed(q, owner, now, job.delay)
    mark_delayed(q)
  end
  return owner
end
