use super::super::Store;
use super::super::testing::Server;
use super::*;

const T0: i64 = 1_700_000_000_000;

async fn queue(server: &Server) -> Queue {
    let store = Store::open(&server.config(), "test").await.unwrap();
    store.freeze(UnixMillis(T0));
    store.queue(&QueueName::new("q").unwrap())
}

async fn redis(queue: &Queue, command: &str) -> String {
    let mut args: Vec<Value> = vec!["return redis.call(unpack(ARGV))".into(), "0".into()];
    args.extend(command.split(' ').map(Value::from));
    match queue.store.command().call("EVAL", args).await.unwrap() {
        Value::Array(values) => {
            values.iter().map(|value| value.as_string().unwrap_or_default()).collect::<Vec<_>>().join(" ")
        }
        value => value.as_string().unwrap_or_default(),
    }
}

/// A job or more in every state, with all that hangs on them.
async fn fill(queue: &Queue) {
    for command in [
        "HSET bull:q:1 name w1 data {\"a\":\"\u{fc}\"} opts {\"attempts\":3} timestamp 5 mine x",
        "HSET bull:q:2 name w2 data {} priority 3",
        "LPUSH bull:q:wait 1 2",
        "RPUSH bull:q:1:logs one two",
        "HSET bull:q:p1 name p priority 3",
        "HSET bull:q:p2 name p priority 3",
        "HSET bull:q:40 name p priority 1",
        "ZADD bull:q:prioritized 12884901889 p1 12884901890 p2 4294967299 40",
        "HSET bull:q:d1 name d delay 5000 deid dedup",
        "HSET bull:q:d2 name d delay 5000",
        "SET bull:q:de:dedup d1",
        "ZADD bull:q:delayed 6963200020480000 d1 6963200020480001 d2",
        "HSET bull:q:c1 name c returnvalue 1 finishedOn 1600000000000 parentKey bull:q:f1",
        "ZADD bull:q:completed 1600000000000 c1",
        "HSET bull:q:f1 name f failedReason no finishedOn 1600000000001",
        "ZADD bull:q:failed 1600000000001 f1",
        "HSET bull:q:f1:processed bull:q:c1 1 bull:q:c2 2",
        "HSET bull:q:f1:failed bull:q:c3 ignored",
        "ZADD bull:q:f1:unsuccessful 1600000000000 bull:q:c4",
        "HSET bull:q:wc name wc",
        "ZADD bull:q:waiting-children 1650000000000 wc",
        "SADD bull:q:wc:dependencies bull:q:d1 bull:q:d2",
    ] {
        redis(queue, command).await;
    }
}

async fn export_all(queue: &Queue) -> Vec<ExportedJob> {
    let mut jobs = Vec::new();
    for state in State::ALL {
        let mut cursor = None;
        loop {
            let (page, next) = queue.export(state, cursor, 2).await.unwrap();
            assert!(page.len() <= 2);
            jobs.extend(page);
            let Some(next) = next else { break };
            cursor = Some(next);
        }
    }
    jobs
}

#[tokio::test]
async fn what_is_exported_comes_back_as_it_was() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    fill(&queue).await;
    let exported = export_all(&queue).await;
    let order: Vec<_> = exported.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(order, ["1", "2", "d1", "d2", "40", "p1", "p2", "c1", "f1", "wc"]);
    let text = serde_json::to_string(&exported).unwrap();
    let read: Vec<ExportedJob> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, exported);

    server.run("FLUSHALL").await;
    let restored = queue.import(&read).await.unwrap();
    assert_eq!(restored, vec![Imported::Restored; exported.len()]);
    assert_eq!(export_all(&queue).await, exported);
    assert_eq!(redis(&queue, "GET bull:q:id").await, "40", "later jobs get numbers of their own");
    assert_eq!(redis(&queue, "ZRANGE bull:q:marker 0 -1").await, "0 1");
    assert_eq!(redis(&queue, "GET bull:q:de:dedup").await, "d1");
    assert_eq!(redis(&queue, "XLEN bull:q:events").await, "16", "eight jobs are added and in a state again");

    redis(&queue, "HSET bull:q:1 name changed").await;
    redis(&queue, "DEL bull:q:f1").await;
    redis(&queue, "ZREM bull:q:failed f1").await;
    let mut expected = vec![Imported::Exists; exported.len()];
    expected[8] = Imported::Restored;
    assert_eq!(queue.import(&read).await.unwrap(), expected);
    assert_eq!(redis(&queue, "HGET bull:q:1 name").await, "changed");
    assert_eq!(redis(&queue, "LRANGE bull:q:wait 0 -1").await, "2 1");
}

