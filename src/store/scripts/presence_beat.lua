--[[
  Says that a member is in a room, over one of its connections, for a while. Who is gone leaves the room, which ends with
  its last member.

  KEYS[1]  zset  P:presence:{R}, the members by the moment they are gone; with it P:presence:{R}:about, a hash: per member
                 what is told of it, and its connections and the moment each is gone, packed

  ARGV[1]  text  member
  ARGV[2]  text  connection
  ARGV[3]  ms    now
  ARGV[4]  ms    how long it stays without another beat
  ARGV[5]  JSON  what is told of the member, or "" for what it is
  ARGV[6]  int   connections of a member: above that the one heard of longest ago goes
  ARGV[7]  int   members that leave the room at most

  Reply:   {1 when the member was not there before, its connections, members that were gone}
  Protocol: none; these are no keys of a queue
]]
--@include end_with_last
--@include drop_absent

local set, about, now = KEYS[1], KEYS[1] .. ':about', tonumber(ARGV[3])
local gone = drop_absent(set, about, now, tonumber(ARGV[7]))
local stored = redis.call('HGET', about, ARGV[1])
local known = stored and cmsgpack.unpack(stored) or {''}
local kept = {}
for at = 2, #known, 2 do
  if known[at] ~= ARGV[2] and known[at + 1] > now then
    kept[#kept + 1] = {known[at], known[at + 1]}
  end
end
local is_new = #kept == 0 and 1 or 0
if #kept >= tonumber(ARGV[6]) then
  table.remove(kept, 1)
end
kept[#kept + 1] = {ARGV[2], now + ARGV[4]}
local parts, last = {ARGV[5] ~= '' and ARGV[5] or known[1]}, 0
for _, connection in ipairs(kept) do
  parts[#parts + 1], parts[#parts + 2] = connection[1], connection[2]
  last = math.max(last, connection[2])
end
redis.call('HSET', about, ARGV[1], cmsgpack.pack(parts))
redis.call('ZADD', set, last, ARGV[1])
end_with_last(set, now, {set, about})
return {is_new, #kept, gone}
