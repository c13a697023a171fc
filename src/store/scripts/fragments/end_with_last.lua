-- Has keys end with the last moment in the sorted set, which is one of them.
local function end_with_last(set, now, keys)
  local last = redis.call('ZRANGE', set, -1, -1, 'WITHSCORES')[2]
  for _, key in ipairs(last and keys or {}) do
    redis.call('PEXPIRE', key, math.max(1, math.ceil(last - now)))
  end
end
