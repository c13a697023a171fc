--[[
  Tells listeners how far elements in hand are, or that they run. Nothing of it is kept.

  KEYS[1]  list  the list itself, names the slot; all other keys derive from ARGV[1]

  ARGV[1]   text  what the keys beside the list begin with
  ARGV[2]   ms    now
  ARGV[3]   JSON  how elements are read (element_job)
  ARGV[4]   text  status probe (open_status)
  ARGV[5]   JSON  status settings (publish_message)
  ARGV[6]   text  the state told, "progress" or "active"
  ARGV[n…]  element after element: token of its take, index in it, id, name, number of the attempt, when it began, progress as
            JSON or ""

  Reply:   per element: 0 or a code
  Codes:   -3 not in hand any more
  Events:  none
  Protocol: none; a list is no queue of BullMQ's
]]
--@include open_status
--@include publish_message
--@include count_in_hand
--@include split_note

local root, answers, status = ARGV[1], {}, open_status(ARGV[4], ARGV[5])
local is_json = status and cjson.decode(ARGV[3]).payload == 'json'
for at = 7, #ARGV, 7 do
  local count, key, done = count_in_hand(root, ARGV[at])
  local place = tonumber(ARGV[at + 1])
  if done and string.sub(done, place + 1, place + 1) == '1' then
    place = count
  elseif done then
    place = place - select(2, string.gsub(string.sub(done, 1, place), '1', ''))
  end
  answers[#answers + 1] = place < count and 0 or -3
  if status and place < count then
    local raw = is_json and redis.call('LINDEX', key, place) or 'null'
    if string.sub(key, #root + 1, #root + 6) == 'again:' then
      raw = select(2, split_note(raw))
    end
    local job = {is_json and raw or 'null', ARGV[at + 3], nil, ARGV[at + 5], ARGV[at + 6]}
    publish_message(status, job, ARGV[at + 2], ARGV[6], tonumber(ARGV[2]), tonumber(ARGV[at + 4]), false)
  end
end
return answers
