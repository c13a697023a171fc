-- The lock tokens of jobs, false where one is not locked, in calls of a bounded size.
local function tokens_of(base, ids)
  local tokens = {}
  for from = 1, #ids, 1000 do
    local locks = {}
    for at = from, math.min(from + 999, #ids) do
      locks[#locks + 1] = base .. ids[at] .. ':lock'
    end
    for at, token in ipairs(redis.call('MGET', unpack(locks))) do
      tokens[from + at - 1] = token
    end
  end
  return tokens
end
