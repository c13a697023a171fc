--[[
  How long no job may be started because of a rate limit; changes nothing.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"

  Reply:   ms, not above 0 when jobs may be started
  Protocol: §5.16.8, bullmq 5.81.5 and 6.7.0
]]
local base = ARGV[1]
local max = tonumber(redis.call('HGET', base .. 'meta', 'max') or '')
if max and (tonumber(redis.call('GET', base .. 'limiter') or '') or 0) < max then
  return 0
end
return redis.call('PTTL', base .. 'limiter')
