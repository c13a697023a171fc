--[[
  A job as one place in a tree: itself and some of its children; changes nothing.

  KEYS[1]  J     hash

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  text  job id
  ARGV[3]  int   children wanted

  Reply:   nil when there is no such job, else: fields and values of the hash, state, keys of children, how many there are
  Protocol: §5.12.1, bullmq 5.81.5 and 6.7.0
]]
--@include state_of

local job = KEYS[1]
local fields = redis.call('HGETALL', job)
if #fields == 0 then
  return false
end
local wanted = tonumber(ARGV[3])
local children = {}
local total = redis.call('SCARD', job .. ':dependencies') + redis.call('ZCARD', job .. ':unsuccessful')
  + redis.call('HLEN', job .. ':failed') + redis.call('HLEN', job .. ':processed')
if total > 0 then
  local function add(keys, step)
    for at = 1, #keys, step do
      if #children < wanted then
        children[#children + 1] = keys[at]
      end
    end
  end
  add(redis.call('SSCAN', job .. ':dependencies', 0, 'COUNT', wanted)[2], 1)
  add(redis.call('ZRANGE', job .. ':unsuccessful', 0, wanted), 1)
  add(redis.call('HSCAN', job .. ':failed', 0, 'COUNT', wanted)[2], 2)
  add(redis.call('HSCAN', job .. ':processed', 0, 'COUNT', wanted)[2], 2)
end
return {fields, state_of(ARGV[1], ARGV[2]), children, total}
