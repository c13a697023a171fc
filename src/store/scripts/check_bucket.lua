--[[
  Takes tokens out of a bucket that fills evenly, if there are enough.

  KEYS[1]  string  shares of tokens left and the moment that was, packed; a bucket that is not there is full

  ARGV[1]  ms    now
  ARGV[2]  ms    in which time ARGV[3] tokens come
  ARGV[3]  int   tokens that come in that time
  ARGV[4]  int   tokens to be taken
  ARGV[5]  text  "take", "strict" when what is refused counts too, or "peek" to change nothing
  ARGV[6]  int   tokens it holds

  Reply:   {1 allowed or 0 refused, left, ms until it would be allowed, ms until it is full}; the third is -1 when that is
           never
  Protocol: none; these are no keys of a queue
]]
-- counted in shares, of which the period in ms make a token: whole numbers, so that nothing is lost by rounding
local now, per, max, size = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6])
local full, price = size * per, ARGV[4] * per
local stored = redis.call('GET', KEYS[1])
local left = full
if stored then
  local at
  left, at = struct.unpack('<dd', stored)
  -- whose clock is behind gets nothing for the time others have counted
  now = math.max(now, at)
  left = math.min(full, left + (now - at) * max)
end
local is_allowed = left >= price
if ARGV[5] == 'strict' or is_allowed and ARGV[5] == 'take' then
  -- who goes on in spite of refusals owes a bucket at most
  left = math.max(left - price, -full)
  redis.call('SET', KEYS[1], struct.pack('<dd', left, now), 'PX', math.max(1, math.ceil((full - left) / max)))
end
local wait = 0
if not is_allowed then
  wait = price > full and -1 or math.ceil((price - left) / max)
end
return {is_allowed and 1 or 0, math.max(0, math.floor(left / per)), wait, math.ceil((full - left) / max)}
