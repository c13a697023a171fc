--[[
  Puts jobs back that earlier incarnations of this very worker left behind, told by the first part
  of their lock tokens, without waiting for the locks to run out.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   int   stalls a job may have
  ARGV[4]   text  status probe (open_status)
  ARGV[5]   JSON  status settings (publish_status)
  ARGV[6]   int   jobs put back at most
  ARGV[n…]  text  first parts of tokens

  Reply:   {1 when more are there: call again, ids recovered…}
  Codes:   none
  Events:  waiting, stalled
  Protocol: §5.10: the same end as a stall, sooner
]]
--@include queue_state
--@include open_status
--@include recover_job
--@include tokens_of

local base, room = ARGV[1], tonumber(ARGV[6])
local ours = {}
for at = 7, #ARGV do
  ours[ARGV[at]] = true
end
local active = redis.call('LRANGE', base .. 'active', 0, -1)
local tokens = tokens_of(base, active)
local recovered = {}
local q, status
for at, id in ipairs(active) do
  if tokens[at] and ours[string.match(tokens[at], '^([^:]*)')] then
    if room == 0 then
      return {1, unpack(recovered)}
    end
    room = room - 1
    q = q or queue_state(base)
    status = status or open_status(ARGV[4], ARGV[5])
    redis.call('DEL', base .. id .. ':lock')
    redis.call('SREM', base .. 'stalled', id)
    local stalls = recover_job(q, id, at * 2 > #active and -1 or 1, tonumber(ARGV[3]), tonumber(ARGV[2]), status)
    if stalls and stalls > 0 then
      recovered[#recovered + 1] = id
    end
  end
end
return {0, unpack(recovered)}
