--[[
  Ends a log-in session.

  KEYS[1]  hash  the session "P:session:{T}:H"

  ARGV[1]  text  the session as the index has it, "{T}:H"
  ARGV[2]  text  the index it has to be in, or "" for any
  ARGV[3]  ms    now
  ARGV[4]  int   members that leave the index at most

  Reply:   {sessions ended, 0 or 1, ended ones that left the index}
  Protocol: none; these are no keys of a queue
]]
--@include drop_lapsed
--@include end_with_last

local index = redis.call('HGET', KEYS[1], 'index')
if index and ARGV[2] ~= '' and index ~= ARGV[2] then
  return {0, 0}
end
index = index or ARGV[2]
local ended = redis.call('UNLINK', KEYS[1])
if index == '' then
  return {ended, 0}
end
local now = tonumber(ARGV[3])
redis.call('ZREM', index, ARGV[1])
local lapsed = drop_lapsed(index, now, tonumber(ARGV[4]))
end_with_last(index, now, {index})
return {ended, lapsed}
