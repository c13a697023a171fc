--[[
  Shortens a list, sorted set or stream, by a bounded number of entries in a call.

  KEYS[1]  list, zset or stream

  ARGV[1]  int   entries that stay, "" for any number
  ARGV[2]  ms    entries older than this moment go, "" for none
  ARGV[3]  int   ms in one unit of a score
  ARGV[4]  text  which end stays, "left" or "right", "" for a list's left and a sorted set's right
  ARGV[5]  int   entries removed at most; of a stream whole nodes, ten thousand entries or so
  ARGV[6]  text  "" to remove; else nothing is changed, entries are counted from this id of a stream on, "-" for the first

  Reply:   {type, entries removed or counted, id to go on counting from, "" at the end}
  Protocol: none; these are no keys of a queue
]]
local key, count, cutoff, most = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
-- whole nodes are freed, so a smaller bound may free none
local nodes = 10000
local kind, counts = redis.call('TYPE', key).ok, ARGV[6] ~= ''
if kind == 'list' then
  local excess = count and math.max(redis.call('LLEN', key) - count, 0) or 0
  if counts then
    return {kind, excess, ''}
  end
  excess = math.min(excess, most)
  if excess > 0 and ARGV[4] == 'right' then
    redis.call('LTRIM', key, excess, -1)
  elseif excess > 0 then
    redis.call('LTRIM', key, 0, -excess - 1)
  end
  return {kind, excess, ''}
elseif kind == 'zset' then
  local old = cutoff and redis.call('ZCOUNT', key, '-inf', string.format('(%.17g', cutoff / tonumber(ARGV[3]))) or 0
  local excess = count and math.max(redis.call('ZCARD', key) - count, 0) or 0
  local from_right = ARGV[4] == 'left'
  excess = from_right and excess or math.max(excess, old)
  if counts then
    return {kind, excess, ''}
  end
  excess = math.min(excess, most)
  if excess > 0 and from_right then
    redis.call('ZREMRANGEBYRANK', key, -excess, -1)
  elseif excess > 0 then
    redis.call('ZREMRANGEBYRANK', key, 0, excess - 1)
  end
  return {kind, excess, ''}
elseif kind == 'stream' then
  local excess = count and math.max(redis.call('XLEN', key) - count, 0) or 0
  if not counts then
    local gone = 0
    if excess > 0 then
      gone = redis.call('XTRIM', key, 'MAXLEN', '~', count, 'LIMIT', nodes)
    end
    if cutoff and gone == 0 then
      gone = redis.call('XTRIM', key, 'MINID', '~', string.format('%.0f', cutoff), 'LIMIT', nodes)
    end
    return {kind, gone, ''}
  end
  if not cutoff then
    return {kind, excess, ''}
  end
  local old = redis.call('XRANGE', key, ARGV[6], string.format('(%.0f-0', cutoff), 'COUNT', 2000)
  -- the longer of the two counts, told with the last page
  if #old == 2000 then
    return {kind, 2000, '(' .. old[2000][1]}
  end
  return {kind, #old, ''}
end
return {kind, 0, ''}
