--[[
  Takes from what is allowed in a sliding window, if there is enough left. The window has ten slices; what was taken
  counts until its slice has wholly left, so there is never more in one window than allowed, and what was taken is given
  back up to a tenth of the window late.

  KEYS[1]  string  the number of the newest slice, what was taken in all, in it, and in each of the ten before it, packed

  ARGV[1]  ms    now
  ARGV[2]  ms    the window
  ARGV[3]  int   allowed in it
  ARGV[4]  int   to be taken
  ARGV[5]  text  nothing to take, "strict" when what is refused counts too, or "peek" to change nothing

  Reply:   int, what is left, when it is allowed and the newest slice with anything taken is that of now; else
           {1 allowed or 0 refused, left, ms until it would be allowed, ms until all is given back}; the third is -1 when
           that is never
  Protocol: none; these are no keys of a queue
]]
local per, max, cost, slice = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), math.floor(ARGV[1] * 10 / ARGV[2])
local stored = redis.call('GET', KEYS[1])
-- what was taken in all, in the newest slice, and in those before it, the newer the sooner
local newest, total, last, before = slice, 0, 0, nil
if stored then
  newest, total, last = struct.unpack('<ddI4', stored)
  if newest == slice and total + cost <= max and last > 0 and not ARGV[5] then
    -- as most of the time: the rest stays, and the key lives long enough since the first time in this slice
    redis.call('SETRANGE', KEYS[1], 0, struct.pack('<ddI4', slice, total + cost, last + cost))
    return max - total - cost
  end
  local shift = math.min(slice - newest, 11)
  if shift > 0 then
    for at = 61 - 4 * shift, 57, 4 do
      total = total - struct.unpack('<I4', stored, at)
    end
    newest, last = slice, 0
    before = string.rep('\0\0\0\0', shift - 1) .. string.sub(stored, 17, 60 - 4 * shift)
  else
    -- whose clock is behind counts in the newest slice
    before = string.sub(stored, 21)
  end
end
local is_allowed = total + cost <= max
if ARGV[5] == 'strict' or is_allowed and not ARGV[5] then
  local more = math.min(cost, 4294967295 - last)
  total, last = total + more, last + more
  redis.call('SET', KEYS[1], struct.pack('<ddI4', newest, total, last) .. (before or string.rep('\0', 40)), 'PX',
    math.ceil(per * 11 / 10))
end
if is_allowed and last > 0 and newest == slice then
  return max - total
end
-- until when what is in the way counts, from the oldest slice on
local wait, reset, over = cost > max and -1 or 0, 0, is_allowed and 0 or total + cost - max
for at = total > 0 and 10 or -1, 0, -1 do
  local taken = at == 0 and last or before and struct.unpack('<I4', before, 4 * at - 3) or 0
  if taken > 0 then
    reset = math.max(1, math.ceil((newest - at + 11) * per / 10 - ARGV[1]))
    if wait == 0 and over > 0 and taken >= over then
      wait = reset
    end
    over = over - taken
  end
end
return {is_allowed and 1 or 0, math.max(max - total, 0), wait, reset}
