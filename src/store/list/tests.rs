//! Lists on a real server: what is taken, held, put back, and what becomes of it.

mod keep;
mod model;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::*;
use crate::config::{ListMode, Payload};
use crate::job::{Job, Keep, Policy};
use crate::store::testing::{Server, redis};
use crate::store::{Change, Finish, Recorded, Take, Taken, Work, WorkQueue};

/// When the clock of these tests stands still.
const T0: i64 = 1_700_000_000_000;

/// A server, and the list `l` as the queue `q` of some processes.
struct Rig {
    server: Server,
    store: Store,
    queue: config::Queue,
}

impl Rig {
    async fn new() -> Self {
        Self::of(config::List::new("l")).await
    }

    async fn of(list: config::List) -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "host-one").await.unwrap();
        store.freeze(UnixMillis(T0));
        let mut queue = config::Queue::new(QueueName::new("q").unwrap());
        queue.policy = Policy { keep_failed: Keep::All, ..Policy::default() };
        queue.list = Some(list);
        Self { server, store, queue }
    }

    fn set(&mut self, change: impl FnOnce(&mut config::List)) {
        change(self.queue.list.as_mut().unwrap());
    }

    fn silent() -> config::Status {
        config::Status { enabled: false, ..config::Status::default() }
    }

    fn work(&self) -> WorkQueue {
        WorkQueue::new(&self.store, &self.queue, &Self::silent(), None, false)
    }

    /// Another process.
    async fn other(&self, instance: &str) -> WorkQueue {
        let store = Store::open(&self.server.config(), instance).await.unwrap();
        store.freeze(UnixMillis(T0));
        WorkQueue::new(&store, &self.queue, &Self::silent(), None, false)
    }

    fn list(&self) -> List {
        self.store.list(&self.queue).unwrap()
    }

    async fn push(&self, elements: &[&[u8]]) {
        self.list().push(elements.iter().map(|bytes| Bytes::copy_from_slice(bytes))).await.unwrap();
    }

    /// What waits, what is taken next first.
    async fn waiting(&self) -> Vec<Bytes> {
        self.list().waiting(0, 1000).await.unwrap().into_iter().map(|waiting| waiting.bytes).collect()
    }

    async fn redis(&self, command: &str) -> String {
        redis(&self.store, command).await
    }

    /// Waiting, in hand, delayed and dead.
    async fn counts(&self) -> [u64; 4] {
        let counts = self.list().counts().await.unwrap();
        [counts.waiting, counts.active, counts.delayed, counts.failed]
    }
}

fn take(token: &str, want: u32) -> Take {
    Take { token: token.into(), want }
}

async fn taken(work: &WorkQueue, token: &str, want: u32) -> Vec<Arc<Job>> {
    work.move_to_active(&take(token, want)).await.unwrap().jobs.into_iter().map(Arc::new).collect()
}

