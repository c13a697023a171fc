--[[
  Gives keys a time to live.

  KEYS[1]  any   the first of the keys, names the slot

  ARGV[1]  text  "missing": only keys without one, or "always"
  ARGV[2]  int   "1" to count and change nothing
  ARGV[3]  int   keys changed at most
  ARGV[n…]  per key: the key, and its time to live in ms

  Reply:   int, the keys that were changed, or would be
  Protocol: none; these are no keys of a queue
]]
local changed, most = 0, tonumber(ARGV[3])
for at = 4, #ARGV, 2 do
  if changed == most then
    break
  end
  local left = redis.call('PTTL', ARGV[at])
  if left ~= -2 and (left == -1 or ARGV[1] == 'always') then
    if ARGV[2] ~= '1' then
      redis.call('PEXPIRE', ARGV[at], ARGV[at + 1])
    end
    changed = changed + 1
  end
end
return changed
