-- What a JSON pointer's steps lead to in a decoded value, or nil.
local function pointed(value, steps)
  for _, step in ipairs(steps) do
    if type(value) ~= 'table' then
      return nil
    end
    local at = tonumber(step)
    value = value[step] or (at and value[at + 1])
  end
  return value
end
