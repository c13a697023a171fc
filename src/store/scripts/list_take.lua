--[[
  Takes as many elements of a list as a worker has free slots: those whose next attempt is due, else some from the end that
  is taken from. They stand in a list of the take's own until they are done, their bytes unchanged.

  KEYS[1]  list  the list itself; all other keys derive from ARGV[1]

  ARGV[1]   text  what the keys beside the list begin with
  ARGV[2]   ms    now
  ARGV[3]   text  token of this take, INCARNATION:NUMBER
  ARGV[4]   ms    life of the lease
  ARGV[5]   int   elements wanted, at most 1000
  ARGV[6]   text  end that is taken from, left or right
  ARGV[7]   text  "reliable", or "at-most-once": nothing is held
  ARGV[8]   int   longest element in bytes that is a job
  ARGV[9]   JSON  how elements are read (element_job)
  ARGV[10]  text  status probe (open_status)
  ARGV[11]  JSON  status settings (publish_message)
  ARGV[12]  int   times an element may be left behind by a process that dies
  ARGV[13]  text  what is kept of the dead list (read_keep)
  ARGV[14]  text  name of this process

  Reply:   {ms until the rate limit ends, due time of the next delayed element in ms, 1 when more may be there at once, 1 when
           something may be there that cannot be taken now, ids of elements that were too long, elements in the order they
           were taken, elements with a note before them (split_note)}
  Codes:   none
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
--@include open_status
--@include take_elements

return take_elements(KEYS[1], ARGV[1], {
  now = tonumber(ARGV[2]),
  token = ARGV[3],
  lease = tonumber(ARGV[4]),
  want = tonumber(ARGV[5]),
  side = ARGV[6],
  reliable = ARGV[7] == 'reliable',
  payload = tonumber(ARGV[8]),
  spec = ARGV[9],
  stalls = tonumber(ARGV[12]),
  keep = ARGV[13],
  instance = ARGV[14]
}, open_status(ARGV[10], ARGV[11]))
