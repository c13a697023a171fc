-- How many elements a take still holds, which list they are in, and which of them are done, a digit each, or false.
local function count_in_hand(root, token)
  local key = root .. 'held:' .. token
  local count = redis.call('LLEN', key)
  if count == 0 then
    key = root .. 'again:' .. token
    count = redis.call('LLEN', key)
  end
  return count, key, count > 0 and redis.call('GET', root .. 'done:' .. token)
end
