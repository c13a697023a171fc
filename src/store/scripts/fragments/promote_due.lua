--@include emit
--@include add_prioritized
--@include mark
-- Moves at most `limit` delayed jobs whose time has come to where they can be taken. Returns how
-- many. An id without a job behind it is dropped.
local function promote_due(q, now, limit)
  local delayed = q.base .. 'delayed'
  local due = redis.call('ZRANGEBYSCORE', delayed, 0, string.format('%.0f', (now + 1) * 4096 - 1), 'LIMIT', 0, limit)
  if #due == 0 then
    return 0
  end
  local placed = 0
  local function place(id)
    local job = q.base .. id
    -- a key of the wrong type is left for the take to deal with
    local stored = redis.pcall('HMGET', job, 'priority', 'timestamp', 'name')
    if stored.err then
      redis.call('LPUSH', q.wait, id)
      placed = placed + 1
    elseif stored[2] or stored[3] or redis.call('EXISTS', job) == 1 then
      local priority = tonumber(stored[1] or '') or 0
      if priority > 0 then
        add_prioritized(q, id, priority)
      else
        redis.call('LPUSH', q.wait, id)
      end
      placed = placed + 1
      emit(q, 'waiting', 'jobId', id, 'prev', 'delayed')
      redis.call('HSET', job, 'delay', 0)
    else
      placed = placed + 1
    end
  end
  -- a script is not rolled back: only what has its place leaves, whatever fails on the way
  local worked, why = pcall(function()
    for _, id in ipairs(due) do
      place(id)
    end
  end)
  if placed > 0 then
    redis.call('ZREM', delayed, unpack(due, 1, placed))
    mark(q)
  end
  if not worked then
    error(why, 0)
  end
  return #due
end
