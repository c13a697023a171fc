//! What a very long queue costs: every operation of the store on 500,000 waiting and 200,000 delayed jobs, none of whose
//! calls may keep Redis from others for more than 50 ms.
//!
//! `OXHERD_SOAK=1` makes everything four times as long; the bound stays, but for the commands that walk along the wait
//! list because BullMQ's layout asks for it. `--no-capture` shows the longest call of each operation: the table in
//! `docs/performance.md` is made of that.

#[cfg(feature = "app")]
mod beside;
mod emptying;
mod keeping;
mod lists;
mod looking;
mod moving;
#[cfg(feature = "app")]
mod people;
mod working;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt::{Display, Write as _};
use std::time::Duration;

use serde_json::value::RawValue;

use super::script::load_all;
use super::testing::Server;
use super::{Queue, Store, Value, WorkQueue, reply};
use crate::config;
use crate::job::{JobId, JobOptions, NewJob, QueueName, UnixMillis};

/// When the clock stands still.
const T0: i64 = 1_700_000_000_000;
/// The bound on one call.
const MOST_MS: f64 = 50.0;
/// How often an operation may be done until its calls are short enough: others use the machine too, and take the
/// processor from Redis in the middle of a call.
const TRIES: u32 = 2;
/// How long of an operation in many calls is looked at.
const A_WHILE: Duration = Duration::from_millis(60);

/// What the cost of an operation grows with.
#[derive(Clone, Copy, PartialEq)]
enum Cost {
    /// Nothing that is long here.
    Flat,
    /// The wait list: a single job is taken out of its middle.
    WalksWait,
}

/// A server and its queue `q`: jobs 1, 2… wait, d1… are delayed, p1… prioritized, c1… completed, f1… failed, a1… active
/// and locked by `old:1` or `mine:1`.
struct Long {
    server: Server,
    store: Store,
    queue: Queue,
    /// How many times as long as asked for everything is.
    scale: u32,
    /// Names of scripts by their hash.
    scripts: HashMap<String, &'static str>,
    called: RefCell<BTreeSet<String>>,
    report: RefCell<String>,
}

#[tokio::test]
async fn f79_no_call_takes_more_than_50_ms_on_a_very_long_queue() {
    let long = Long::new().await;
    Box::pin(looking::all(&long)).await;
    Box::pin(working::all(&long)).await;
    moving::all(&long).await;
    Box::pin(keeping::all(&long)).await;
    Box::pin(lists::all(&long)).await;
    #[cfg(feature = "app")]
    Box::pin(beside::all(&long)).await;
    #[cfg(feature = "app")]
    Box::pin(people::all(&long)).await;
    Box::pin(emptying::all(&long)).await;
    let called = long.called.borrow();
    let forgotten: Vec<_> = long.scripts.values().filter(|name| !called.contains(**name)).collect();
    assert!(forgotten.is_empty(), "no operation here calls {forgotten:?}: add one");
    show(&long.report.borrow());
}

#[expect(clippy::print_stderr, reason = "figures are to be seen with --no-capture")]
fn show(report: &str) {
    eprintln!("{report}");
}

