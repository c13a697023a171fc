--[[ Job schedulers, the one that is due next first; changes nothing.
  KEYS[1]  K(meta)  hash, names the slot
  ARGV[1]  text     "P:Q:"
  ARGV[2]  int      entries to skip
  ARGV[3]  int      entries wanted
  ARGV[n…] text     instead of a page: ids of schedulers
  Reply: id, ms of the current iteration (text or false), fields and values of the definition, and what became of the job
         it names as its last ("completed", "failed", "unfinished", "gone"; false where it names none), for each
  Protocol: §5.13.5, bullmq 5.81.5 and 6.7.0; an entry without a definition is told, not removed (§9.4, 15),
            and so is one whose definition is a key of the wrong type
]]
local base, found = ARGV[1], {}
local ids = {unpack(ARGV, 4)}
if #ids == 0 then
  local skip, wanted = tonumber(ARGV[2]), tonumber(ARGV[3])
  ids = redis.call('ZRANGE', base .. 'repeat', skip, skip + wanted - 1)
end
for at, id in ipairs(ids) do
  local score = redis.call('ZSCORE', base .. 'repeat', id)
  local fields = redis.pcall('HGETALL', base .. 'repeat:' .. id)
  if fields.err then
    fields = {}
  end
  local last, state = #fields > 0 and redis.call('HGET', base .. 'repeat:' .. id, 'oxherd.last'), false
  if last then
    state = redis.call('ZSCORE', base .. 'completed', last) and 'completed'
      or redis.call('ZSCORE', base .. 'failed', last) and 'failed'
      or redis.call('EXISTS', base .. last) == 1 and 'unfinished' or 'gone'
  end
  found[at] = {id, score and string.format('%.0f', tonumber(score)), fields, state}
end
return found
