--@include mark
-- A job has left `active` without a worker taking the next: where the global concurrency has kept jobs waiting, one of
-- them may be taken now.
local function mark_room(q)
  if q.concurrency and redis.call('EXISTS', q.base .. 'wait', q.base .. 'prioritized') > 0 then
    mark(q)
  end
end
