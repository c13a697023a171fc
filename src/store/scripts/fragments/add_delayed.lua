--@include emit
-- Puts a job among the delayed ones, `delay` ms from `now`, behind those due in the same
-- millisecond, and emits the event with the absolute due time.
local function add_delayed(q, id, now, delay)
  local due = delay > 0 and now + delay or now
  local low, high = due * 4096, (due + 1) * 4096 - 1
  local score = low
  local last = redis.call('ZREVRANGEBYSCORE', q.base .. 'delayed', high, low, 'WITHSCORES', 'LIMIT', 0, 1)
  if last[2] then
    score = math.min(tonumber(last[2]) + 1, high)
  end
  redis.call('ZADD', q.base .. 'delayed', string.format('%.0f', score), id)
  emit(q, 'delayed', 'jobId', id, 'delay', string.format('%.0f', due))
end
