--[[
  Detaches a child from its parent, which does not wait for it any more.

  KEYS[1]  J     hash of the child

  ARGV[1]  text  base "P:Q:" of the child
  ARGV[2]  ms    now

  Reply:   1 when it was a child that was waited for, else 0
  Codes:   -1 job missing, -5 parent missing
  Events:  waiting or delayed when the parent has nothing more to wait for
  Protocol: §5.12.3, bullmq 5.81.5 and 6.7.0; the parent goes on as after its last child's end (§9.4, 11)
]]
--@include queue_state
--@include drop_dependency

if redis.call('EXISTS', KEYS[1]) == 0 then
  return -1
end
local parent_key = redis.call('HGET', KEYS[1], 'parentKey')
if not parent_key then
  return 0
elseif redis.call('EXISTS', parent_key) == 0 then
  return -5
elseif redis.call('SISMEMBER', parent_key .. ':dependencies', KEYS[1]) == 0 then
  return 0
end
redis.call('HDEL', KEYS[1], 'parentKey', 'parent')
drop_dependency(queue_state(ARGV[1]), parent_key, KEYS[1], tonumber(ARGV[2]))
return 1
