-- Removes from a job's hash what its end has written there.
local function forget_end(key, state)
  if state == 'failed' then
    redis.call('HDEL', key, 'finishedOn', 'processedOn', 'failedReason', 'oxherd.cancel')
  elseif state == 'completed' then
    redis.call('HDEL', key, 'finishedOn', 'processedOn', 'returnvalue', 'oxherd.cancel')
  end
end
