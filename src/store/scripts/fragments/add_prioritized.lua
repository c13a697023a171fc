-- Puts a job behind the others of its priority.
local function add_prioritized(q, id, priority)
  local turn = redis.call('INCR', q.base .. 'pc') % 4294967296
  redis.call('ZADD', q.base .. 'prioritized', string.format('%.0f', priority * 4294967296 + turn), id)
end
