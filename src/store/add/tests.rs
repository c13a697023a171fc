//! Parents and windows, where the golden scenarios do not go.

use serde_json::value::RawValue;

use super::super::testing::{Server, events, everything, redis};
use super::super::{Change, Code, Finish, Store, Take, Taken, WorkQueue};
use super::*;
use crate::job::options::MAX_PRIORITY;
use crate::job::{Keep, QueueName, UnixMillis};

const T0: i64 = 1_700_000_000_000;

struct Rig {
    /// Ends with the rig.
    _server: Server,
    store: Store,
    queue: Queue,
}

impl Rig {
    async fn new() -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        store.freeze(UnixMillis(T0));
        let queue = store.queue(&QueueName::new("q").unwrap());
        Self { _server: server, store, queue }
    }

    async fn redis(&self, command: &str) -> String {
        redis(&self.store, command).await
    }

    async fn events(&self) -> Vec<String> {
        events(&self.store, "q").await
    }

    /// Adds one job with these options.
    async fn add(&self, opts: &str) -> Result<String, Error> {
        self.queue.add(&[job(opts)]).await.map(|ids| ids[0].to_string())
    }

    fn work(&self) -> WorkQueue {
        let settings = config::Queue::new(QueueName::new("q").unwrap());
        WorkQueue::new(&self.store, &settings, &silent(), None, false)
    }

    async fn take(&self, want: u32) -> Taken {
        self.work().move_to_active(&Take { token: "t:1".into(), want }).await.unwrap()
    }

    async fn finish(&self, id: &str, change: Change) {
        let finish = Finish {
            id: JobId::stored(id),
            token: "t:1".into(),
            progress: None,
            log: Vec::new(),
            doubtful: 0,
            keep_logs: None,
            change,
            element: None,
        };
        self.work().finish_jobs(std::iter::once(&finish), None).await.unwrap();
    }

    async fn complete(&self, id: &str, keep: Keep) {
        self.finish(id, Change::Complete { value: RawValue::from_string("1".into()).unwrap(), keep }).await;
    }

    async fn fail(&self, id: &str) {
        let (reason, stack) = ("no".to_owned(), r#"["no"]"#.to_owned());
        self.finish(id, Change::Fail { reason, stack, keep: Keep::All, attempts: 1, state: "failed" }).await;
    }

    /// A parent `p` that waits for children.
    async fn parent(&self, fields: &str) {
        self.redis(&format!("HSET bull:q:p name p {fields}")).await;
        self.redis("ZADD bull:q:waiting-children 1 p").await;
    }
}

fn silent() -> config::Status {
    config::Status { enabled: false, ..config::Status::default() }
}

fn job(opts: &str) -> NewJob {
    let (opts, warnings) = JobOptions::parse(opts).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    NewJob { name: "work".into(), data: RawValue::from_string("{}".into()).unwrap(), opts }
}

const PARENT: &str = r#""parent":{"id":"p","queue":"bull:q"}"#;

