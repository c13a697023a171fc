--@include pointed
-- Who an element of a list is: its id and what a status message tells of it (publish_message). `note` is what is known of
-- it already, or nil; else `token` and `index` say as the how manieth of which take it came.
local function element_job(spec, raw, note, token, index)
  local read, value = false, nil
  if spec.payload == 'json' then
    read, value = pcall(cjson.decode, raw)
  end
  local function text(steps)
    local found
    if read and steps then
      found = pointed(value, steps)
    end
    if type(found) == 'number' and found % 1 == 0 and math.abs(found) < 2^53 then
      return string.format('%.0f', found)
    end
    return type(found) == 'string' and found ~= '' and found or nil
  end
  local id = note and note.id or spec.payload == 'id' and raw ~= '' and raw or text(spec.id)
  id = id or string.gsub(token, ':', '-') .. '-' .. index
  return id, {read and raw or 'null', text(spec.name) or spec.queue}
end
