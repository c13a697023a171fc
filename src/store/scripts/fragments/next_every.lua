-- The next time of an interval, and how far its times lie behind whole multiples of it. `prev` is the time before it,
-- `start` where the first one shall lie, both nil for none; an `offset` of 0 counts as none. Missed times are skipped.
local function next_every(prev, every, now, offset, start)
  local slot = math.floor(now / every) * every + offset
  local ahead = slot > now and slot or slot + every
  local next = now
  if prev then
    next = prev + every
    if next < now then
      next = ahead
    end
  elseif start then
    next = math.max(start, now)
  elseif offset > 0 then
    next = ahead
  end
  if offset == 0 then
    offset = next - math.floor(next / every) * every
  end
  return math.floor(next), math.floor(offset)
end
