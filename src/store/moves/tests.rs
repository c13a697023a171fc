use super::super::testing::Server;
use super::super::{Code, Store};
use super::*;
use crate::job::QueueName;

const T0: i64 = 1_700_000_000_000;

struct Rig {
    /// Ends with the rig.
    _server: Server,
    queue: Queue,
}

impl Rig {
    async fn new() -> Self {
        let server = Server::start().await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        store.freeze(UnixMillis(T0));
        let queue = store.queue(&QueueName::new("q").unwrap());
        Self { _server: server, queue }
    }

    /// One command, its words separated by spaces, the values of the answer as one text.
    async fn redis(&self, command: &str) -> String {
        let mut args: Vec<Value> = vec!["return redis.call(unpack(ARGV))".into(), "0".into()];
        args.extend(command.split(' ').map(Value::from));
        match self.queue.store.command().call("EVAL", args).await.unwrap() {
            Value::Array(values) => {
                values.iter().map(|value| value.as_string().unwrap_or_default()).collect::<Vec<_>>().join(" ")
            }
            value => value.as_string().unwrap_or_default(),
        }
    }

    async fn slowlog(&self, words: &[&str]) -> Value {
        let args = words.iter().map(|word| Value::from(*word)).collect();
        self.queue.store.command().call("SLOWLOG", args).await.unwrap()
    }

    /// Calls are on record that take longer than this; none when it is negative.
    async fn record_slower_than(&self, micros: i64) {
        let args = ["SET", "slowlog-log-slower-than"].map(Value::from).into_iter().chain([micros.into()]).collect();
        self.queue.store.command().call("CONFIG", args).await.unwrap();
    }

    /// The events so far, fields separated by spaces.
    async fn events(&self) -> Vec<String> {
        let script = "local out = {} for _, e in ipairs(redis.call('XRANGE', ARGV[1], '-', '+')) do \
                      out[#out + 1] = table.concat(e[2], ' ') end return out";
        let args = vec![script.into(), "0".into(), "bull:q:events".into()];
        reply::texts("events", self.queue.store.command().call("EVAL", args).await.unwrap()).unwrap()
    }
}

fn id(text: &str) -> JobId {
    JobId::stored(text)
}

