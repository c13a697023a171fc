-- Deletes jobs with the five keys that hang on each, in calls of a bounded size. What a parent of many children leaves is
-- freed aside.
local function delete_jobs(base, ids)
  local keys, n = {}, 0
  for _, id in ipairs(ids) do
    local job = base .. id
    keys[n + 1], keys[n + 2], keys[n + 3] = job, job .. ':logs', job .. ':dependencies'
    keys[n + 4], keys[n + 5], keys[n + 6] = job .. ':processed', job .. ':failed', job .. ':unsuccessful'
    n = n + 6
    if n == 1200 then
      redis.call('UNLINK', unpack(keys))
      keys, n = {}, 0
    end
  end
  if n > 0 then
    redis.call('UNLINK', unpack(keys))
  end
end
