--[[ A page of the jobs in one or two collections, read one after the other; changes nothing.
  KEYS[1]  K(meta)  hash, names the slot
  ARGV[1]  text     "P:Q:"
  ARGV[2]  int      entries to skip
  ARGV[3]  int      entries wanted
  ARGV[4]  text     "list" (served end first), "list-back" (the other end first), "asc" or "desc" (sorted sets)
  ARGV[n…] text     names of the collections
  Reply: id, fields and values of the hash, for each; ids without a hash are left out
  Protocol: §5.17, bullmq 5.81.5 and 6.7.0
]]
local base = ARGV[1]
local skip, wanted, order = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local found = {}
for at = 5, #ARGV do
  if wanted <= 0 then
    break
  end
  local key = base .. ARGV[at]
  local ids = {}
  local length
  if order == "list" then
    length = redis.call("LLEN", key)
    local page = redis.call("LRANGE", key, -(skip + wanted), -(skip + 1))
    for i = #page, 1, -1 do
      ids[#ids + 1] = page[i]
    end
  elseif order == "list-back" then
    length = redis.call("LLEN", key)
    ids = redis.call("LRANGE", key, skip, skip + wanted - 1)
  else
    length = redis.call("ZCARD", key)
    ids = redis.call(order == "asc" and "ZRANGE" or "ZREVRANGE", key, skip, skip + wanted - 1)
  end
  for _, id in ipairs(ids) do
    local fields = redis.call("HGETALL", base .. id)
    if #fields > 0 then
      found[#found + 1] = {id, fields}
    end
  end
  wanted = wanted - #ids
  skip = math.max(0, skip - length)
end
return found
