--@include store_job
--@include add_delayed
--@include mark_delayed
--@include make_ready
--@include publish_status
-- Adds the iteration of the scheduler `sid` for the moment `next`, which its id ends in. `job` holds name and data; opts,
-- its options as JSON up to that moment; cron, whether they tell it once more; due, when it may be taken if that is
-- another moment; priority, lifo, and deid, "" for none. The caller has counted the job in K(id), and makes it the
-- current one if it is. Returns the id.
local function add_iteration(q, sid, next, now, job, status)
  local moment = string.format('%.0f', next)
  local id = 'repeat:' .. sid .. ':' .. moment
  local delay = math.max(0, (job.due or next) - now)
  local opts = job.opts .. moment .. '","delay":' .. string.format('%.0f', delay)
  if job.cron then
    opts = opts .. ',"prevMillis":' .. moment
  end
  local extra = {'rjk', sid}
  if job.deid ~= '' then
    extra[3], extra[4] = 'deid', job.deid
  end
  store_job(q, id, job.name, job.data, opts .. '}', now, delay, job.priority, extra)
  if delay > 0 then
    add_delayed(q, id, now, delay)
    mark_delayed(q)
  else
    make_ready(q, id, job.priority, job.lifo)
    emit(q, 'waiting', 'jobId', id)
  end
  if status then
    publish_status(status, q, id, delay > 0 and 'delayed' or 'waiting', now, 1, false)
  end
  return id
end
