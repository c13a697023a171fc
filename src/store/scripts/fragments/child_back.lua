-- A finished child is to run again: a parent that has its end on record waits for it once more. The parent itself is
-- not moved. Protocol: §5.16.6
local function child_back(parent_key, child_key, state)
  if redis.call('EXISTS', parent_key) == 0 then
    return
  end
  local known
  if state == 'failed' then
    known = redis.call('ZREM', parent_key .. ':unsuccessful', child_key)
      + redis.call('HDEL', parent_key .. ':failed', child_key)
  else
    known = redis.call('HDEL', parent_key .. ':processed', child_key)
  end
  if known > 0 then
    redis.call('SADD', parent_key .. ':dependencies', child_key)
  end
end
