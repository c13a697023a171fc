--[[
  The next entries of a sorted set behind one that may be gone by now; changes nothing.

  KEYS[1]  zset  a collection of the queue

  ARGV[1]  int   entries wanted
  ARGV[2]  num   highest score wanted, or +inf
  ARGV[3]  num   score of the entry to go on behind, "" to begin
  ARGV[4]  text  that entry

  Reply:   entries and their scores, one after the other, lowest first
  Protocol: none; reads what §2.1 describes
]]
--@include follows

local key, wanted, highest = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]) or math.huge
local from = 0
if ARGV[3] ~= '' then
  local score, last = ARGV[3], ARGV[4]
  local rank = redis.call('ZRANK', key, last)
  if rank and tonumber(redis.call('ZSCORE', key, last)) == tonumber(score) then
    from = rank + 1
  else
    -- it is gone: halve the entries of its score until the first one behind it is found
    from = redis.call('ZCOUNT', key, '-inf', '(' .. score)
    local to = redis.call('ZCOUNT', key, '-inf', score)
    while from < to do
      local middle = math.floor((from + to) / 2)
      if follows(redis.call('ZRANGE', key, middle, middle)[1], last) then
        to = middle
      else
        from = middle + 1
      end
    end
  end
end
local page = redis.call('ZRANGE', key, from, from + wanted - 1, 'WITHSCORES')
while #page > 0 and tonumber(page[#page]) > highest do
  page[#page] = nil
  page[#page] = nil
end
return page
