--[[ What a queue looks like at this moment; changes nothing.
  KEYS[1]  K(meta)  hash
  ARGV[1]  text     "P:Q:"
  Reply: waiting, active, delayed, prioritized, completed, failed, waiting-children (counts),
    1 when paused, then concurrency, max, duration and version of meta (text or false),
    then the timestamp of the job that is served next (text or false), and where jobs wait while the queue is paused:
    v5 or v6
  Protocol: §5.17, bullmq 5.81.5 and 6.7.0
]]
--@include count_states
--@include placement
--@include served_next
local base = ARGV[1]
local meta = redis.call("HMGET", KEYS[1], "concurrency", "max", "duration", "version", "oxherd.placement")
local answer = count_states(base)
answer[9], answer[10], answer[11], answer[12] = meta[1], meta[2], meta[3], meta[4]
local next = served_next(base)
answer[13] = next and redis.call("HGET", base .. next, "timestamp") or false
answer[14] = placement(meta[5], meta[4])
return answer
