-- Appends one event to the queue's stream, trimmed to about what its meta says.
local function emit(q, ...)
  redis.call('XADD', q.events, 'MAXLEN', '~', q.max_events, '*', 'event', ...)
end
