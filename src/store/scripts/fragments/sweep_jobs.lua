--@include queue_state
--@include split_key
--@include release_parent
--@include drop_deduplication
--@include delete_jobs
-- Deletes jobs without a word, with the deduplication keys they own. A parent in the same queue that
-- waited for nothing else is deleted too, and so on upwards; one in another queue goes on. The ids are
-- still to be taken out of their collection. Returns how many went. Protocol: §5.12.3, hard removal
local function sweep_jobs(q, ids, now)
  local gone, seen = {}, {}
  for _, id in ipairs(ids) do
    while id and not seen[id] do
      seen[id] = true
      gone[#gone + 1] = id
      local key = q.base .. id
      -- a key of the wrong type has no family
      local job = redis.pcall('HMGET', key, 'parentKey', 'deid')
      if job[2] then
        drop_deduplication(q, id, job[2])
      end
      id = nil
      local parent_key = job[1]
      if parent_key and redis.call('SREM', parent_key .. ':dependencies', key) == 1
        and redis.call('EXISTS', parent_key) == 1 and redis.call('SCARD', parent_key .. ':dependencies') == 0 then
        local base, parent = split_key(parent_key)
        if base ~= q.base then
          release_parent(queue_state(base), parent, now)
        elseif redis.call('ZREM', base .. 'waiting-children', parent) == 1 then
          id = parent
        end
      end
    end
  end
  delete_jobs(q.base, gone)
  return #gone
end
