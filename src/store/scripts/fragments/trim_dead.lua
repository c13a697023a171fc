--@include split_note
-- Removes from the old end of the dead list what a policy (read_keep) does not keep, at most `limit` elements for their
-- age. Returns how many went.
local function trim_dead(root, policy, now, limit)
  local key = root .. 'dead'
  local before = redis.call('LLEN', key)
  if policy.count and before > policy.count then
    redis.call('LTRIM', key, 0, policy.count - 1)
  end
  for _ = 1, policy.age and math.min(limit, policy.limit or limit) or 0 do
    local last = redis.call('LINDEX', key, -1)
    if not last or (tonumber(split_note(last).at) or now) > now - policy.age * 1000 then
      break
    end
    redis.call('RPOP', key)
  end
  return before - redis.call('LLEN', key)
end
