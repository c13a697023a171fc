-- Sets the alarm for the earliest delayed job.
local function mark_delayed(q)
  local first = redis.call('ZRANGE', q.base .. 'delayed', 0, 0, 'WITHSCORES')
  if first[2] then
    redis.call('ZADD', q.base .. 'marker', tonumber(first[2]) / 4096, '1')
  end
end