fn ids(jobs: &[Arc<Job>]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

fn finish(job: &Arc<Job>, token: &str, change: Change) -> Finish {
    Finish {
        id: job.id.clone(),
        token: token.into(),
        progress: None,
        log: Vec::new(),
        doubtful: 0,
        keep_logs: None,
        change,
        element: Some(Arc::clone(job)),
    }
}

fn complete() -> Change {
    Change::Complete { value: RawValue::NULL.to_owned(), keep: Keep::Nothing }
}

fn fail(reason: &str) -> Change {
    Change::Fail { reason: reason.into(), stack: "[]".into(), keep: Keep::All, attempts: 3, state: "failed" }
}

fn delay(ms: u64) -> Change {
    Change::Delay { wait: Duration::from_millis(ms), charged: Some(("no".into(), r#"["no"]"#.into())) }
}

async fn ended(work: &WorkQueue, outcomes: Vec<Finish>) -> Vec<Recorded> {
    work.finish_jobs(outcomes.iter(), None).await.unwrap().0
}

fn gone(recorded: &Recorded) -> bool {
    matches!(recorded, Recorded::Refused { place, .. } if place == "gone")
}

#[tokio::test]
async fn elements_are_taken_in_order_and_leave_as_they_are_done() {
    let rig = Rig::new().await;
    let work = rig.work();
    rig.push(&[b"1", b"2", b"3", b"4", b"5"]).await;
    assert_eq!(rig.redis("LRANGE l 0 -1").await, "5 4 3 2 1", "as LPUSH has it");
    let Taken { jobs, more, .. } = work.move_to_active(&take("one:1", 3)).await.unwrap();
    assert!(more);
    let jobs: Vec<_> = jobs.into_iter().map(Arc::new).collect();
    assert_eq!(ids(&jobs), ["1", "2", "3"]);
    assert_eq!((jobs[0].name.as_str(), jobs[0].data.get(), jobs[0].attempt()), ("q", "null", 1));
    assert_eq!(rig.redis("LRANGE {l}:oxherd:held:one:1 0 -1").await, "1 2 3");
    assert_eq!(rig.counts().await, [2, 3, 0, 0]);
    // out of turn, and a take with it
    let outcomes = [finish(&jobs[1], "one:1", complete())];
    let (recorded, next) = work.finish_jobs(outcomes.iter(), Some(&take("one:2", 9))).await.unwrap();
    assert_eq!((recorded, next.jobs.len(), next.more), (vec![Recorded::Done], 2, false));
    assert_eq!(rig.redis("LRANGE {l}:oxherd:held:one:1 0 -1").await, "1 3");
    // an outcome that was recorded before is refused, also while its take has others in hand
    let again = ended(&work, vec![finish(&jobs[1], "one:1", complete())]).await;
    assert!(gone(&again[0]), "{again:?}");
    assert_eq!(rig.redis("LRANGE {l}:oxherd:held:one:1 0 -1").await, "1 3");
    let recorded =
        ended(&work, vec![finish(&jobs[2], "one:1", complete()), finish(&jobs[0], "one:1", complete())]).await;
    assert_eq!(recorded, [Recorded::Done, Recorded::Done]);
    assert!(gone(&ended(&work, vec![finish(&jobs[0], "one:1", complete())]).await[0]));
    assert_eq!(rig.counts().await, [0, 2, 0, 0]);
    let next: Vec<_> = next.jobs.into_iter().map(Arc::new).collect();
    ended(&work, next.iter().map(|job| finish(job, "one:2", complete())).collect()).await;
    assert_eq!(rig.redis("KEYS *").await, "", "nothing is left behind");
}

#[tokio::test]
async fn f144_what_a_dead_process_held_is_put_back_at_the_head_in_its_order() {
    for side in [Side::Right, Side::Left] {
        let mut rig = Rig::new().await;
        rig.set(|list| list.take = side);
        let (work, other) = (rig.work(), rig.other("host-two").await);
        let elements: [&[u8]; 7] = [b"a", b"b\xff\x00\n", b"c", b"", b"e", b"f", b"g"];
        rig.push(&elements).await;
        let first = taken(&work, "one:1", 2).await;
        taken(&work, "one:2", 2).await;
        taken(&work, "one:10", 2).await;
        ended(&work, vec![finish(&first[0], "one:1", complete())]).await;
        // nobody's lease is over
        let rescued = WorkQueue::move_stalled_jobs_to_wait(&[&other]).await.unwrap().remove(0).unwrap();
        assert!(rescued.recovered.is_empty() && rescued.work == Work::Free);
        other.store().freeze(UnixMillis(T0 + 30_001));
        let rescued = WorkQueue::move_stalled_jobs_to_wait(&[&other]).await.unwrap().remove(0).unwrap();
        assert_eq!(rescued.recovered.len(), 5);
        assert_eq!(rig.waiting().await, elements[1..], "{side:?}");
        assert_eq!(rig.redis("KEYS {l}:oxherd:held*").await, "");
        // what its owner has to say comes too late, and its leases cannot be renewed
        assert!(gone(&ended(&work, vec![finish(&first[1], "one:1", complete())]).await[0]));
        let held = crate::store::Held { id: first[1].id.clone(), token: "one:1".into(), started: 1 };
        assert_eq!(work.extend_locks(&[held]).await.unwrap().ended, ["one:1".into()]);
    }
}

#[tokio::test]
async fn f144_a_restart_in_place_puts_its_own_back_at_once_and_no_other() {
    let rig = Rig::new().await;
    let (work, other) = (rig.work(), rig.other("host-two").await);
    rig.push(&[b"1", b"2", b"3"]).await;
    taken(&work, "one:1", 1).await;
    taken(&other, "two:1", 1).await;
    let released = rig.other("host-three").await.release_locks(&["one".into(), "zero".into()]).await.unwrap();
    assert_eq!(released.len(), 1);
    assert_eq!(rig.waiting().await, ["1", "3"]);
    assert_eq!(rig.counts().await, [2, 1, 0, 0]);
}

#[tokio::test]
async fn f145_a_plain_pop_holds_nothing() {
    let mut rig = Rig::new().await;
    rig.set(|list| (list.mode, list.payload) = (ListMode::AtMostOnce, Payload::Base64));
    let work = rig.work();
    rig.push(&[b"1", b"\xfe2", b"3", b"4"]).await;
    let jobs = taken(&work, "one:1", 3).await;
    assert_eq!(rig.redis("KEYS *").await, "l");
    // while the process lives there are further attempts, and a place for the dead
    ended(
        &work,
        vec![
            finish(&jobs[0], "one:1", fail("no")),
            finish(&jobs[1], "one:1", delay(0)),
            finish(&jobs[2], "one:1", Change::HandBack),
        ],
    )
    .await;
    assert_eq!(rig.counts().await, [2, 0, 1, 1]);
    assert_eq!(rig.waiting().await, ["3", "4"]);
    assert_eq!(rig.list().dead(0, 9).await.unwrap()[0].bytes, "1");
    let again = taken(&work, "one:2", 1).await;
    assert_eq!((again[0].attempt(), again[0].data.get()), (2, "\"/jI=\""));
    assert_eq!(rig.counts().await, [2, 0, 0, 1]);
    assert!(work.extend_locks(&[]).await.unwrap().ended.is_empty());
}

#[tokio::test]
async fn f146_equal_empty_and_binary_elements_are_counted_one_by_one() {
    let mut rig = Rig::new().await;
    rig.set(|list| list.payload = Payload::Base64);
    let work = rig.work();
    let elements: [&[u8]; 8] = [b"", b"x", b"x", b"\x00\xff", b"", b"x", b"\x00\xff", b""];
    rig.push(&elements).await;
    let jobs = taken(&work, "one:1", 8).await;
    let distinct: std::collections::BTreeSet<_> = ids(&jobs).into_iter().collect();
    assert_eq!(distinct.len(), 8);
    for left in (0..8).rev() {
        let job = &jobs[(left * 3) % 8];
        assert_eq!(ended(&work, vec![finish(job, "one:1", complete())]).await, [Recorded::Done]);
        // the same outcome once more takes nobody else's place
        assert!(gone(&ended(&work, vec![finish(job, "one:1", complete())]).await[0]));
        assert_eq!(rig.counts().await, [0, left as u64, 0, 0]);
    }
}

#[tokio::test]
async fn f147_what_kills_its_process_is_found_by_its_bytes_and_others_are_spared() {
    let rig = Rig::new().await;
    rig.push(&[b"good", b"poison", b"fine", b"well"]).await;
    let mut runs = 0;
    for process in 0..20 {
        let work = rig.other(&format!("host-{process}")).await;
        let mut token = 0;
        // takes with three slots until it meets what kills it
        loop {
            token += 1;
            let token = format!("{process}:{token}");
            let jobs = taken(&work, &token, 3).await;
            if jobs.is_empty() {
                break;
            }
            if jobs.iter().any(|job| job.id.as_str() == "poison") {
                runs += 1;
                break;
            }
            ended(&work, jobs.iter().map(|job| finish(job, &token, complete())).collect()).await;
        }
        let next = rig.other("host-next").await;
        next.release_locks(&[process.to_string()]).await.unwrap();
    }
    // one stall is allowed
    assert_eq!(runs, 2);
    let dead = rig.list().dead(0, 9).await.unwrap();
    assert_eq!((dead.len(), &dead[0].bytes[..], dead[0].id.as_str()), (1, b"poison".as_slice(), "poison"));
    assert_eq!(dead[0].reason, "job stalled more than allowable limit");
    assert_eq!((dead[0].queue.as_deref(), dead[0].at), (Some("q"), Some(UnixMillis(T0))));
    assert_eq!(rig.counts().await, [0, 0, 0, 1], "the others are done");
    assert_eq!(rig.redis("EXISTS {l}:oxherd:crashes").await, "0", "and nothing is held against them");
}

#[tokio::test]
async fn f147_equal_elements_are_not_blamed_for_crashes_they_have_outlived() {
    let rig = Rig::new().await;
    rig.push(&[b"same".as_slice(); 200]).await;
    let mut done = 0;
    for process in 0..30 {
        let work = rig.other(&format!("host-{process}")).await;
        for number in 0..3 {
            let token = format!("{process}:{number}");
            let jobs = taken(&work, &token, 10).await;
            if number < 2 {
                done += jobs.len();
                ended(&work, jobs.iter().map(|job| finish(job, &token, complete())).collect()).await;
            }
        }
        // and dies with the last ones in hand
        rig.other("host-next").await.release_locks(&[process.to_string()]).await.unwrap();
    }
    assert_eq!((done, rig.counts().await), (200, [0, 0, 0, 0]));
}

#[tokio::test]
async fn f148_others_pop_and_push_as_they_like() {
    let rig = Rig::new().await;
    let work = rig.work();
    rig.push(&[b"1", b"2", b"3", b"4"]).await;
    let first = taken(&work, "one:1", 1).await;
    assert_eq!(rig.redis("RPOP l").await, "2");
    assert_eq!(rig.redis("LPUSH l 5").await, "3");
    assert_eq!(rig.redis("LPOP l").await, "5");
    let rest = taken(&work, "one:2", 9).await;
    assert_eq!((ids(&first), ids(&rest)), (vec!["1"], vec!["3", "4"]));
    ended(&work, vec![finish(&first[0], "one:1", Change::HandBack)]).await;
    assert_eq!(rig.redis("LRANGE l 0 -1").await, "1");
}

#[tokio::test]
async fn elements_in_hand_are_told_of_anew_those_that_have_ended_are_not() {
    let rig = Rig::of(config::List { payload: Payload::Json, id: Some("/id".into()), ..config::List::new("l") }).await;
    let work = WorkQueue::new(&rig.store, &rig.queue, &config::Status::default(), None, false);
    rig.push(&[br#"{"id":"a","tenantId":"t1"}"#, br#"{"id":"b","tenantId":"t2"}"#]).await;
    let jobs = taken(&work, "x:1", 2).await;
    work.finish_jobs([finish(&jobs[0], "x:1", complete())].iter(), None).await.unwrap();
    let held: Vec<_> = jobs.into_iter().map(|job| (job, "x:1".into())).collect();
    let mut messages = rig.store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    assert_eq!(work.tell_running(&held).await.unwrap(), 1);
    let message = crate::store::StatusMessage::read(messages.message().await.unwrap().payload).unwrap();
    assert_eq!((message.job_id.as_str(), message.status.as_str()), ("b", "RUNNING"));
    assert_eq!(message.tenant().as_deref(), Some("t2"));
}
