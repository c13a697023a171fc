--[[
  Removes from the dead list what is not kept any more.

  KEYS[1]  list  the list itself, names the slot; all other keys derive from ARGV[1]

  ARGV[1]  text  what the keys beside the list begin with
  ARGV[2]  ms    now
  ARGV[3]  text  what is kept (read_keep)
  ARGV[4]  int   elements removed for their age at most

  Reply:   elements removed; call again while it is not 0
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
--@include read_keep
--@include trim_dead

return trim_dead(ARGV[1], read_keep(ARGV[3]), tonumber(ARGV[2]), tonumber(ARGV[4]))
