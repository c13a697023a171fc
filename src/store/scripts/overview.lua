--[[ What a queue looks like at this moment; changes nothing.
  KEYS[1]  K(meta)  hash
  ARGV[1]  text     "P:Q:"
  Reply: waiting, active, delayed, prioritized, completed, failed, waiting-children (counts),
    1 when paused, then concurrency, max, duration and version of meta (text or false),
    then the timestamp of the job that is served next (text or false), and where jobs wait while the queue is paused:
    v5 or v6
  Protocol: §5.17, bullmq 5.81.5 and 6.7.0
]]
--@include placement
local base = ARGV[1]
local meta = redis.call("HMGET", KEYS[1], "concurrency", "max", "duration", "version", "oxherd.placement")
local next = redis.call("LINDEX", base .. "wait", -1)
  or redis.call("LINDEX", base .. "paused", -1)
  or redis.call("ZRANGE", base .. "prioritized", 0, 0)[1]
return {
  redis.call("LLEN", base .. "wait") + redis.call("LLEN", base .. "paused"),
  redis.call("LLEN", base .. "active"),
  redis.call("ZCARD", base .. "delayed"),
  redis.call("ZCARD", base .. "prioritized"),
  redis.call("ZCARD", base .. "completed"),
  redis.call("ZCARD", base .. "failed"),
  redis.call("ZCARD", base .. "waiting-children"),
  redis.call("HEXISTS", KEYS[1], "paused"),
  meta[1], meta[2], meta[3], meta[4],
  next and redis.call("HGET", base .. next, "timestamp") or false,
  placement(meta[5], meta[4]),
}
