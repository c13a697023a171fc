-- Appends rows to a job's log and cuts it to `keep`, '' for all. Of the rows the first `doubtful` are left out when the
-- log ends in them: they may have come with a call that nobody heard the answer of.
local function append_logs(key, rows, doubtful, keep)
  local first = 1
  if doubtful > 0 then
    local last = redis.call('LRANGE', key, -doubtful, -1)
    local there = #last == doubtful
    for at = 1, doubtful do
      there = there and last[at] == rows[at]
    end
    first = there and doubtful + 1 or 1
  end
  if first <= #rows then
    redis.call('RPUSH', key, unpack(rows, first))
  end
  if keep ~= '' then
    redis.call('LTRIM', key, -tonumber(keep), -1)
  end
end