#[tokio::test]
async fn a_job_that_is_refused_keeps_no_other_from_being_added() {
    let rig = Rig::new().await;
    rig.parent("priority 0").await;
    rig.redis("HSET bull:q:other name o").await;
    rig.redis("HSET bull:q:c name c parentKey bull:q:other").await;
    let gone = r#"{"parent":{"id":"gone","queue":"bull:q"}}"#;
    let taken = format!(r#"{{"jobId":"c",{PARENT}}}"#);
    let jobs = [job("{}"), job(gone), job(&taken), job("{}")];
    let error = rig.queue.add(&jobs).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot add job work: its parent does not exist");
    assert!(matches!(&error, Error::Rejected { code: Code::ParentMissing, .. }));
    // a missing parent uses no number, another parent does
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, "3 1");
    assert_eq!(rig.redis("GET bull:q:id").await, "3");
    assert_eq!(rig.redis("HGETALL bull:q:c").await, "name c parentKey bull:q:other");
    assert_eq!(
        rig.events().await,
        ["added jobId 1 name work", "waiting jobId 1", "added jobId 3 name work", "waiting jobId 3"]
    );

    let error = rig.add(&taken).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot add job c: it is the child of another parent");
    let each = rig.queue.add_each(&jobs, &silent()).await.unwrap();
    assert_eq!(each.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
}

#[tokio::test]
async fn a_child_knows_its_parent_and_the_parent_waits_for_it() {
    let rig = Rig::new().await;
    rig.parent("priority 0").await;
    rig.add(&format!(r#"{{"jobId":"c","ignoreDependencyOnFailure":true,"delay":50,{PARENT}}}"#)).await.unwrap();
    assert_eq!(
        rig.redis("HMGET bull:q:c parentKey parent").await,
        r#"bull:q:p {"id":"p","queueKey":"bull:q","idof":true}"#
    );
    assert_eq!(rig.redis("SMEMBERS bull:q:p:dependencies").await, "bull:q:c");
    assert!(rig.redis("HGET bull:q:c opts").await.contains(PARENT));
}

#[tokio::test]
async fn a_job_that_exists_becomes_a_child() {
    let rig = Rig::new().await;
    rig.parent("priority 4").await;
    // its old parent is gone
    rig.redis("HSET bull:q:w name w parentKey bull:q:gone").await;
    rig.add(&format!(r#"{{"jobId":"w",{PARENT}}}"#)).await.unwrap();
    assert_eq!(rig.redis("SMEMBERS bull:q:p:dependencies").await, "bull:q:w");
    assert_eq!(rig.redis("HGET bull:q:w parentKey").await, "bull:q:p");
    rig.redis("DEL bull:q:p:dependencies").await;
    // completed, and the parent waits for nobody else
    rig.redis("HSET bull:q:c name c returnvalue 7").await;
    rig.redis("ZADD bull:q:completed 1 c").await;
    rig.add(&format!(r#"{{"jobId":"c",{PARENT}}}"#)).await.unwrap();
    assert_eq!(rig.redis("HGETALL bull:q:p:processed").await, "bull:q:c 7");
    assert_eq!(rig.redis("ZRANGE bull:q:prioritized 0 -1").await, "p");
    assert_eq!(
        rig.events().await,
        ["duplicated jobId w", "waiting jobId p prev waiting-children", "duplicated jobId c"]
    );
}

#[tokio::test]
async fn a_parent_that_is_released_passes_those_who_came_to_the_front_before_it() {
    let rig = Rig::new().await;
    rig.parent("priority 0").await;
    rig.redis("HSET bull:q:c name c").await;
    rig.redis("ZADD bull:q:completed 1 c").await;
    let child = format!(r#"{{"jobId":"c",{PARENT}}}"#);
    rig.queue.add(&[job(r#"{"lifo":true}"#), job(&child), job("{}")]).await.unwrap();
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, "3 1 p");
    assert_eq!(rig.redis("HGETALL bull:q:p:processed").await, "bull:q:c null");
}

#[tokio::test]
async fn f81_a_failure_its_parent_knows_of_does_not_hold_it_up_when_the_child_is_added_again() {
    for (flag, note) in [
        ("idof", "HSET bull:q:p:failed bull:q:c no"),
        ("fpof", "ZADD bull:q:p:unsuccessful 1 bull:q:c"),
        ("rdof", "PING"),
    ] {
        let rig = Rig::new().await;
        rig.parent("priority 0").await;
        let child = format!(r#"{{"jobId":"c","{flag}":true,{PARENT}}}"#);
        rig.add(&child).await.unwrap();
        rig.redis("LREM bull:q:wait 0 c").await;
        rig.redis("ZADD bull:q:failed 1 c").await;
        // blocks while nobody has decided
        rig.add(&child.replace(&format!(r#""{flag}":true,"#), "")).await.unwrap();
        assert_eq!(rig.redis("SMEMBERS bull:q:p:dependencies").await, "bull:q:c");
        rig.redis(&format!(r#"HSET bull:q:c parent {{"id":"p","queueKey":"bull:q","{flag}":true}}"#)).await;
        rig.redis("DEL bull:q:p:dependencies").await;
        rig.redis(note).await;
        rig.add(&child).await.unwrap();
        assert_eq!(rig.redis("EXISTS bull:q:p:dependencies").await, "0", "{flag}");
    }
}

/// Every kind of job, each in the other's way.
const MIXED: [&str; 14] = [
    "{}",
    r#"{"delay":100,"deduplication":{"id":"r","replace":true}}"#,
    r#"{"delay":200,"deduplication":{"id":"r","replace":true}}"#,
    r#"{"delay":300,"deduplication":{"id":"s","reschedule":true}}"#,
    r#"{"delay":50,"deduplication":{"id":"s","reschedule":true}}"#,
    r#"{"jobId":"own","deduplication":{"id":"t","ttl":60000}}"#,
    r#"{"jobId":"own","deduplication":{"id":"t","ttl":60000}}"#,
    r#"{"deduplication":{"id":"t","ttl":60000,"extend":true}}"#,
    r#"{"jobId":"c","parent":{"id":"own","queue":"bull:q"}}"#,
    r#"{"parent":{"id":"gone","queue":"bull:q"}}"#,
    r#"{"jobId":"c","parent":{"id":"own","queue":"bull:q"}}"#,
    r#"{"priority":3,"deduplication":{"id":"p"}}"#,
    r#"{"lifo":true,"deduplication":{"id":"p","keepLastIfActive":true}}"#,
    r#"{"lifo":true}"#,
];

#[tokio::test]
async fn jobs_of_one_call_are_added_as_if_one_by_one() {
    let jobs: Vec<NewJob> = MIXED.iter().map(|opts| job(opts)).collect();
    let (together, apart) = (Rig::new().await, Rig::new().await);
    let at_once = together.queue.add_each(&jobs, &silent()).await.unwrap();
    let mut one_by_one = Vec::new();
    for one in &jobs {
        one_by_one.extend(apart.queue.add_each(std::slice::from_ref(one), &silent()).await.unwrap());
    }
    assert_eq!(at_once, one_by_one);
    assert_eq!(everything(&together.store).await, everything(&apart.store).await);
    assert_eq!(together.events().await, apart.events().await);
    let ids: Vec<_> = at_once.iter().map(|added| added.as_ref().map_or("-", |id| id.as_str())).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "4", "own", "own", "own", "c", "-", "c", "11", "11", "13"]);
}

#[tokio::test]
async fn f81_a_window_ends_with_its_job_however_that_ends() {
    let rig = Rig::new().await;
    let window = r#"{"deduplication":{"id":"d"}}"#;
    for end in 0..3 {
        let id = rig.add(window).await.unwrap();
        assert_eq!(rig.add(window).await.unwrap(), id);
        rig.take(1).await;
        match end {
            0 => rig.complete(&id, Keep::All).await,
            1 => rig.complete(&id, Keep::Nothing).await,
            _ => rig.fail(&id).await,
        }
        assert_eq!(rig.redis("EXISTS bull:q:de:d").await, "0");
    }
    // unless its time says otherwise
    let id = rig.add(r#"{"deduplication":{"id":"d","ttl":60000}}"#).await.unwrap();
    rig.take(1).await;
    rig.complete(&id, Keep::Nothing).await;
    assert_eq!(rig.redis("GET bull:q:de:d").await, id);
    assert_eq!(rig.add(window).await.unwrap(), id, "the window is there, its job is not");
}

#[tokio::test]
async fn the_last_job_is_kept_while_the_first_runs_and_its_window_has_no_end_of_its_own() {
    let rig = Rig::new().await;
    let window =
        |n: u32| format!(r#"{{"priority":{n},"deduplication":{{"id":"d","ttl":60000,"keepLastIfActive":true}}}}"#);
    rig.add(&window(1)).await.unwrap();
    assert_eq!(rig.redis("PTTL bull:q:de:d").await, "-1");
    // not active yet: nothing is kept
    rig.add(&window(2)).await.unwrap();
    assert_eq!(rig.redis("EXISTS bull:q:dn:d").await, "0");
    rig.take(1).await;
    // an owner with a time gets rid of it when something is kept for it
    rig.redis("PEXPIRE bull:q:de:d 60000").await;
    rig.add(&window(3)).await.unwrap();
    assert_eq!(rig.add(&window(4)).await.unwrap(), "1");
    assert_eq!(rig.redis("PTTL bull:q:de:d").await, "-1");
    assert_eq!(rig.redis("HMGET bull:q:dn:d name jid").await, "work 4");
    rig.complete("1", Keep::All).await;
    assert_eq!(rig.redis("GET bull:q:de:d").await, "4");
    assert_eq!(rig.redis("PTTL bull:q:de:d").await, "-1");
    assert_eq!(rig.redis("ZRANGE bull:q:prioritized 0 -1 WITHSCORES").await, "4 17179869186");
    assert_eq!(rig.redis("EXISTS bull:q:dn:d").await, "0");
}

#[tokio::test]
async fn a_kept_job_whose_id_was_taken_meanwhile_is_not_there_twice() {
    let rig = Rig::new().await;
    rig.add(r#"{"deduplication":{"id":"d","keepLastIfActive":true}}"#).await.unwrap();
    rig.take(1).await;
    rig.add(r#"{"jobId":"b","deduplication":{"id":"d","keepLastIfActive":true}}"#).await.unwrap();
    rig.add(r#"{"jobId":"b","attempts":7}"#).await.unwrap();
    rig.complete("1", Keep::All).await;
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, "b");
    assert!(rig.redis("HGET bull:q:b opts").await.contains(r#""attempts":7"#));
    assert_eq!(rig.redis("EXISTS bull:q:de:d bull:q:dn:d").await, "0");
}

#[tokio::test]
async fn a_job_that_is_not_delayed_is_not_replaced() {
    let rig = Rig::new().await;
    let window = r#"{"deduplication":{"id":"d","replace":true,"keepLastIfActive":true}}"#;
    assert_eq!(rig.add(window).await.unwrap(), "1");
    assert_eq!(rig.add(window).await.unwrap(), "1");
    assert_eq!(rig.events().await, ["added jobId 1 name work", "waiting jobId 1"], "without a word");
    rig.take(1).await;
    assert_eq!(rig.add(window).await.unwrap(), "1");
    assert_eq!(rig.redis("HGET bull:q:dn:d jid").await, "3");
    assert_eq!(rig.events().await.last().unwrap(), "deduplicated jobId 1 deduplicationId d deduplicatedJobId 3");
}

#[tokio::test]
async fn what_is_replaced_is_gone_wholly_and_no_parent_waits_for_it() {
    let rig = Rig::new().await;
    rig.parent("priority 0").await;
    let window = |more: &str| format!(r#"{{"delay":5000,"deduplication":{{"id":"d","replace":true{more}}}}}"#);
    rig.add(&window(r#","ttl":60000"#)).await.unwrap();
    // as other clients may have left it
    rig.redis("HSET bull:q:1 parentKey bull:q:p").await;
    rig.redis("SADD bull:q:p:dependencies bull:q:1").await;
    rig.redis("RPUSH bull:q:1:logs row").await;
    rig.redis("HSET bull:q:dn:d name old").await;
    rig.redis("PEXPIRE bull:q:de:d 30000").await;
    assert_eq!(rig.add(&window(r#","ttl":60000"#)).await.unwrap(), "2");
    assert_eq!(rig.redis("EXISTS bull:q:1 bull:q:1:logs bull:q:dn:d bull:q:p:dependencies").await, "0");
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, "p");
    assert!(rig.redis("PTTL bull:q:de:d").await.parse::<u64>().unwrap() <= 30000, "the window goes on");
    assert_eq!(rig.add(&window(r#","ttl":60000,"extend":true"#)).await.unwrap(), "3");
    assert!(rig.redis("PTTL bull:q:de:d").await.parse::<u64>().unwrap() > 30000, "the window begins anew");
    assert_eq!(rig.add(&window("")).await.unwrap(), "4");
    assert_eq!(rig.redis("PTTL bull:q:de:d").await, "-1");
    assert_eq!(rig.redis("ZRANGE bull:q:delayed 0 -1").await, "4");
}

#[tokio::test]
async fn a_window_whose_job_is_gone_begins_anew_unless_its_time_ends_it() {
    let rig = Rig::new().await;
    for mode in ["", r#","replace":true"#, r#","ttl":60000,"extend":true"#, r#","keepLastIfActive":true"#] {
        rig.redis("SET bull:q:de:d lost").await;
        rig.redis("HSET bull:q:dn:d name old").await;
        let id = rig.add(&format!(r#"{{"deduplication":{{"id":"d"{mode}}}}}"#)).await.unwrap();
        assert_eq!(rig.redis("GET bull:q:de:d").await, id, "{mode}");
        assert_eq!(rig.redis("EXISTS bull:q:dn:d").await, "0");
    }
    rig.redis("SET bull:q:de:d lost PX 60000").await;
    assert_eq!(rig.add(r#"{"deduplication":{"id":"d"}}"#).await.unwrap(), "lost");
}

#[tokio::test]
async fn a_kept_job_is_told_of_when_it_is_added() {
    let rig = Rig::new().await;
    let status = config::Status { format: config::StatusFormat::Simple, ..config::Status::default() };
    let mut messages = rig.store.subscribe(&["job_updates".into()], &[]).await.unwrap();
    let window = job(r#"{"deduplication":{"id":"d","keepLastIfActive":true}}"#);
    let settings = config::Queue::new(QueueName::new("q").unwrap());
    let work = WorkQueue::new(&rig.store, &settings, &status, None, false);
    rig.queue.add_with(std::slice::from_ref(&window), &status).await.unwrap();
    work.move_to_active(&Take { token: "t:1".into(), want: 1 }).await.unwrap();
    rig.queue.add_with(&[window], &status).await.unwrap();
    let change = Change::Complete { value: RawValue::from_string("1".into()).unwrap(), keep: Keep::All };
    let finish = Finish {
        id: JobId::stored("1"),
        token: "t:1".into(),
        progress: None,
        log: Vec::new(),
        doubtful: 0,
        keep_logs: None,
        change,
        element: None,
    };
    work.finish_jobs(std::iter::once(&finish), None).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 4 {
        let message =
            tokio::time::timeout(std::time::Duration::from_secs(5), messages.message()).await.unwrap().unwrap();
        let message: serde_json::Value = serde_json::from_str(&message.payload).unwrap();
        told.push(format!("{} {}", message["jobId"], message["status"]));
    }
    told.sort();
    assert_eq!(told, [r#""1" "COMPLETED""#, r#""1" "PENDING""#, r#""1" "RUNNING""#, r#""2" "PENDING""#]);
}

#[tokio::test]
async fn what_bullmqs_producers_refuse_is_refused_before_anything_is_sent() {
    let rig = Rig::new().await;
    let cases = [
        (
            format!(r#"{{"deduplication":{{"id":"d"}},{PARENT}}}"#),
            "deduplication cannot be used on a job with a parent",
        ),
        (r#"{"deduplication":{"id":""}}"#.to_owned(), "deduplication needs an id"),
        (r#"{"parent":{"id":"repeat:s:1","queue":"bull:q"}}"#.to_owned(), "expected a parent of an id without ':'"),
        (r#"{"parent":{"id":"p","queue":"q"}}"#.to_owned(), "a queue as \"PREFIX:NAME\""),
        (r#"{"sizeLimit":1}"#.to_owned(), "data is 2 bytes long, longer than its sizeLimit of 1"),
        (r#"{"debounce":{"id":"d"}}"#.to_owned(), "use deduplication instead"),
        (r#"{"repeat":{"every":1}}"#.to_owned(), "use a job scheduler instead"),
        (r#"{"jobId":"a:b"}"#.to_owned(), "holds a ':'"),
        (r#"{"jobId":"failed"}"#.to_owned(), "the queue keeps a key of that name"),
    ];
    for (opts, expected) in cases {
        let error = rig.queue.add(&[job("{}"), job(&opts)]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
    let mut urgent = job("{}");
    urgent.opts.priority = MAX_PRIORITY + 1;
    let mut shaky = job(r#"{"backoff":{"type":"fixed","delay":1}}"#);
    shaky.opts.backoff.as_mut().unwrap().jitter = Some(1.5);
    for (job, expected) in [(urgent, "a priority from 0 to 2097151"), (shaky, "a jitter from 0 to 1")] {
        let error = rig.queue.add(&[job]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(rig.redis("DBSIZE").await, "0");
}