fn code(result: Result<(), Error>) -> Code {
    match result {
        Err(Error::Rejected { code, .. }) => code,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_there_or_elsewhere_is_refused_and_untouched() {
    let rig = Rig::new().await;
    let queue = &rig.queue;
    rig.redis("HSET bull:q:w name n").await;
    rig.redis("LPUSH bull:q:wait w").await;
    let before = rig.redis("KEYS *").await;
    let reset = Reset::default();
    for (name, expected) in [("gone", Code::Missing), ("w", Code::NotInState)] {
        assert_eq!(code(queue.retry(&id(name), State::Failed, reset).await), expected);
        assert_eq!(code(queue.promote(&id(name)).await), expected);
        assert_eq!(code(queue.change_delay(&id(name), Duration::from_secs(1)).await), expected);
    }
    assert_eq!(code(queue.change_priority(&id("gone"), 1, false).await), Code::Missing);
    assert_eq!(rig.redis("KEYS *").await, before);
    assert!(matches!(queue.retry(&id("w"), State::Waiting, reset).await, Err(Error::Setup(_))));
    assert!(matches!(queue.retry_jobs(State::Delayed, None).await, Err(Error::Setup(_))));
    let error = queue.change_priority(&id("w"), 3_000_000, false).await.unwrap_err();
    assert_eq!(error.to_string(), "priority 3000000 is too high: expected 0 to 2097151");
}

#[tokio::test]
async fn a_retried_job_goes_where_its_options_say() {
    let rig = Rig::new().await;
    rig.redis("HSET bull:q:l name n opts {\"lifo\":true} atm 3 ats 4 failedReason x processedOn 1 finishedOn 2").await;
    rig.redis("HSET bull:q:p name n priority 4 atm 3 failedReason x").await;
    rig.redis("HSET bull:q:n name n opts {broken failedReason x").await;
    rig.redis("ZADD bull:q:failed 1 l 2 p 3 n").await;
    rig.redis("LPUSH bull:q:wait w").await;
    let both = Reset { attempts_made: true, attempts_started: true };
    rig.queue.retry(&id("l"), State::Failed, both).await.unwrap();
    rig.queue.retry(&id("p"), State::Failed, Reset::default()).await.unwrap();
    rig.queue.retry(&id("n"), State::Failed, Reset::default()).await.unwrap();
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, "n w l");
    assert_eq!(rig.redis("ZRANGE bull:q:prioritized 0 -1 WITHSCORES").await, "p 17179869185");
    assert_eq!(rig.redis("HGETALL bull:q:l").await, "name n opts {\"lifo\":true}");
    assert_eq!(rig.redis("HGET bull:q:p atm").await, "3");
    assert_eq!(rig.redis("EXISTS bull:q:failed").await, "0");
    assert_eq!(rig.redis("ZRANGE bull:q:marker 0 -1").await, "0");
    let expected = ["l", "p", "n"].map(|id| format!("event waiting jobId {id} prev failed"));
    assert_eq!(rig.events().await, expected);
}

#[tokio::test]
async fn a_parent_waits_again_for_a_child_that_runs_again() {
    let rig = Rig::new().await;
    rig.redis("HSET bull:q:p name n").await;
    rig.redis("ZADD bull:q:p:unsuccessful 1 bull:q:c1").await;
    rig.redis("HSET bull:q:p:failed bull:q:c2 reason").await;
    rig.redis("HSET bull:q:p:processed bull:q:c3 1 bull:q:c6 1").await;
    for name in ["c1", "c2", "c3", "c4", "c6"] {
        rig.redis(&format!("HSET bull:q:{name} name n parentKey bull:q:p")).await;
    }
    rig.redis("HSET bull:q:c5 name n parentKey bull:q:gone").await;
    rig.redis("ZADD bull:q:failed 1 c1 2 c2 3 c4 4 c5").await;
    rig.redis("ZADD bull:q:completed 1 c3 2 c6").await;
    rig.queue.retry(&id("c1"), State::Failed, Reset::default()).await.unwrap();
    rig.queue.retry(&id("c3"), State::Completed, Reset::default()).await.unwrap();
    assert_eq!(rig.queue.retry_jobs(State::Failed, None).await.unwrap(), 3);
    assert_eq!(rig.queue.retry_jobs(State::Completed, None).await.unwrap(), 1);
    // c4 was forgotten by its parent when it failed; that of c5 is gone
    assert_eq!(rig.redis("SORT bull:q:p:dependencies ALPHA").await, "bull:q:c1 bull:q:c2 bull:q:c3 bull:q:c6");
    let left =
        rig.redis("EXISTS bull:q:p:unsuccessful bull:q:p:failed bull:q:p:processed bull:q:gone:dependencies").await;
    assert_eq!(left, "0");
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, "c6 c5 c4 c2 c3 c1");
}

#[tokio::test]
async fn jobs_are_retried_in_batches_the_oldest_is_served_first_and_what_has_no_job_goes() {
    let rig = Rig::new().await;
    let fill = "for n = 1, 2500 do redis.call('HSET', 'bull:q:' .. n, 'name', 'n', 'priority', 3, 'failedReason', 'x') \
                redis.call('ZADD', 'bull:q:failed', n, n) end redis.call('ZADD', 'bull:q:failed', 1, 'ghost')";
    rig.queue.store.command().call("EVAL", vec![fill.into(), "0".into()]).await.unwrap();
    rig.redis("SET bull:q:broken x").await;
    rig.redis("ZADD bull:q:failed 5000 broken").await;
    assert_eq!(rig.queue.retry_jobs(State::Failed, Some(UnixMillis(2400))).await.unwrap(), 2400);
    assert_eq!(rig.redis("ZCARD bull:q:failed").await, "101");
    assert_eq!(rig.redis("LRANGE bull:q:wait -2 -1").await, "2 1");
    assert_eq!(rig.redis("LINDEX bull:q:wait 0").await, "2400");
    assert_eq!(rig.redis("EXISTS bull:q:ghost").await, "0");
    assert_eq!(rig.queue.retry_jobs(State::Failed, None).await.unwrap(), 101);
    assert_eq!(rig.redis("LLEN bull:q:wait").await, "2501");
    assert_eq!(rig.queue.retry_jobs(State::Failed, None).await.unwrap(), 0);
}