/// Puts jobs ARGV[2] to ARGV[3] into collection ARGV[1], with all that BullMQ stores of them.
const FILL: &str = "local name, ids, scored, locks = ARGV[1], {}, {}, {}
    local prefix = ({wait = '', delayed = 'd', prioritized = 'p', completed = 'c', failed = 'f', active = 'a'})[name]
    for n = ARGV[2], ARGV[3] do
      local id, score = string.format('%s%d', prefix, n), 1700000000000 - 3600000 + n
      if name == 'delayed' then score = (1700000000000 + 60000 + n) * 4096 end
      if name == 'prioritized' then score = (n % 2000 + 1) * 4294967296 + n end
      redis.call('HSET', 'bull:q:' .. id, 'name', 'work', 'data', '{\"tenantId\":7}', 'opts', '{}',
        'timestamp', '1699990000000', 'delay', name == 'delayed' and 60000 + n or 0,
        'priority', name == 'prioritized' and n % 2000 + 1 or 0)
      if name == 'active' or name == 'completed' or name == 'failed' then
        redis.call('HSET', 'bull:q:' .. id, 'processedOn', '1699999999000', 'ats', 1, 'atm', 1)
      end
      if name == 'completed' then redis.call('HSET', 'bull:q:' .. id, 'finishedOn', score, 'returnvalue', '1') end
      if name == 'failed' then redis.call('HSET', 'bull:q:' .. id, 'finishedOn', score, 'failedReason', 'no') end
      if name == 'active' then redis.call('SET', 'bull:q:' .. id .. ':lock', n % 2 == 0 and 'old:1' or 'mine:1') end
      ids[#ids + 1] = id
      scored[#scored + 1], scored[#scored + 2] = string.format('%.0f', score), id
    end
    if name == 'wait' or name == 'active' then redis.call('LPUSH', 'bull:q:' .. name, unpack(ids))
    else for at = 1, #scored, 5000 do
      redis.call('ZADD', 'bull:q:' .. name, unpack(scored, at, math.min(at + 4999, #scored))) end end
    return 1";

impl Long {
    async fn new() -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        store.freeze(UnixMillis(T0));
        let status = config::Status { channels: vec!["to-{tenant}".into()], ..config::Status::default() };
        // messages to a tenant's channel are made whether anybody listens or not
        let queue = store.queue(&QueueName::new("q").unwrap()).announcing(&status);
        let scale = if std::env::var_os("OXHERD_SOAK").is_some() { 4 } else { 1 };
        let scripts = load_all(store.command()).await;
        let (called, report) = Default::default();
        let long = Self { server, store, queue, scale, scripts, called, report };
        for (collection, jobs) in [
            ("wait", 500_000),
            ("delayed", 200_000),
            ("prioritized", 50_000),
            ("completed", 50_000),
            ("failed", 50_000),
            ("active", 10_000),
        ] {
            let jobs = if collection == "active" { jobs } else { jobs * scale };
            for from in (1..=jobs).step_by(5000) {
                long.lua(FILL, &[collection, &from.to_string(), &(from + 4999).to_string()]).await;
            }
        }
        long.redis("CONFIG", "SET slowlog-max-len 5000").await;
        long.redis("CONFIG", "SET slowlog-log-slower-than 0").await;
        long
    }

    /// The queue as a worker has it; each job is told of by a status message.
    fn work(&self) -> WorkQueue {
        let status = config::Status { channels: vec!["to-{tenant}".into()], ..config::Status::default() };
        let mut settings = config::Queue::new(self.queue.name().clone());
        settings.metrics = 60;
        WorkQueue::new(&self.store, &settings, &status, None, true)
    }

    /// Does something, which is given the number of the try, until no call of it took too long.
    async fn quick(&self, what: &str, cost: Cost, act: impl AsyncFnMut(u32)) {
        self.quick_after("return 1", what, cost, act).await;
    }

    /// As [`Long::quick`], each time after a script that does not count; its ARGV[1] is the number of the try.
    async fn quick_after(&self, prepare: &str, what: &str, cost: Cost, mut act: impl AsyncFnMut(u32)) {
        let most = if cost == Cost::WalksWait { MOST_MS * f64::from(self.scale) } else { MOST_MS };
        let mut tried = Vec::new();
        for number in 0..TRIES {
            self.lua(prepare, &[&number.to_string()]).await;
            self.redis("SLOWLOG", "RESET").await;
            let before = self.processor_ms().await;
            act(number).await;
            let used = self.processor_ms().await - before;
            let (longest, name) = self.longest_call().await;
            // what did not use the processor waited for it
            let took = longest.min(used);
            if took <= most {
                let walks = if cost == Cost::WalksWait { "walks along wait" } else { "" };
                writeln!(self.report.borrow_mut(), "{took:5.1} ms  {what:64} {name:24} {walks}").unwrap();
                return;
            }
            tried.push(format!("{took:.1} ms in {name}"));
        }
        writeln!(self.report.borrow_mut(), "SLOW {what}: {}", tried.join(", ")).unwrap();
    }

    /// ms the server's main thread has had the processor; without end where it does not tell.
    async fn processor_ms(&self) -> f64 {
        let info = self.redis("INFO", "cpu").await.remove(0);
        let part = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        match (part("used_cpu_user_main_thread:"), part("used_cpu_sys_main_thread:")) {
            (Some(user), Some(system)) => (user + system) * 1000.0,
            _ => f64::INFINITY,
        }
    }

    /// The longest of the calls since the log was emptied, in ms, and its script or command.
    async fn longest_call(&self) -> (f64, String) {
        let args = vec!["GET".into(), "5000".into()];
        let entries = reply::array("SLOWLOG", self.store.command().call("SLOWLOG", args).await.unwrap()).unwrap();
        let calls = entries.into_iter().map(|entry| {
            let parts = reply::array("SLOWLOG", entry).unwrap();
            let words = reply::texts("SLOWLOG", parts[3].clone()).unwrap();
            let script = words.get(1).and_then(|hash| self.scripts.get(hash));
            let name = script.map_or_else(|| words[0].clone(), ToString::to_string);
            self.called.borrow_mut().insert(name.clone());
            (parts[2].as_i64().unwrap(), name)
        });
        let (micros, name) = calls.filter(|(_, name)| name != "SLOWLOG" && name != "INFO").max().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a few million at most")]
        (micros as f64 / 1000.0, name)
    }

    /// One command, its arguments separated by spaces, the values of the answer as texts.
    async fn redis(&self, command: &'static str, args: &str) -> Vec<String> {
        flat(self.store.command().call(command, args.split(' ').map(Value::from).collect()).await.unwrap())
    }

    async fn lua(&self, text: &str, arguments: &[&str]) -> Vec<String> {
        let mut args: Vec<Value> = vec![text.into(), "0".into()];
        args.extend(arguments.iter().map(|argument| Value::from(*argument)));
        flat(self.store.command().call("EVAL", args).await.unwrap())
    }
}

fn flat(value: Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(|value| value.as_string().unwrap_or_default()).collect(),
        value => vec![value.as_string().unwrap_or_default()],
    }
}

/// The beginning of an operation in many calls; the call that is on its way when time is up is done all the same.
async fn a_while<T>(work: impl Future<Output = Result<T, super::Error>>) {
    if let Ok(done) = tokio::time::timeout(A_WHILE, work).await {
        done.unwrap();
    }
}

fn id(text: impl Display) -> JobId {
    JobId::stored(&text.to_string())
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn new_job(opts: &str) -> NewJob {
    NewJob { name: "work".into(), data: json(r#"{"tenantId":7}"#), opts: JobOptions::parse(opts).unwrap().0 }
}
