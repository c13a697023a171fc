--[[
  What has been counted of the jobs that ended in one way; changes nothing.

  KEYS[1]  hash  K(metrics:completed) or K(metrics:failed)

  Reply:   {count, prevTS, prevCount (text or false), counts per minute, newest first}
  Protocol: §5.14, bullmq 5.81.5 and 6.7.0
]]
local fields = redis.call('HMGET', KEYS[1], 'count', 'prevTS', 'prevCount')
fields[4] = redis.call('LRANGE', KEYS[1] .. ':data', 0, -1)
return fields
