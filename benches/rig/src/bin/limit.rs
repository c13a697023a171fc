//! The least Redis work that finishes jobs and fetches new ones on the BullMQ layout: one script call
//! carries a batch of both, two calls are in flight. Not a job system; a yardstick for one.
//!
//!     limit --redis URL --queue q --jobs N [--batch 32] [--depth 2]

use std::collections::VecDeque;
use std::io::Write;
use std::time::Instant;

use oxherd_rig::arguments::Arguments;
use oxherd_rig::redis::Redis;

/// ARGV: key base, now, lock token, jobs wanted, then id and return value of each finished job.
/// Looks up all that a compatible step must look up: meta, due delayed, prioritized, locks, stalled,
/// parents, dependencies. Reply: id and fields of each claimed job in turn.
const STEP: &str = r"
local base, now, token, wanted = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local call, active, events = redis.call, ARGV[1] .. 'active', ARGV[1] .. 'events'
local meta = call('HMGET', base .. 'meta', 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
if meta[1] then return {} end
local cap = meta[5] or 10000
call('ZRANGE', base .. 'delayed', 0, (tonumber(now) + 1) * 4096 - 1, 'BYSCORE', 'LIMIT', 0, 1000)
call('ZCARD', base .. 'prioritized')

local done = (#ARGV - 4) / 2
if done > 0 then
  local ids, locks, gone = {}, {}, {}
  for i = 1, done do
    local id = ARGV[3 + 2 * i]
    ids[i], locks[i] = id, base .. id .. ':lock'
    gone[i], gone[done + i] = base .. id, locks[i]
  end
  local owners = call('MGET', unpack(locks))
  for i = 1, done do
    if owners[i] ~= token then return redis.error_reply('lock of ' .. ids[i] .. ' is not ours') end
  end
  call('SREM', base .. 'stalled', unpack(ids))
  for i = 1, done do
    local id = ids[i]
    local job = call('HMGET', base .. id, 'name', 'parentKey', 'deid', 'atm')
    if not job[1] then return redis.error_reply('job ' .. id .. ' is missing') end
    if call('EXISTS', base .. id .. ':dependencies') == 1 then return redis.error_reply('job ' .. id .. ' has children') end
    call('LREM', active, -1, id)
    call('XADD', events, 'MAXLEN', '~', cap, '*', 'event', 'completed', 'jobId', id, 'returnvalue', ARGV[4 + 2 * i], 'prev', 'active')
  end
  call('DEL', unpack(gone))
end

local claimed, reply = call('RPOP', base .. 'wait', wanted) or {}, {}
if #claimed == 0 then return reply end
call('LPUSH', active, unpack(claimed))
for i, id in ipairs(claimed) do
  call('SET', base .. id .. ':lock', token, 'PX', 30000)
  call('HSET', base .. id, 'processedOn', now, 'ats', 1)
  call('XADD', events, 'MAXLEN', '~', cap, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
  reply[2 * i - 1] = id
  reply[2 * i] = call('HGETALL', base .. id)
end
return reply
";

fn main() {
    let arguments = Arguments::read();
    let mut redis = Redis::connect(&arguments.text("redis", "redis://127.0.0.1:6379")).expect("redis is there");
    let base = format!("bull:{}:", arguments.text("queue", "bench"));
    let jobs: usize = arguments.number("jobs", 50_000);
    let batch = arguments.number::<usize>("batch", 32).to_string();
    let depth: usize = arguments.number("depth", 2);
    let script = redis.load(STEP);

    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("a line that says go");

    let start = Instant::now();
    let mut batches: VecDeque<Vec<Vec<u8>>> = (0..depth).map(|_| Vec::new()).collect();
    let (mut in_flight, mut finished) = (0, 0);
    while finished < jobs || in_flight > 0 {
        while let Some(ids) = batches.pop_front() {
            let now = std::time::UNIX_EPOCH.elapsed().expect("a clock past 1970").as_millis().to_string();
            let mut words: Vec<&[u8]> = vec![b"EVALSHA", &script, b"0", base.as_bytes(), now.as_bytes(), b"limit:1"];
            words.push(batch.as_bytes());
            for id in &ids {
                words.push(id);
                words.push(b"null");
            }
            finished += ids.len();
            redis.queue(&words);
            in_flight += 1;
        }
        redis.flush();
        let claimed =
            redis.reply().list().into_iter().step_by(2).map(oxherd_rig::redis::Reply::bytes).collect::<Vec<_>>();
        in_flight -= 1;
        if !claimed.is_empty() {
            batches.push_back(claimed);
        } else if in_flight == 0 {
            assert!(finished >= jobs, "the queue held {finished} jobs, expected {jobs}");
        }
    }
    println!(r#"{{"jobs":{finished},"seconds":{}}}"#, start.elapsed().as_secs_f64());
    std::io::stdout().flush().expect("somebody reads");
    let _ = std::io::stdin().read_line(&mut String::new());
}
