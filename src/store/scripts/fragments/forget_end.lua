-- Removes from a job's hash what its end has written there.
local function forget_end(key, state)
  if state == 'failed' then
    redis.call('HDEL', key, 'finishedOn', 'processedOn', 'failedReason', 'oxherd.cancel', 'oxherd.deferred')
  elseif state == 'completed' then
    redis.call('HDEL', key, 'finishedOn', 'processedOn', 'returnvalue', 'oxherd.cancel', 'oxherd.deferred')
  end
end
