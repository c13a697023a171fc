--[[
  Everything that is stored about some jobs; changes nothing. What a job has more of than is read in one call is left to
  be read in steps.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   int   log rows, and children, read of a job at most
  ARGV[3]   int   bytes of hashes after which no further job is read
  ARGV[n…]  text  job ids

  Reply:   per job false where there is none, or {fields and values of the hash, log rows, dependencies, processed,
           failed, unsuccessful (with scores), ms left of the deduplication window it owns (-1 without end, false for
           none)}; log rows, or the four of the children, are false where there are more; shorter than asked for when the
           jobs read so far are large
  Protocol: §2.1, bullmq 5.81.5 and 6.7.0
]]
local base, most, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local out = {}
for at = 4, #ARGV do
  if bytes <= 0 then
    break
  end
  local id = ARGV[at]
  local key = base .. id
  local fields = redis.pcall('HGETALL', key)
  if fields.err or #fields == 0 then
    out[at - 3] = false
  else
    for _, text in ipairs(fields) do
      bytes = bytes - #text
    end
    local job = {fields, false, false, false, false, false, false}
    if redis.call('LLEN', key .. ':logs') <= most then
      job[2] = redis.call('LRANGE', key .. ':logs', 0, -1)
    end
    local children = redis.call('SCARD', key .. ':dependencies') + redis.call('HLEN', key .. ':processed')
      + redis.call('HLEN', key .. ':failed') + redis.call('ZCARD', key .. ':unsuccessful')
    if children <= most then
      job[3] = redis.call('SMEMBERS', key .. ':dependencies')
      job[4] = redis.call('HGETALL', key .. ':processed')
      job[5] = redis.call('HGETALL', key .. ':failed')
      job[6] = redis.call('ZRANGE', key .. ':unsuccessful', 0, -1, 'WITHSCORES')
    end
    local did = redis.call('HGET', key, 'deid')
    if did and redis.call('GET', base .. 'de:' .. did) == id then
      job[7] = redis.call('PTTL', base .. 'de:' .. did)
    end
    out[at - 3] = job
  end
end
return out
