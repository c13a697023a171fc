--[[
  Deletes finished jobs past their keeping, also when nothing finishes any more.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  base "P:Q:"
  ARGV[2]  ms    now
  ARGV[3]  text  what is kept of completed jobs (read_keep); "" keeps all
  ARGV[4]  text  the same of failed ones

  Reply:   jobs deleted; call again while it is not 0
  Codes:   none
  Events:  none, but waiting for a parent that waited for a deleted child
  Protocol: §5.11, bullmq 5.81.5 and 6.7.0, by the clock instead of at a finish
]]
--@include queue_state
--@include trim_finished
--@include read_keep

local base, now = ARGV[1], tonumber(ARGV[2])
local gone = 0

local function prune(target, text)
  if text == '' then
    return
  end
  local set, keep = base .. target, read_keep(text)
  local count = redis.call('ZCARD', set)
  -- most often there is nothing to do, and that is to cost little
  if keep.count and count > keep.count
    or keep.age and count > 0 and redis.call('ZCOUNT', set, '-inf', now - keep.age * 1000) > 0 then
    gone = gone + trim_finished(queue_state(base), target, keep, now, 1)
  end
end

prune('completed', ARGV[3])
if gone == 0 then -- not both in one call, which would keep Redis from others twice as long
  prune('failed', ARGV[4])
end
return gone
