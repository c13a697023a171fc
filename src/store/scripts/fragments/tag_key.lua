-- Puts a key into the set of those that bear a tag, and has the set live as long as the key may, in ms; a set that
-- somebody else has made to live for ever does
local function tag_key(tag, key, life)
  local left = redis.call('PTTL', tag)
  redis.call('SADD', tag, key)
  if left ~= -1 and left < life then
    redis.call('PEXPIRE', tag, life)
  end
end
