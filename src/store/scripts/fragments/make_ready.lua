--@include add_prioritized
--@include mark
-- Makes a job available: among the prioritized ones when it has a priority, else on the wait
-- list, at its `front` or its back.
local function make_ready(q, id, priority, front)
  if priority > 0 then
    add_prioritized(q, id, priority)
  elseif front then
    redis.call('RPUSH', q.wait, id)
  else
    redis.call('LPUSH', q.wait, id)
  end
  mark(q)
end
