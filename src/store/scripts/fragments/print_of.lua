-- By what an element that kills its process is known again. Of a long one both ends and the length, or a batch of them would
-- keep Redis busy.
local function print_of(raw)
  if #raw > 131072 then
    raw = #raw .. ':' .. string.sub(raw, 1, 65536) .. string.sub(raw, -65536)
  end
  return redis.sha1hex(raw)
end
