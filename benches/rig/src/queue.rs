//! Fills a queue with waiting jobs the way a BullMQ client leaves them.

use crate::redis::Redis;

const ADD: &str = r"
local base, now, opts = ARGV[1], ARGV[2], ARGV[3]
local count = #ARGV - 3
local last = redis.call('INCRBY', base .. 'id', count)
local ids = {}
for i = 1, count do
  local id = last - count + i
  ids[i] = id
  redis.call('HSET', base .. id, 'name', 'bench', 'data', ARGV[3 + i], 'opts', opts, 'timestamp', now, 'delay', 0, 'priority', 0)
  redis.call('XADD', base .. 'events', 'MAXLEN', '~', 10000, '*', 'event', 'added', 'jobId', id, 'name', 'bench')
  redis.call('XADD', base .. 'events', 'MAXLEN', '~', 10000, '*', 'event', 'waiting', 'jobId', id)
end
redis.call('LPUSH', base .. 'wait', unpack(ids))
redis.call('ZADD', base .. 'marker', 0, '0')
redis.call('HSET', base .. 'meta', 'opts.maxLenEvents', 10000)
return count
";

/// Data of a bench job, about `bytes` long.
pub fn payload(bytes: usize) -> String {
    format!(r#"{{"n":1,"pad":"{}"}}"#, "x".repeat(bytes.saturating_sub(16)))
}

/// Empties Redis and adds `jobs` that are to be removed once completed.
pub fn fill(redis: &mut Redis, queue: &str, jobs: usize, payload_bytes: usize) {
    redis.call(&["FLUSHALL"]);
    add(redis, queue, jobs, payload_bytes);
}

/// Adds `jobs` that are to be removed once completed.
pub fn add(redis: &mut Redis, queue: &str, jobs: usize, payload_bytes: usize) {
    let script = redis.load(ADD);
    let (base, data) = (format!("bull:{queue}:"), payload(payload_bytes));
    let mut left = jobs;
    while left > 0 {
        let now = (std::time::UNIX_EPOCH.elapsed().expect("a clock past 1970").as_millis()).to_string();
        let some = left.min(500);
        let mut words: Vec<&[u8]> = vec![b"EVALSHA", &script, b"0", base.as_bytes(), now.as_bytes()];
        words.push(br#"{"attempts":0,"removeOnComplete":true}"#);
        words.extend(std::iter::repeat_n(data.as_bytes(), some));
        redis.queue(&words);
        redis.flush();
        redis.reply();
        left -= some;
    }
}
