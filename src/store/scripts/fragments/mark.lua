--@include is_held
-- Rings the doorbell: some job may be taken. Silent while nothing may be.
local function mark(q)
  if not is_held(q) then
    redis.call('ZADD', q.base .. 'marker', 0, '0')
  end
end
