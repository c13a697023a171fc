-- Where jobs wait while the queue is paused, "v5" (in `paused`) or "v6" (in `wait`): as oxherd was told to
-- keep it, else as the client that last opened the queue has it. Protocol: §5.16.1
local function placement(chosen, version)
  return chosen or (version and string.find(version, ':5.', 1, true) and 'v5') or 'v6'
end
