-- Where a job is, for a worker whose answer got lost: one word. Only asked when something is odd.
local function locate_job(q, id)
  for _, set in ipairs({'completed', 'failed', 'delayed', 'prioritized', 'waiting-children'}) do
    if redis.call('ZSCORE', q.base .. set, id) then
      return set
    end
  end
  for _, list in ipairs({'active', 'wait', 'paused'}) do
    if redis.call('LPOS', q.base .. list, id) then
      return list
    end
  end
  return 'gone'
end
