-- Counts one finished job into the per-minute list that dashboards draw, `size` minutes long.
local function count_metric(base, target, size, now)
  local key = base .. 'metrics:' .. target
  local before = redis.call('HINCRBY', key, 'count', 1) - 1
  local seen = redis.call('HMGET', key, 'prevTS', 'prevCount')
  local last = tonumber(seen[1] or '')
  if not last then
    redis.call('HSET', key, 'prevTS', now, 'prevCount', 0)
    return
  end
  local minutes = math.min(math.floor(now / 60000) - math.floor(last / 60000), size)
  if minutes > 0 then
    redis.call('LPUSH', key .. ':data', before - (tonumber(seen[2] or '') or 0))
    for _ = 2, minutes do
      redis.call('LPUSH', key .. ':data', 0)
    end
    redis.call('LTRIM', key .. ':data', 0, size - 1)
    redis.call('HSET', key, 'prevCount', before, 'prevTS', now)
  end
end
