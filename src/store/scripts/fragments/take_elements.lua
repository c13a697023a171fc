--@include element_job
--@include split_note
--@include print_of
--@include count_in_hand
--@include publish_message
--@include bury
-- Takes up to `c.want` elements: those whose next attempt is due, else some from the list. They are held by the lists
-- `held:` and `again:` of the take, and the take by its lease. Returns {ms until the rate limit ends, due time of the next
-- delayed element, 1 when more may be there at once, 1 when what is there cannot be taken now, ids of those too long,
-- elements, elements with a note}.
local function take_elements(key, root, c, status)
  local now, token, want = c.now, c.token, c.want
  local nothing = {0, 0, 0, 1, {}, {}, {}}
  local meta = redis.call('HMGET', root .. 'meta', 'paused', 'concurrency', 'max', 'duration')
  if meta[1] then
    return nothing
  end
  local max = tonumber(meta[3] or '')
  if max then
    local started = tonumber(redis.call('GET', root .. 'limiter') or '') or 0
    if started >= max then
      local ttl = redis.call('PTTL', root .. 'limiter')
      if ttl > 0 then
        return {ttl, 0, 0, 0, {}, {}, {}}
      elseif ttl == 0 then
        redis.call('DEL', root .. 'limiter')
      end
      started = 0
    end
    want = math.min(want, max - started)
  end
  local most = tonumber(meta[2] or '')
  if most then
    for _, other in ipairs(redis.call('ZRANGE', root .. 'takes', 0, most)) do
      most = most - count_in_hand(root, other)
    end
    if most <= 0 then
      return nothing
    end
  end
  local bounded = most and most < want
  want = bounded and most or want

  local spec = cjson.decode(c.spec)
  local pop, back = 'RPOP', 'RPUSH'
  if c.side == 'left' then
    pop, back = 'LPOP', 'LPUSH'
  end
  local fresh, dropped, more, blocked = {}, {}, 0, 0
  local again = redis.call('ZRANGEBYSCORE', root .. 'delayed', '-inf', now, 'LIMIT', 0, want)
  if #again > 0 then
    more = 1
    if c.reliable then
      redis.call('RPUSH', root .. 'again:' .. token, unpack(again))
      redis.call('ZADD', root .. 'takes', now + c.lease, token)
    end
    redis.call('ZREM', root .. 'delayed', unpack(again))
  else
    fresh = redis.call(pop, key, want) or {}
    if #fresh == want then
      more, blocked = bounded and 0 or 1, bounded and 1 or 0
    end
  end

  -- from `first` on they go back where they came from
  local function give_back(first)
    local rest = {}
    for at = #fresh, first, -1 do
      rest[#rest + 1] = fresh[at]
      fresh[at] = nil
    end
    if #rest > 0 then
      redis.call(back, key, unpack(rest))
    end
  end

  if #fresh > 0 and c.reliable and redis.call('EXISTS', root .. 'crashes') == 1 then
    -- what may be killing processes is taken alone, and no second one beside it: the next to die says which it was
    local instance = string.match(token, '^[^:]*')
    for at, raw in ipairs(fresh) do
      local times = string.match(redis.call('HGET', root .. 'crashes', print_of(raw)) or '', '^%d+')
      if times and tonumber(times) >= math.max(c.stalls, 1) then
        if at > 1 then
          give_back(at)
          more, blocked = 1, 0
        else
          local other = redis.call('HGET', root .. 'suspects', instance)
          if other and redis.call('ZSCORE', root .. 'takes', other) then
            give_back(1)
            more, blocked = 0, 1
          else
            redis.call('HSET', root .. 'suspects', instance, token)
            redis.call('PEXPIRE', root .. 'suspects', 86400000)
            give_back(2)
            more, blocked = 0, 1
          end
        end
        break
      end
    end
  end

  local long
  for _, raw in ipairs(fresh) do
    long = long or #raw > c.payload
  end
  if long then
    local kept = {}
    for at, raw in ipairs(fresh) do
      if #raw > c.payload then
        local id, job = element_job(spec, '', nil, token, 'x' .. at)
        local reason = 'data is ' .. #raw .. ' bytes long, longer than max_payload allows'
        local note = {id = id, reason = reason, at = now, made = 0, queue = spec.queue, by = c.instance}
        bury(root, cjson.encode(note), raw, c.keep, now)
        dropped[#dropped + 1] = id
        if status then
          publish_message(status, job, id, 'failed', now, 1, reason)
        end
      else
        kept[#kept + 1] = raw
      end
    end
    fresh = kept
  end

  if #fresh > 0 and c.reliable then
    local leased = redis.pcall('ZADD', root .. 'takes', now + c.lease, token)
    local held = type(leased) == 'table' and leased or redis.pcall('RPUSH', root .. 'held:' .. token, unpack(fresh))
    if type(held) == 'table' then
      -- a script is not rolled back
      give_back(1)
      return held
    end
  end

  local taken, limited = #fresh + #again, 0
  if max and taken > 0 then
    local started = redis.call('INCRBY', root .. 'limiter', taken)
    if started == taken then
      redis.call('PEXPIRE', root .. 'limiter', tonumber(meta[4] or '') or 0)
    end
    if started >= max then
      limited = math.max(redis.call('PTTL', root .. 'limiter'), 0)
    end
  end
  if status then
    for at, raw in ipairs(fresh) do
      local id, job = element_job(spec, raw, nil, token, at - 1)
      publish_message(status, job, id, 'active', now, 1, false)
    end
    for at, entry in ipairs(again) do
      local note, raw = split_note(entry)
      local id, job = element_job(spec, raw, note, token, at - 1)
      publish_message(status, job, id, 'active', now, (tonumber(note.made) or 0) + 1, false)
    end
  end
  local next_due = 0
  if more == 0 then
    local first = redis.call('ZRANGE', root .. 'delayed', 0, 0, 'WITHSCORES')
    next_due = first[2] and math.floor(tonumber(first[2])) or 0
  end
  return {limited, next_due, more, blocked, dropped, fresh, again}
end
