--[[
  Says that a connection of a member has left a room, or all of them. The member stays while another one is there.

  KEYS[1]  zset  P:presence:{R}, the members by the moment they are gone; with it P:presence:{R}:about, a hash: per member
                 what is told of it, and its connections and the moment each is gone, packed

  ARGV[1]  text  member
  ARGV[2]  text  connection, or "" for all
  ARGV[3]  ms    now
  ARGV[4]  int   members that leave the room at most

  Reply:   {1 when the member was there and is no more, connections that stay, members that were gone}
  Protocol: none; these are no keys of a queue
]]
--@include end_with_last
--@include drop_absent

local set, about, now = KEYS[1], KEYS[1] .. ':about', tonumber(ARGV[3])
local gone = drop_absent(set, about, now, tonumber(ARGV[4]))
local stored = redis.call('HGET', about, ARGV[1])
local known = stored and cmsgpack.unpack(stored) or {''}
local kept, before, last = {known[1]}, 0, 0
for at = 2, #known, 2 do
  if known[at + 1] > now then
    before = before + 1
    if ARGV[2] ~= '' and known[at] ~= ARGV[2] then
      kept[#kept + 1], kept[#kept + 2] = known[at], known[at + 1]
      last = math.max(last, known[at + 1])
    end
  end
end
local stay = (#kept - 1) / 2
if stay > 0 then
  redis.call('HSET', about, ARGV[1], cmsgpack.pack(kept))
  redis.call('ZADD', set, last, ARGV[1])
else
  redis.call('ZREM', set, ARGV[1])
  redis.call('HDEL', about, ARGV[1])
end
end_with_last(set, now, {set, about})
return {before > 0 and stay == 0 and 1 or 0, stay, gone}
