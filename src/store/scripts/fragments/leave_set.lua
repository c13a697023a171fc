-- Takes ids out of a sorted set, in calls of a bounded size.
local function leave_set(key, ids)
  for at = 1, #ids, 1000 do
    redis.call('ZREM', key, unpack(ids, at, math.min(at + 999, #ids)))
  end
end
