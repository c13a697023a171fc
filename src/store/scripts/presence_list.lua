--[[
  Who is in a room, the ones last heard of first. Who is gone leaves it.

  KEYS[1]  zset  P:presence:{R}, the members by the moment they are gone; with it P:presence:{R}:about, a hash: per member
                 what is told of it, and its connections and the moment each is gone, packed

  ARGV[1]  ms    now
  ARGV[2]  int   members answered at most
  ARGV[3]  int   members that leave the room at most

  Reply:   {members in the room, members that were gone, then per member: name, moment it is gone, its connections, what
           is told of it}
  Protocol: none; these are no keys of a queue
]]
--@include drop_absent

local set, now = KEYS[1], tonumber(ARGV[1])
local gone = drop_absent(set, set .. ':about', now, tonumber(ARGV[3]))
local reply = {redis.call('ZCOUNT', set, '(' .. ARGV[1], '+inf'), gone}
local found = redis.call('ZREVRANGEBYSCORE', set, '+inf', '(' .. ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for at = 1, #found, 2 do
  local stored = redis.call('HGET', set .. ':about', found[at])
  local known, connections = stored and cmsgpack.unpack(stored) or {''}, 0
  for place = 3, #known, 2 do
    connections = connections + (known[place] > now and 1 or 0)
  end
  local last = #reply
  reply[last + 1], reply[last + 2], reply[last + 3], reply[last + 4] = found[at], found[at + 1], connections, known[1]
end
return reply
