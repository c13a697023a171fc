-- Whether nothing may be taken from the queue now: it is paused, or as many jobs are active as
-- its global concurrency allows.
local function is_held(q)
  if q.paused then
    return true
  end
  return q.concurrency ~= nil and redis.call('LLEN', q.active) >= q.concurrency
end
