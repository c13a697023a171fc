--[[
  Renews the locks of running jobs. A lock that ran out is made anew while nobody else has taken
  the job: it is still active and was started no more often than its holder knows.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    life of the locks from now
  ARGV[n…]  per job: id, token, times started as the holder knows it ("" never makes a lock anew)

  Reply:   {ids whose lock is lost, then id and reason of each job that is to be cancelled}
  Codes:   none
  Events:  none
  Protocol: §5.10, bullmq 5.81.5 and 6.7.0. PEXPIRE instead of SET, because Redis allows it when memory is short
]]
--@include among_active

local base, life = ARGV[1], ARGV[2]
local q = {active = base .. 'active'}
local lost, held, locks, marked = {}, {}, {}, {}
for at = 3, #ARGV, 3 do
  locks[#locks + 1] = base .. ARGV[at] .. ':lock'
end
local tokens = redis.call('MGET', unpack(locks))
for n, lock in ipairs(locks) do
  local at = n * 3
  local id, token, started = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if tokens[n] == token then
    redis.call('PEXPIRE', lock, life)
    held[#held + 1] = id
  elseif not tokens[n] and started ~= '' and redis.call('HGET', base .. id, 'ats') == started
    and among_active(q, id) then
    redis.call('SET', lock, token, 'PX', life)
    held[#held + 1] = id
  else
    lost[#lost + 1] = id
  end
end
if #held > 0 then
  redis.call('SREM', base .. 'stalled', unpack(held))
end
-- seldom there: one look for all of them
if redis.call('EXISTS', base .. 'oxherd.cancel') == 1 then
  for _, id in ipairs(held) do
    local heard, reason = string.match(redis.call('HGET', base .. id, 'oxherd.cancel') or '', '^(%a+) (.*)$')
    if heard then
      marked[#marked + 1], marked[#marked + 2] = id, reason
      if heard ~= 'heard' then
        -- may be refused where memory is short: the worker knows all the same
        redis.pcall('HSET', base .. id, 'oxherd.cancel', 'heard ' .. reason)
      end
    end
  end
end
return {lost, unpack(marked)}
