-- A job goes away unfinished: the deduplication key it owns goes with it, and what was kept for
-- its end.
local function drop_deduplication(q, id, did)
  local key = q.base .. 'de:' .. did
  if redis.call('GET', key) == id then
    redis.call('DEL', key, q.base .. 'dn:' .. did)
  end
end
