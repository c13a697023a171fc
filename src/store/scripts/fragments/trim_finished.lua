--@include delete_jobs
--@include drop_dependency
-- Deletes finished jobs past their keeping: those older than `keep.age` seconds, the newest of
-- them first and at most `keep.limit` for each of `jobs` that ended; then the oldest beyond
-- `keep.count`. At most 1000 of each, or up to 3000 where `keep.limit` is more. Returns how many went.
local function trim_finished(q, target, keep, now, jobs)
  local set = q.base .. target
  local function drop(ids)
    if target == 'failed' then
      for _, id in ipairs(ids) do
        local parent_key = redis.call('HGET', q.base .. id, 'parentKey')
        if parent_key then
          drop_dependency(q, parent_key, q.base .. id, now)
        end
      end
    end
    delete_jobs(q.base, ids)
  end
  local gone = 0
  if keep.age then
    local oldest = now - keep.age * 1000
    local limit = keep.limit or 1000
    -- what is left goes at the next end
    limit = math.min(limit * jobs, math.max(limit, 1000), 3000)
    local ids = redis.call('ZREVRANGEBYSCORE', set, oldest, '-inf', 'LIMIT', 0, limit)
    if #ids > 0 then
      drop(ids)
      if #ids < limit then
        redis.call('ZREMRANGEBYSCORE', set, '-inf', oldest)
      else
        for at = 1, #ids, 1000 do
          redis.call('ZREM', set, unpack(ids, at, math.min(at + 999, #ids)))
        end
      end
      gone = #ids
    end
  end
  if keep.count then
    local excess = math.min(redis.call('ZCARD', set) - keep.count, 1000)
    if excess > 0 then
      drop(redis.call('ZRANGE', set, 0, excess - 1))
      redis.call('ZREMRANGEBYRANK', set, 0, excess - 1)
      gone = gone + excess
    end
  end
  return gone
end
