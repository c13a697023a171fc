--[[
  Takes from what is allowed in a sliding window, if there is enough left. The window has ten slices; what was taken
  counts until its slice has wholly left, so there is never more in one window than allowed, and what was taken is given
  back up to a tenth of the window late.

  KEYS[1]  string  the number of the newest slice, and what was taken in it and the ten before it, packed

  ARGV[1]  ms    now
  ARGV[2]  ms    the window
  ARGV[3]  int   allowed in it
  ARGV[4]  int   to be taken
  ARGV[5]  text  "take", "strict" when what is refused counts too, or "peek" to change nothing

  Reply:   {1 allowed or 0 refused, left, ms until it would be allowed, ms until all is given back}; the third is -1 when
           that is never
  Protocol: none; these are no keys of a queue
]]
local now, per, max, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local slice = math.floor(now * 10 / per)
local stored = redis.call('GET', KEYS[1])
local taken, total = {slice, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0
if stored then
  local before = {struct.unpack('<dI4I4I4I4I4I4I4I4I4I4I4', stored)}
  -- whose clock is behind counts in the newest slice there is
  local shift = math.max(slice - before[1], 0)
  slice = before[1] + shift
  taken[1] = slice
  for at = 2, 12 - shift do
    taken[at + shift] = before[at]
    total = total + before[at]
  end
end
local is_allowed = total + cost <= max
if ARGV[5] == 'strict' or is_allowed and ARGV[5] == 'take' then
  taken[2] = math.min(taken[2] + cost, 4294967295)
  redis.call('SET', KEYS[1], struct.pack('<dI4I4I4I4I4I4I4I4I4I4I4', unpack(taken)), 'PX', math.ceil(per * 11 / 10))
  total = total + cost
end
local wait, reset, over = 0, 0, total + cost - max
if is_allowed then
  over = 0
elseif cost > max then
  wait = -1
end
for at = 12, 2, -1 do
  if taken[at] > 0 then
    -- when the slice leaves
    reset = math.max(0, math.ceil((slice - at + 13) * per / 10 - now))
    if over > 0 and wait == 0 and taken[at] >= over then
      wait = math.max(reset, 1)
    end
    over = over - taken[at]
  end
end
return {is_allowed and 1 or 0, math.max(max - total, 0), wait, reset}
