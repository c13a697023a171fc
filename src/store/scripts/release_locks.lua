--[[
  Puts jobs back that earlier incarnations of this very worker left behind, told by the first part
  of their lock tokens, without waiting for the locks to run out.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   int   stalls a job may have
  ARGV[4]   text  status probe (open_status)
  ARGV[5]   JSON  status settings (publish_status)
  ARGV[n…]  text  first parts of tokens

  Reply:   ids recovered
  Codes:   none
  Events:  waiting, stalled
  Protocol: §5.10: the same end as a stall, sooner
]]
--@include queue_state
--@include open_status
--@include recover_job

local base = ARGV[1]
local active = redis.call('LRANGE', base .. 'active', 0, -1)
local recovered = {}
if #active == 0 then
  return recovered
end
local ours = {}
for at = 6, #ARGV do
  ours[ARGV[at]] = true
end
local q, status
for _, id in ipairs(active) do
  local lock = base .. id .. ':lock'
  local token = redis.call('GET', lock)
  if token and ours[string.match(token, '^([^:]*)')] then
    q = q or queue_state(base)
    status = status or open_status(ARGV[4], ARGV[5])
    redis.call('DEL', lock)
    redis.call('SREM', base .. 'stalled', id)
    if recover_job(q, id, tonumber(ARGV[3]), tonumber(ARGV[2]), status) then
      recovered[#recovered + 1] = id
    end
  end
end
return recovered
