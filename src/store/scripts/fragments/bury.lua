--@include read_keep
--@include trim_dead
-- Puts an element among the dead, the newest first. `note` is the line of JSON before its bytes; `keep` as read_keep reads it.
local function bury(root, note, raw, keep, now)
  if keep == '0' then
    return
  end
  redis.call('LPUSH', root .. 'dead', note .. '\n' .. raw)
  trim_dead(root, read_keep(keep), now, 10)
end