#[tokio::test]
async fn a_paused_queue_of_a_5x_client_gets_its_jobs_where_that_looks_and_no_ring() {
    let rig = Rig::new().await;
    rig.redis("HSET bull:q:meta paused 1 version bullmq:5.81.5").await;
    for name in ["a", "b", "c"] {
        rig.redis(&format!("HSET bull:q:{name} name n")).await;
    }
    rig.redis("ZADD bull:q:failed 1 a").await;
    rig.redis("ZADD bull:q:delayed 1 b 2 c").await;
    rig.queue.retry(&id("a"), State::Failed, Reset::default()).await.unwrap();
    rig.queue.promote(&id("b")).await.unwrap();
    assert_eq!(rig.queue.promote_jobs().await.unwrap(), 1);
    assert_eq!(rig.redis("LRANGE bull:q:paused 0 -1").await, "c b a");
    assert_eq!(rig.redis("EXISTS bull:q:marker bull:q:wait").await, "0");
    rig.queue.change_priority(&id("b"), 2, false).await.unwrap();
    rig.queue.change_priority(&id("a"), 0, false).await.unwrap();
    assert_eq!(rig.redis("LRANGE bull:q:paused 0 -1").await, "a c");
    assert_eq!(rig.redis("EXISTS bull:q:marker").await, "0");
}

#[tokio::test]
async fn priorities_move_jobs_between_the_list_and_the_set() {
    let rig = Rig::new().await;
    for name in ["a", "b", "c", "d"] {
        rig.redis(&format!("HSET bull:q:{name} name n priority 0")).await;
    }
    rig.redis("LPUSH bull:q:wait a b c").await;
    rig.redis("ZADD bull:q:delayed 1 d").await;
    let set = async |name, priority, lifo| rig.queue.change_priority(&id(name), priority, lifo).await.unwrap();
    set("b", 2, false).await;
    set("c", 2, true).await;
    assert_eq!(rig.redis("ZRANGE bull:q:prioritized 0 -1 WITHSCORES").await, "c 8589934592 b 8589934593");
    assert_eq!(rig.redis("ZRANGE bull:q:marker 0 -1").await, "0");
    rig.redis("DEL bull:q:marker").await;
    set("a", 5, true).await;
    assert_eq!(rig.redis("ZRANGE bull:q:marker 0 -1").await, "0", "a job in front rings too");
    set("b", 0, false).await;
    set("a", 0, true).await;
    set("c", 0, false).await;
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, "c b a");
    assert_eq!(rig.redis("EXISTS bull:q:prioritized").await, "0");
    set("d", 7, false).await;
    assert_eq!(rig.redis("HGET bull:q:d priority").await, "7");
    assert_eq!(rig.redis("ZRANGE bull:q:delayed 0 -1").await, "d");
    assert!(rig.events().await.is_empty());
}

