-- Takes up to `most` members out of a sorted set of moments that have passed; how many.
local function drop_lapsed(key, now, most)
  local lapsed = math.min(redis.call('ZCOUNT', key, '-inf', now), most)
  return lapsed > 0 and redis.call('ZREMRANGEBYRANK', key, 0, lapsed - 1) or 0
end
