-- A job's key "P:Q:id" cut at its last colon: the base "P:Q:" and the id.
local function split_key(key)
  return string.match(key, '^(.*:)([^:]*)$')
end
