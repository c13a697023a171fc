-- Whether one member of a sorted set stands behind another of the same score: byte by byte, whatever the locale.
local function follows(a, b)
  for at = 1, math.min(#a, #b) do
    local left, right = string.byte(a, at), string.byte(b, at)
    if left ~= right then
      return left > right
    end
  end
  return #a > #b
end
