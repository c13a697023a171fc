-- What is known of an element that waits for its next attempt or is dead, and its bytes: a line of JSON stands before them.
local function split_note(entry)
  local line = string.find(entry, '\n', 1, true) or 0
  local read, note = pcall(cjson.decode, string.sub(entry, 1, line - 1))
  return read and type(note) == 'table' and note or {}, string.sub(entry, line + 1)
end