#[tokio::test]
async fn who_listens_is_told_when_asked_for() {
    let rig = Rig::new().await;
    rig.redis("HSET bull:q:a name n data {\"tenant\":\"t\"} atm 1 failedReason x").await;
    rig.redis("ZADD bull:q:failed 1 a").await;
    let status = crate::config::Status {
        enabled: true,
        channels: vec!["jobs".into()],
        tenant: "/tenant".into(),
        format: crate::config::StatusFormat::Simple,
        ..crate::config::Status::default()
    };
    let mut listener = rig.queue.store.subscribe(&["jobs".to_owned()], &[]).await.unwrap();
    let queue = rig.queue.clone().announcing(&status);
    let mut next = async || listener.message().await.unwrap().payload;
    queue.retry(&id("a"), State::Failed, Reset::default()).await.unwrap();
    assert_eq!(next().await, r#"{"tenantId":"t","jobId":"a","status":"PENDING"}"#);
    let half = serde_json::value::to_raw_value(&50).unwrap();
    queue.update_progress(&id("a"), &half).await.unwrap();
    assert_eq!(next().await, r#"{"tenantId":"t","jobId":"a","status":"PROGRESS"}"#);
    for state in ["failed", "delayed"] {
        rig.redis("DEL bull:q:wait").await;
        rig.redis(&format!("ZADD bull:q:{state} 1 a")).await;
        match state {
            "failed" => queue.retry_jobs(State::Failed, None).await.unwrap(),
            _ => queue.promote_jobs().await.unwrap(),
        };
        assert_eq!(next().await, r#"{"tenantId":"t","jobId":"a","status":"PENDING"}"#);
    }
}

/// The longest of the calls made by `operation`, in µs, at the best of some tries: a busy machine makes any call long.
async fn longest_call(rig: &Rig, mut operation: impl AsyncFnMut(u32)) -> i64 {
    let mut best = i64::MAX;
    for attempt in 0..4 {
        rig.slowlog(&["RESET"]).await;
        operation(attempt).await;
        let calls = reply::array("SLOWLOG", rig.slowlog(&["GET", "1000"]).await).unwrap();
        // number, moment, µs, words …
        let taken = calls.into_iter().map(|call| reply::array("SLOWLOG", call).unwrap()[2].as_i64().unwrap());
        best = best.min(taken.max().unwrap_or(0));
        if best < LONGEST {
            break;
        }
    }
    best
}

/// What a call may take, in µs.
const LONGEST: i64 = 50_000;

#[tokio::test]
async fn no_call_keeps_a_big_queue_busy_for_long() {
    let rig = Rig::new().await;
    let fill = "local state = ARGV[1] for n = tonumber(ARGV[2]), tonumber(ARGV[3]) do \
                redis.call('HSET', 'bull:q:' .. n, 'name', 'n', 'data', '{}', 'opts', '{}', 'timestamp', n) \
                if state == 'wait' then redis.call('LPUSH', 'bull:q:wait', n) \
                else redis.call('ZADD', 'bull:q:' .. state, n, n) end end";
    rig.record_slower_than(-1).await;
    for (state, from, to) in [("wait", 1, 100_000), ("delayed", 100_001, 150_000), ("failed", 150_001, 153_000)] {
        for from in (from..=to).step_by(10_000) {
            let args = vec![fill.into(), "0".into(), state.into(), from.into(), to.min(from + 9_999).into()];
            rig.queue.store.command().call("EVAL", args).await.unwrap();
        }
    }
    rig.record_slower_than(1000).await;
    let queue = &rig.queue;
    let number = |n: u32| JobId::stored(&n.to_string());
    let mut slow = Vec::new();
    let mut note = |name, longest| {
        if longest >= LONGEST {
            slow.push((name, longest));
        }
    };
    let one_by_one = async |attempt| {
        queue.retry(&number(150_001 + attempt), State::Failed, Reset::default()).await.unwrap();
        queue.promote(&number(100_001 + attempt)).await.unwrap();
        queue.change_delay(&number(120_000), Duration::from_secs(5)).await.unwrap();
        // served last, served first, and in between
        for id in [100_000, 1, 50_000] {
            queue.change_priority(&number(id - attempt * u32::from(id > 1)), 0, false).await.unwrap();
        }
    };
    note("one by one", longest_call(&rig, one_by_one).await);
    let updates: Vec<_> = (1..=3000)
        .map(|n| crate::store::Update::Log { id: number(n), row: "a row of the log".into(), keep: Some(10) })
        .collect();
    note("update_jobs", longest_call(&rig, async |_| drop(queue.update_jobs(&updates).await.unwrap())).await);
    let reads = async |_| {
        for state in State::ALL {
            let selection = crate::store::Selection { states: vec![state], ..Default::default() };
            queue.select(&selection, None, 2000).await.unwrap();
            queue.export(state, None, 300).await.unwrap();
            queue.jobs(state, 40_000, 100).await.unwrap();
        }
        queue.tree(&number(99_999), 1).await.unwrap();
        queue.counts_per_priority(&[0, 1, 2]).await.unwrap();
    };
    note("reads", longest_call(&rig, reads).await);
    let exported = queue.export(State::Waiting, None, 1000).await.unwrap().0;
    let copies = async |attempt: u32| {
        let mut copies = exported.clone();
        for job in &mut copies {
            job.id = JobId::stored(&format!("{}-{attempt}", job.id));
        }
        queue.import(&copies).await.unwrap();
    };
    note("import", longest_call(&rig, copies).await);
    let in_bulk = async |_| {
        assert!(queue.retry_jobs(State::Failed, None).await.unwrap() > 2900);
        let back = "for n = 150001, 153000 do redis.call('ZADD', 'bull:q:failed', n, n) \
                    if n % 1000 == 0 then redis.call('LTRIM', 'bull:q:wait', 1000, -1) end end";
        rig.record_slower_than(-1).await;
        queue.store.command().call("EVAL", vec![back.into(), "0".into()]).await.unwrap();
        rig.record_slower_than(1000).await;
    };
    note("retry_jobs", longest_call(&rig, in_bulk).await);
    let promoted = longest_call(&rig, async |_| assert!(queue.promote_jobs().await.is_ok())).await;
    note("promote_jobs", promoted);
    assert_eq!(rig.redis("ZCARD bull:q:delayed").await, "0");
    assert!(slow.is_empty(), "µs in one call: {slow:?}");
}
