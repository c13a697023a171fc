--[[
  Deletes finished jobs past their keeping, also when nothing finishes any more.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  ms    now
  ARGV[3]  text  completed or failed
  ARGV[4]  text  what is kept (read_keep)

  Reply:   jobs deleted; call again while it is not 0
  Codes:   none
  Events:  none, but waiting for a parent that waited for a deleted child
  Protocol: §5.11, bullmq 5.81.5 and 6.7.0, by the clock instead of at a finish
]]
--@include queue_state
--@include trim_finished
--@include read_keep

local base = ARGV[1]
if redis.call('EXISTS', base .. ARGV[3]) == 0 then
  return 0
end
return trim_finished(queue_state(base), ARGV[3], read_keep(ARGV[4]), tonumber(ARGV[2]), 1)