#[tokio::test]
async fn an_active_job_becomes_ready_in_front() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    redis(&queue, "HSET bull:q:7 name a ats 1 processedOn 5").await;
    redis(&queue, "LPUSH bull:q:active 7").await;
    let exported = export_all(&queue).await;
    assert_eq!((exported[0].state, exported[0].at), (State::Active, None));
    server.run("FLUSHALL").await;
    redis(&queue, "LPUSH bull:q:wait 3").await;
    queue.import(&exported).await.unwrap();
    assert_eq!(redis(&queue, "LRANGE bull:q:wait 0 -1").await, "3 7");
    assert_eq!(redis(&queue, "EXISTS bull:q:active").await, "0");
}

#[tokio::test]
async fn what_cannot_be_a_job_is_refused_and_keeps_none_of_the_others() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    redis(&queue, "HSET bull:q:1 name a").await;
    redis(&queue, "LPUSH bull:q:wait 1").await;
    redis(&queue, "SET bull:q:completed broken").await;
    let job = queue.export(State::Waiting, None, 1).await.unwrap().0.remove(0);
    let like = |change: &dyn Fn(&mut ExportedJob)| {
        let mut job = ExportedJob { id: JobId::stored("x"), ..job.clone() };
        change(&mut job);
        job
    };
    let jobs = [
        like(&|job| job.id = JobId::stored("meta")),
        like(&|job| job.fields.clear()),
        like(&|job| job.state = State::Unknown),
        like(&|job| job.state = State::Completed),
        like(&|job| job.id = JobId::stored("y")),
    ];
    let answers = queue.import(&jobs).await.unwrap();
    for answer in &answers[..4] {
        assert!(matches!(answer, Imported::Refused(_)), "{answer:?}");
    }
    assert_eq!(answers[4], Imported::Restored);
    assert_eq!(redis(&queue, "EXISTS bull:q:x bull:q:x:logs").await, "0");
    assert_eq!(redis(&queue, "LRANGE bull:q:wait 0 -1").await, "y 1");
}

#[tokio::test]
async fn long_logs_and_large_families_come_in_steps_and_whole() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let fill = "redis.call('HSET', 'bull:q:big', 'name', 'big') redis.call('ZADD', 'bull:q:waiting-children', 5, 'big') \
                for n = 1, 4321 do redis.call('RPUSH', 'bull:q:big:logs', n) \
                redis.call('SADD', 'bull:q:big:dependencies', 'bull:q:d' .. n) \
                redis.call('ZADD', 'bull:q:big:unsuccessful', n, 'bull:q:u' .. n) \
                redis.call('HSET', 'bull:q:big:processed', 'bull:q:p' .. n, n) end";
    queue.store.command().call("EVAL", vec![fill.into(), "0".into()]).await.unwrap();
    let exported = export_all(&queue).await;
    assert_eq!((exported[0].logs.len(), exported[0].dependencies.len()), (4321, 4321));
    assert_eq!(exported[0].unsuccessful["bull:q:u77"], UnixMillis(77));
    server.run("FLUSHALL").await;
    queue.import(&exported).await.unwrap();
    assert_eq!(export_all(&queue).await, exported);
}

#[tokio::test]
async fn large_jobs_come_few_at_a_time_and_all_of_them() {
    let server = Server::start().await;
    let queue = queue(&server).await;
    let fill = "for n = 1, 12 do redis.call('HSET', 'bull:q:' .. n, 'name', 'n', 'data', string.rep('x', 1048576)) \
                redis.call('ZADD', 'bull:q:failed', n, n) redis.call('LPUSH', 'bull:q:wait', n) end";
    queue.store.command().call("EVAL", vec![fill.into(), "0".into()]).await.unwrap();
    for state in [State::Failed, State::Waiting] {
        let (jobs, next) = queue.export(state, None, 100).await.unwrap();
        let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str().parse().unwrap()).collect();
        assert_eq!((ids, next.is_none()), ((1..=12).collect::<Vec<i32>>(), true));
    }
}
