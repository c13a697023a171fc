--[[
  Takes as many jobs as a worker has free slots: due delayed jobs are promoted, then jobs move from
  wait and prioritized to active, each locked by the token and counted as started.

  KEYS[1]  hash  K(meta), names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  base "P:Q:"
  ARGV[2]   ms    now
  ARGV[3]   text  token of this take; "0" takes without a lock
  ARGV[4]   ms    life of the lock
  ARGV[5]   int   jobs wanted, at most 1000
  ARGV[6]   text  worker name for `pb`, "" for none
  ARGV[7]   int   the worker's own rate limit, "" for none
  ARGV[8]   ms    window of that limit, "" for none
  ARGV[9]   int   due delayed jobs promoted at most, at most 1000
  ARGV[10]  int   longest data in bytes that is sent
  ARGV[11]  text  status probe (open_status)
  ARGV[12]  JSON  status settings (publish_status)
  ARGV[13]  text  "1" tells which of the jobs have or had children

  Reply:   {ms until the rate limit ends, due time of the next delayed job in ms, 1 when more may be
           there at once, ids dropped, 14 values a job: id, name, data (its length when too long),
           opts, timestamp, priority, attempts made, attempts started, stalls, deferred failure,
           parent key, scheduler id, stacktrace, moment of the first deferral, then ids of jobs with children, then id and reason of each job
           that is to be cancelled instead of run}
  Codes:   none
  Events:  waiting (promoted), active; failed for a key of the wrong type
  Protocol: §5.5, bullmq 5.81.5 and 6.7.0; ids without a job are dropped (§9.4, 2)
]]
--@include queue_state
--@include open_status
--@include claim_jobs

local q = queue_state(ARGV[1])
local status = open_status(ARGV[11], ARGV[12])
return claim_jobs(q, {
  now = tonumber(ARGV[2]),
  token = ARGV[3],
  lock = ARGV[4],
  want = tonumber(ARGV[5]),
  worker = ARGV[6],
  limit_max = tonumber(ARGV[7]),
  limit_duration = tonumber(ARGV[8]),
  promote = tonumber(ARGV[9]),
  payload = tonumber(ARGV[10]),
  family = ARGV[13] == '1'
}, status)
