-- BullMQ's word for where a job is. Protocol: §5.17
local function state_of(base, id)
  for _, state in ipairs({"completed", "failed", "delayed", "prioritized"}) do
    if redis.call("ZSCORE", base .. state, id) then
      return state
    end
  end
  if redis.call("LPOS", base .. "active", id) then
    return "active"
  end
  if redis.call("LPOS", base .. "wait", id) or redis.call("LPOS", base .. "paused", id) then
    return "waiting"
  end
  if redis.call("ZSCORE", base .. "waiting-children", id) then
    return "waiting-children"
  end
  return "unknown"
end
