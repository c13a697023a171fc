--[[
  Finds the jobs a take has moved to active although its reply got lost: those locked by its token.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   int   longest data in bytes that is sent
  ARGV[3]   text  token of the take
  ARGV[n…]  text  ids already known to belong to that take

  Reply:   14 values a job, as of move_to_active
  Codes:   none
  Events:  none
  Protocol: none; reads what §5.5 wrote
]]
--@include job_fields
--@include read_job
--@include tokens_of

local base, out, known = ARGV[1], {}, {}
for at = 4, #ARGV do
  known[ARGV[at]] = true
end
local active = redis.call('LRANGE', base .. 'active', 0, -1)
local tokens = tokens_of(base, active)
for at, id in ipairs(active) do
  if tokens[at] == ARGV[3] and not known[id] then
    local job = job_fields(base .. id)
    if not job.err then
      read_job(out, id, job, tonumber(job[8] or '') or 1, tonumber(ARGV[2]))
    end
  end
end
return out
