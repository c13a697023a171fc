-- Makes a job that is there already the child of `parent_key`: its value is handed over when it is completed, else the
-- parent waits for it. Returns -7 and does nothing when the job has another parent that is there, else 0. Whether the
-- parent waits for anybody is left to `release_if_free`.
local function attach_child(q, id, parent_key, parent)
  local key = q.base .. id
  local stored = redis.call('HMGET', key, 'parentKey', 'returnvalue', 'parent')
  local old = stored[1]
  if old and old ~= parent_key and redis.call('EXISTS', old) == 1 then
    return -7
  end
  if redis.call('ZSCORE', q.base .. 'completed', id) then
    redis.call('HSET', parent_key .. ':processed', key, stored[2] or 'null')
  elseif not (old == parent_key and redis.call('ZSCORE', q.base .. 'failed', id)
    and (redis.call('HEXISTS', parent_key .. ':failed', key) == 1
      or redis.call('ZSCORE', parent_key .. ':unsuccessful', key)
      or string.find(stored[3] or '', '"rdof":true', 1, true))) then
    -- a failure this parent has been told of must not hold it up when the flow is added once more
    redis.call('SADD', parent_key .. ':dependencies', key)
  end
  redis.call('HSET', key, 'parentKey', parent_key, 'parent', parent)
  return 0
end
