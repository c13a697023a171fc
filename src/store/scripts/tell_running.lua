--[[
  Tells anew of jobs that run, each as long as its lock is held by the one who tells it.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  status probe (open_status)
  ARGV[4]   JSON  status settings (publish_status)
  ARGV[n…]  per job: id, token

  Reply:   how many were told of; none while nobody wants to know
  Codes:   none
  Events:  none
  Protocol: ours alone
]]
--@include open_status
--@include publish_status

local base, now = ARGV[1], tonumber(ARGV[2])
local status = open_status(ARGV[3], ARGV[4])
if not status then
  return 0
end
local told = 0
for at = 5, #ARGV, 2 do
  local id, token = ARGV[at], ARGV[at + 1]
  if redis.pcall('GET', base .. id .. ':lock') == token then
    local job = redis.pcall('HMGET', base .. id, 'atm', 'attemptsMade')
    local made = tonumber(job[1] or job[2] or '') or 0
    publish_status(status, {base = base}, id, 'active', now, made + 1, false)
    told = told + 1
  end
end
return told
