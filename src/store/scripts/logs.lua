--[[
  Rows of a job's log; changes nothing.

  KEYS[1]  list  J:logs

  ARGV[1]  int  first row wanted
  ARGV[2]  int  last row wanted, -1 for the last there is
  ARGV[3]  "1" counts from the oldest row on, "0" from the newest back

  Reply:   {rows in the order counted, how many the log has}
  Protocol: §5.15, bullmq 5.81.5 and 6.7.0
]]
local first, last = tonumber(ARGV[1]), tonumber(ARGV[2])
local total = redis.call('LLEN', KEYS[1])
if ARGV[3] == '1' then
  return {redis.call('LRANGE', KEYS[1], first, last), total}
end
local rows = redis.call('LRANGE', KEYS[1], -1 - last, -1 - first)
local back = {}
for at = #rows, 1, -1 do
  back[#back + 1] = rows[at]
end
return {back, total}
