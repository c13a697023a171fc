-- BullMQ's word for where a job is. Of a list that is very long only the ends are looked at: a job that is there and in
-- nothing else waits in its middle. Protocol: §5.17
local function state_of(base, id)
  for _, state in ipairs({"completed", "failed", "delayed", "prioritized", "waiting-children"}) do
    if redis.call("ZSCORE", base .. state, id) then
      return state
    end
  end
  if redis.call("LPOS", base .. "active", id) then
    return "active"
  end
  local far = false
  for _, name in ipairs({"wait", "paused"}) do
    local list = base .. name
    if redis.call("LPOS", list, id, "RANK", -1, "MAXLEN", 1000) or redis.call("LPOS", list, id, "MAXLEN", 1000) then
      return "waiting"
    end
    far = far or redis.call("LLEN", list) > 2000
  end
  return far and redis.call("EXISTS", base .. id) == 1 and "waiting" or "unknown"
end
