--[[
  Takes members out of a set or sorted set, each of which stands for a key: in one step with their keys, or only those
  whose key is gone. The collection goes with its last member. A key that somebody is making (the lock "oxherd:warm:KEY")
  is not gone; deleted with its member, it is not stored any more.

  KEYS[1]  set or zset  the collection

  ARGV[1]  text  "all": the members and their keys, or "gone": the members whose key is gone
  ARGV[n…]  per member: the member, and the key it stands for

  Reply:   {members taken out, keys deleted}, or the type of a key that is no such collection
  Protocol: none; these are no keys of a queue
]]
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
  return {0, 0}
end
if kind ~= 'set' and kind ~= 'zset' then
  return kind
end
local members, keys = {}, {}
for at = 2, #ARGV, 2 do
  local member, key = ARGV[at], ARGV[at + 1]
  if ARGV[1] == 'gone' then
    if redis.call('EXISTS', key, 'oxherd:warm:' .. key) == 0 then
      members[#members + 1] = member
    end
  else
    -- one that somebody has taken out meanwhile keeps its key
    local is_there = kind == 'set' and redis.call('SISMEMBER', KEYS[1], member) == 1
      or kind == 'zset' and redis.call('ZSCORE', KEYS[1], member)
    if is_there then
      members[#members + 1], keys[#keys + 1] = member, key
      redis.call('UNLINK', 'oxherd:warm:' .. key)
    end
  end
end
local deleted = #keys > 0 and redis.call('UNLINK', unpack(keys)) or 0
local gone = #members > 0 and redis.call(kind == 'set' and 'SREM' or 'ZREM', KEYS[1], unpack(members)) or 0
return {gone, deleted}
