--[[
  Whether a job has ended, and how; changes nothing.

  KEYS[1]  hash  J

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  job id

  Reply:   {1, return value} of a completed job, {2, reason} of a failed one, {0} of any other, or {code}
  Codes:   -1 job missing
  Protocol: §5.17, bullmq 5.81.5 and 6.7.0
]]
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {-1}
elseif redis.call('ZSCORE', ARGV[1] .. 'completed', ARGV[2]) then
  return {1, redis.call('HGET', KEYS[1], 'returnvalue') or ''}
elseif redis.call('ZSCORE', ARGV[1] .. 'failed', ARGV[2]) then
  return {2, redis.call('HGET', KEYS[1], 'failedReason') or ''}
end
return {0}
