-- The status settings when messages are to be sent, else nil. `probe` is '' (never), '*'
-- (always) or a channel: then messages are made only while somebody listens, to the channel or
-- to any pattern.
local function open_status(probe, spec)
  if probe == '' then
    return nil
  end
  if probe ~= '*' then
    local listeners = redis.call('PUBSUB', 'NUMSUB', probe)
    if listeners[2] == 0 and redis.call('PUBSUB', 'NUMPAT') == 0 then
      return nil
    end
  end
  return cjson.decode(spec)
end
