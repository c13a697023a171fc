//! Administration on a real server, beyond what the golden scenarios show: long queues, families, what upstream gets
//! wrong.

mod empty;
mod large;
mod neighbours;
mod pause;
mod remove;

use serde_json::value::RawValue;

use super::super::testing::Server;
use super::super::{Change, Finish, Store, Take, Value, WorkQueue};
use super::*;
use crate::config;
use crate::job::{JobOptions, Keep, NewJob, QueueName, UnixMillis};

/// When the clock of these tests stands still.
const T0: i64 = 1_700_000_000_000;

/// A server and its queue `q`.
struct Rig {
    server: Server,
    store: Store,
    queue: Queue,
}

impl Rig {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(args: &[&str]) -> Self {
        let server = Server::with(args).await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        store.freeze(UnixMillis(T0));
        let queue = store.queue(&QueueName::new("q").unwrap());
        Self { server, store, queue }
    }

    /// One command, its words separated by spaces, the values of the answer as texts.
    async fn redis(&self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split(' ').collect();
        self.lua("return redis.call(unpack(ARGV))", &words).await
    }

    async fn lua(&self, text: &str, arguments: &[&str]) -> Vec<String> {
        let mut args: Vec<Value> = vec![text.into(), "0".into()];
        args.extend(arguments.iter().map(|argument| Value::from(*argument)));
        match self.store.command().call("EVAL", args).await.unwrap() {
            Value::Array(values) => values.iter().map(|value| value.as_string().unwrap_or_default()).collect(),
            Value::Null => Vec::new(),
            value => vec![value.as_string().unwrap()],
        }
    }

    /// Adds jobs with these options; their ids count on.
    async fn add(&self, options: &[&str]) {
        let jobs: Vec<NewJob> = options
            .iter()
            .map(|opts| {
                let (opts, _) = JobOptions::parse(opts).unwrap();
                NewJob { name: "work".into(), data: RawValue::from_string("{}".into()).unwrap(), opts }
            })
            .collect();
        self.queue.add(&jobs).await.unwrap();
    }

    /// A job of any queue, "P:Q:id", as a child of `parent`, which waits for it; the job is in this list or set.
    async fn child(&self, key: &str, parent: &str, place: &str) {
        let (base, id) = key.rsplit_once(':').unwrap();
        self.redis(&format!("HSET {key} name child timestamp 1 parentKey {parent} parent {{}}")).await;
        self.redis(&format!("SADD {parent}:dependencies {key}")).await;
        match place {
            "wait" | "active" => self.redis(&format!("LPUSH {base}:{place} {id}")).await,
            _ => self.redis(&format!("ZADD {base}:{place} 1 {id}")).await,
        };
    }

    async fn parent(&self, key: &str) {
        let (base, id) = key.rsplit_once(':').unwrap();
        self.redis(&format!("HSET {key} name parent timestamp 1 priority 0")).await;
        self.redis(&format!("ZADD {base}:waiting-children 1 {id}")).await;
    }

    fn work(&self) -> WorkQueue {
        let silent = config::Status { enabled: false, ..config::Status::default() };
        WorkQueue::new(&self.store, &config::Queue::new(self.queue.name().clone()), &silent, None, false)
    }

    async fn take(&self, token: &str, want: u32) -> Vec<String> {
        let taken = self.work().move_to_active(&Take { token: token.into(), want }).await.unwrap();
        taken.jobs.into_iter().map(|job| job.id.to_string()).collect()
    }

    async fn complete(&self, id: &str, token: &str) {
        let value = RawValue::from_string("1".into()).unwrap();
        let change = Change::Complete { value, keep: Keep::All };
        let finish = Finish {
            id: JobId::stored(id),
            token: token.into(),
            progress: None,
            log: Vec::new(),
            doubtful: 0,
            keep_logs: None,
            change,
            element: None,
        };
        self.work().finish_jobs(std::iter::once(&finish), None).await.unwrap();
    }

    /// The events of a queue so far, fields separated by spaces.
    async fn events(&self, queue: &str) -> Vec<String> {
        let script = "local out = {} for _, e in ipairs(redis.call('XRANGE', ARGV[1], '-', '+')) do \
                      out[#out + 1] = table.concat(e[2], ' ') end return out";
        self.lua(script, &[&format!("bull:{queue}:events")]).await
    }

    /// Every key there is, but those any operation leaves.
    async fn keys(&self) -> Vec<String> {
        let mut keys = self.redis("KEYS *").await;
        keys.retain(|key| {
            !["events", "meta", "id", "marker", "pc"].iter().any(|end| key.ends_with(&format!(":{end}")))
        });
        keys.sort();
        keys
    }
}

fn id(text: &str) -> JobId {
    JobId::stored(text)
}
