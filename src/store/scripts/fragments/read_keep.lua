-- A retention policy "count,age in s,limit", parts empty when unbounded; "0" keeps nothing, ""
-- keeps all.
local function read_keep(text)
  local count, age, limit = string.match(text, '^(%d*),?(%d*),?(%d*)$')
  return {count = tonumber(count), age = tonumber(age), limit = tonumber(limit)}
end
