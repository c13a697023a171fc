-- Takes up to `most` members whose moment has passed out of a sorted set, and their fields out of a hash; how many.
local function drop_absent(set, hash, now, most)
  local members = redis.call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, most)
  if #members > 0 then
    redis.call('HDEL', hash, unpack(members))
    redis.call('ZREM', set, unpack(members))
  end
  return #members
end
