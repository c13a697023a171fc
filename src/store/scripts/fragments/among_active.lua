-- Whether a job is active, for calls that ask about many and move none from there: a walk along the list for each of
-- the first few, then one for all.
local function among_active(q, id)
  q.asked = (q.asked or 0) + 1
  if q.asked <= 8 then
    return redis.call('LPOS', q.active, id)
  end
  if not q.among then
    q.among = {}
    for _, other in ipairs(redis.call('LRANGE', q.active, 0, -1)) do
      q.among[other] = true
    end
  end
  return q.among[id]
end
