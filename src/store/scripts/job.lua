--[[ Everything that is stored about one job; changes nothing.
  KEYS[1]  J     hash
  ARGV[1]  text  "P:Q:"
  ARGV[2]  text  job id
  ARGV[3]  int   log rows wanted, the newest
  Reply: nil when there is no such job, else: fields and values of the hash, state, log rows oldest first
  Protocol: §5.17, bullmq 5.81.5 and 6.7.0
]]
--@include state_of
local fields = redis.call("HGETALL", KEYS[1])
if #fields == 0 then
  return false
end
local wanted = tonumber(ARGV[3])
local logs = wanted > 0 and redis.call("LRANGE", KEYS[1] .. ":logs", -wanted, -1) or {}
return {fields, state_of(ARGV[1], ARGV[2]), logs}
