-- Whether a job is the current iteration of a scheduler, "repeat:<scheduler>:<ms>": the series
-- ends with it, so it is removed with its scheduler only.
local function is_iteration(base, id)
  local scheduler, ms = string.match(id, '^repeat:(.*):(%d+)$')
  local current = scheduler and redis.call('ZSCORE', base .. 'repeat', scheduler)
  return current and tonumber(current) == tonumber(ms)
end
