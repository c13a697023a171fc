-- Appends what a worker needs of a job to `out`: 14 values, false where the hash has none. A
-- `data` longer than `limit` bytes is replaced by its length.
local function read_job(out, id, job, started, limit)
  local data = job[2]
  if data and #data > limit then
    data = #data
  end
  local n = #out
  out[n + 1], out[n + 2], out[n + 3], out[n + 4] = id, job[1], data, job[3]
  out[n + 5], out[n + 6], out[n + 7], out[n + 8] = job[4], job[5], job[7] or job[6], started
  out[n + 9], out[n + 10], out[n + 11], out[n + 12] = job[9], job[10], job[11], job[12]
  out[n + 13], out[n + 14] = job[13], job[17]
end
