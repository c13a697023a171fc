//! A worker's operations on a real server, beyond what the golden scenarios show: batches, bounds and bad keys.

mod cancel;
mod claim;
mod defects;
mod finish;
mod flow;
mod locks;
mod report;
mod status;

use serde_json::value::RawValue;

use super::super::testing::Server;
use super::super::{Change, Finish, LastProgress, Queue, Recorded, Take, Taken, WorkQueue};
use super::*;
use crate::job::{JobOptions, Keep, NewJob, UnixMillis};

/// When the clock of these tests stands still.
const T0: i64 = 1_700_000_000_000;

/// A server and the queue `q` of a worker on it.
struct Rig {
    /// Ends with the rig.
    _server: Server,
    store: Store,
    settings: config::Queue,
    status: config::Status,
}

impl Rig {
    async fn new() -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        store.freeze(UnixMillis(T0));
        let settings = config::Queue::new(QueueName::new("q").unwrap());
        Self {
            _server: server,
            store,
            settings,
            status: config::Status { enabled: false, ..config::Status::default() },
        }
    }

    fn work(&self) -> WorkQueue {
        WorkQueue::new(&self.store, &self.settings, &self.status, None, false)
    }

    fn queue(&self) -> Queue {
        self.store.queue(&self.settings.name)
    }

    /// One command, its words separated by spaces, the values of the answer as texts.
    async fn redis(&self, command: &str) -> Vec<String> {
        let mut args: Vec<Value> = vec!["return redis.call(unpack(ARGV))".into(), "0".into()];
        args.extend(command.split(' ').map(Value::from));
        match self.store.command().call("EVAL", args).await.unwrap() {
            Value::Array(values) => values.iter().map(|value| value.as_string().unwrap_or_default()).collect(),
            Value::Null => Vec::new(),
            value => vec![value.as_string().unwrap()],
        }
    }

    /// Adds jobs with these options; their ids count from 1.
    async fn add(&self, options: &[&str]) {
        let jobs: Vec<NewJob> = options.iter().map(|opts| new_job("{}", opts)).collect();
        self.queue().add(&jobs).await.unwrap();
    }

    async fn take(&self, token: &str, want: u32) -> Taken {
        self.work().move_to_active(&Take { token: token.into(), want }).await.unwrap()
    }

    async fn finish(&self, outcomes: &[Finish]) -> Vec<Recorded> {
        self.work().finish_jobs(outcomes.iter(), None).await.unwrap().0
    }

    /// The events so far as "event id".
    async fn events(&self) -> Vec<String> {
        let script = "local out = {} for _, e in ipairs(redis.call('XRANGE', ARGV[1], '-', '+')) do \
                      out[#out + 1] = e[2][2] .. (e[2][3] == 'jobId' and ' ' .. e[2][4] or '') end return out";
        let args = vec![script.into(), "0".into(), "bull:q:events".into()];
        super::super::reply::texts("events", self.store.command().call("EVAL", args).await.unwrap()).unwrap()
    }
}

fn new_job(data: &str, opts: &str) -> NewJob {
    let (opts, _) = JobOptions::parse(opts).unwrap();
    NewJob { name: "work".into(), data: RawValue::from_string(data.to_owned()).unwrap(), opts }
}

fn ids(taken: &Taken) -> Vec<&str> {
    taken.jobs.iter().map(|job| job.id.as_str()).collect()
}

fn outcome(id: &str, token: &str, change: Change) -> Finish {
    Finish {
        id: JobId::stored(id),
        token: token.into(),
        progress: None,
        log: Vec::new(),
        doubtful: 0,
        keep_logs: None,
        change,
        element: None,
    }
}

fn complete(id: &str, token: &str, keep: Keep) -> Finish {
    outcome(id, token, Change::Complete { value: RawValue::from_string("1".into()).unwrap(), keep })
}

fn fail(id: &str, token: &str, keep: Keep) -> Finish {
    let (reason, stack) = ("no".to_owned(), r#"["no"]"#.to_owned());
    outcome(id, token, Change::Fail { reason, stack, keep, attempts: 1, state: "failed" })
}

fn retry(id: &str, token: &str) -> Finish {
    outcome(id, token, Change::Retry { reason: "no".into(), stack: r#"["no"]"#.into(), front: false })
}

fn delay(id: &str, token: &str, wait: Duration) -> Finish {
    outcome(id, token, Change::Delay { wait, charged: Some(("no".into(), r#"["no"]"#.into())) })
}
