--[[
  Takes tokens out of a bucket that fills evenly, if there are enough. They are counted in shares, of which the period in
  ms make a token: whole numbers, so that nothing is lost by rounding.

  KEYS[1]  string  shares left and the moment that was, packed; a bucket that is not there is full

  ARGV[1]  ms    now
  ARGV[2]  ms    in which time ARGV[3] tokens come
  ARGV[3]  int   tokens that come in that time, and shares in a ms
  ARGV[4]  int   tokens to be taken
  ARGV[5]  int   tokens it holds
  ARGV[6]  text  nothing to take, "strict" when what is refused counts too, or "peek" to change nothing

  Reply:   shares left, when it is allowed; else {shares left}, which may be owed
  Protocol: none; these are no keys of a queue
]]
local now, per, max = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local price, full = ARGV[4] * per, ARGV[5] * per
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
if ARGV[6] == 'strict' or is_allowed and not ARGV[6] then
  -- who goes on in spite of refusals owes a bucket at most
  left = math.max(left - price, -full)
  redis.call('SET', KEYS[1], struct.pack('<dd', left, now), 'PX', math.max(1, math.ceil((full - left) / max)))
end
return is_allowed and left or {left}
