--@include emit
--@include promote_due
--@include job_fields
--@include parents_among
--@include read_job
--@include publish_status
--@include quarantine
-- Takes up to `c.want` jobs for one worker: moves each to active, locks it, counts the start.
-- Returns the reply of a take: {ms until the rate limit ends, due time of the next delayed job,
-- 1 when more may be there at once, dropped ids, 14 values per job (read_job), and, where jobs were
-- taken, ids of those with children if that was asked for, then id and reason of each that is to be cancelled}.
local function claim_jobs(q, c, status)
  local out = {}
  local now, base = c.now, q.base
  local promoted = promote_due(q, now, c.promote)
  local want = c.want
  local max = q.max or c.limit_max
  if max then
    local started = tonumber(redis.call('GET', base .. 'limiter') or '') or 0
    if started >= max then
      local ttl = redis.call('PTTL', base .. 'limiter')
      if ttl > 0 then
        return {ttl, 0, 0, {}, out}
      elseif ttl == 0 then
        redis.call('DEL', base .. 'limiter')
      end
      started = 0
    end
    want = math.min(want, max - started)
  end
  if q.paused then
    return {0, 0, 0, {}, out}
  end
  if q.concurrency then
    want = math.min(want, q.concurrency - redis.call('LLEN', q.active))
    if want <= 0 then
      return {0, 0, 0, {}, out}
    end
  end

  local ids = redis.call('RPOP', base .. 'wait', want) or {}
  local from_wait = #ids
  if from_wait < want then
    local popped = redis.call('ZPOPMIN', base .. 'prioritized', want - from_wait)
    for at = 1, #popped, 2 do
      ids[#ids + 1] = popped[at]
    end
    if #ids == 0 then
      redis.call('DEL', base .. 'pc')
    end
  end

  if #ids > 0 then
    -- before anything that can fail: what is active and not locked is found by the next stalled check
    redis.call('LPUSH', q.active, unpack(ids))
  end
  local dropped, taken, charged, marked = {}, 0, 0, {}
  for _, id in ipairs(ids) do
    local key = base .. id
    -- entries that start with "0:" are wake-up calls of old releases
    local job = string.sub(id, 1, 2) ~= '0:' and job_fields(key)
    if job and job.err then
      quarantine(q, id, now)
      dropped[#dropped + 1] = id
      redis.call('LREM', q.active, 1, id)
    elseif job and not (job[1] or job[4] or job[2] or job[3]) and redis.call('EXISTS', key) == 0 then
      redis.call('DEL', key .. ':lock')
      dropped[#dropped + 1] = id
      redis.call('LREM', q.active, 1, id)
    elseif job then
      local mine = true
      if c.token ~= '0' and not redis.call('SET', key .. ':lock', c.token, 'PX', c.lock, 'NX') then
        -- the same id twice in the list: the other one is running
        mine = #redis.call('LPOS', q.active, id, 'COUNT', 2) == 1
        if mine then
          redis.call('SET', key .. ':lock', c.token, 'PX', c.lock)
        end
      end
      if mine and job[14] and (redis.call('ZSCORE', base .. 'completed', id) or redis.call('ZSCORE', base .. 'failed', id)) then
        redis.call('DEL', key .. ':lock')
        mine = false
      end
      if mine then
        local started = (tonumber(job[8] or '') or 0) + 1
        emit(q, 'active', 'jobId', id, 'prev', 'waiting')
        if c.worker == '' then
          redis.call('HSET', key, 'processedOn', now, 'ats', started)
        else
          redis.call('HSET', key, 'processedOn', now, 'ats', started, 'pb', c.worker)
        end
        if job[15] then
          if job[16] then
            marked[#marked + 1], marked[#marked + 2] = id, string.match(job[15], '^%a+ (.*)$') or ''
          else
            -- it ended elsewhere and was run again by hand: the mark is not meant for this run
            redis.call('HDEL', key, 'oxherd.cancel')
            job[15] = false
          end
        end
        if not (job[10] or job[15]) then
          charged = charged + 1
        end
        taken = taken + 1
        read_job(out, id, job, started, c.payload)
        if status and not (job[10] or job[15]) then
          publish_status(status, q, id, 'active', now, (tonumber(job[7] or job[6] or '') or 0) + 1, false)
        end
      else
        dropped[#dropped + 1] = id
        redis.call('LREM', q.active, 1, id)
      end
    else
      redis.call('LREM', q.active, 1, id)
    end
  end

  local limited = 0
  if taken > 0 then
    if max and charged > 0 then
      local started = redis.call('INCRBY', base .. 'limiter', charged)
      if started == charged then
        redis.call('PEXPIRE', base .. 'limiter', c.limit_duration or q.duration or 0)
      end
      if started >= max then
        limited = math.max(redis.call('PTTL', base .. 'limiter'), 0)
      end
    end
    redis.call('ZADD', base .. 'marker', 0, '0')
  end
  -- A list popped short was empty then; anything added since rings for itself. Where a limit bounded
  -- the take, what was dropped or not charged has left room under it.
  local room = want == c.want or taken < #ids or (max and charged < taken)
  local more = (#ids == want and room or promoted == c.promote) and 1 or 0
  local next_due = 0
  if more == 0 then
    local first = redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
    if first[2] then
      next_due = math.floor(tonumber(first[2]) / 4096)
    end
  end
  return {limited, next_due, more, dropped, out, c.family and taken > 0 and parents_among(base, ids) or {}, unpack(marked)}
end
