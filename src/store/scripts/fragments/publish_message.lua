--@include pointed
-- Publishes one status message about a job, of which `job` holds data, name, options, the moment its attempt began
-- and progress, each as stored or nothing; and adds it to the stream, if there is one. `state` picks the word, and
-- where there is none the state is not told; `error` is false in states that are not final, '' for no error, else the
-- text. What fails here is nobody's failure.
local function publish_message(status, job, id, state, now, attempt, error)
  if not status.words[state] then
    return
  end
  local tenant
  local read, data = pcall(cjson.decode, job[1] or 'null')
  if read then
    tenant = pointed(data, status.tenant)
    if tenant ~= tenant or tenant == math.huge or tenant == -math.huge then
      -- a number beyond all numbers is valid JSON, and cjson raises an error when it is to write one
      tenant = nil
    end
  end
  local word = ''
  if type(tenant) == 'number' and tenant % 1 == 0 and math.abs(tenant) < 2^53 then
    -- cjson would round it to 14 digits
    tenant = string.format('%.0f', tenant)
    word = tenant
  elseif type(tenant) == 'table' or type(tenant) == 'userdata' or tenant == nil then
    tenant = 'null'
  else
    word = tostring(tenant)
    tenant = cjson.encode(tenant)
  end
  local parts = {
    '{"tenantId":', tenant, ',"jobId":', cjson.encode(id),
    ',"status":', cjson.encode(status.words[state])
  }
  if error then
    parts[#parts + 1] = ',"error":' .. (error == '' and 'null' or cjson.encode(error))
  end
  if status.full then
    local max = status.attempts
    local known, opts = pcall(cjson.decode, job[3] or '{}')
    if known and type(opts) == 'table' then
      local own = tonumber(opts.attempts or opts.at) or 0
      max = own > 0 and math.min(own, 4294967295) or max
    end
    local progress = job[5] or '0'
    local valid, value = pcall(cjson.decode, progress)
    if not valid or value ~= value or value == math.huge or value == -math.huge then
      progress = '0'
    end
    local took = error and job[4] and tonumber(job[4]) and string.format('%.0f', now - tonumber(job[4])) or 'null'
    parts[#parts + 1] = ',"queue":' .. cjson.encode(status.queue) .. ',"name":' .. cjson.encode(job[2] or '')
    parts[#parts + 1] = string.format(',"attempt":%d,"maxAttempts":%d,"progress":%s,"timestamp":%.0f,"durationMs":%s}',
      attempt, max, progress, now, took)
  else
    parts[#parts + 1] = '}'
  end
  local message = table.concat(parts)
  for _, channel in ipairs(status.channels) do
    -- a function as replacement: text from a job must not be read as a pattern
    local name = string.gsub(channel, '{tenant}', function() return word end)
    redis.pcall('PUBLISH', name, message)
  end
  if status.stream then
    redis.pcall('XADD', status.stream, 'MAXLEN', '~', status.kept, '*',
      'message', message, 'tenant', word, 'queue', status.queue, 'jobId', id)
  end
end
