-- Those of the jobs that have or had children.
local function parents_among(base, ids)
  local keys = {}
  for _, id in ipairs(ids) do
    local key, n = base .. id, #keys
    keys[n + 1], keys[n + 2] = key .. ':processed', key .. ':dependencies'
    keys[n + 3], keys[n + 4] = key .. ':failed', key .. ':unsuccessful'
  end
  local parents = {}
  -- most jobs have none: one look for all of them
  if redis.call('EXISTS', unpack(keys)) > 0 then
    for at, id in ipairs(ids) do
      if redis.call('EXISTS', unpack(keys, 4 * at - 3, 4 * at)) > 0 then
        parents[#parents + 1] = id
      end
    end
  end
  return parents
end
