//! What producers and workers do.

use std::sync::Arc;

use super::Cost::{Flat, WalksWait};
use super::*;
use crate::config::Schedule;
use crate::job::{Flow, Job, Keep, SchedulerSpec, Template};
use crate::store::report::JobReport;
use crate::store::{
    Change, Claim, Finish, Fired, FiredJob, Firing, Held, NextIteration, Recorded, StoredSchedule, Take,
};

/// Jobs in a call of the pool.
const BATCH: u32 = 64;

pub(super) async fn all(long: &Long) {
    adding(long).await;
    taking(long).await;
    locks(long).await;
    schedulers(long).await;
    schedules(long).await;
}

async fn adding(long: &Long) {
    let queue = &long.queue;
    let status = config::Status { channels: vec!["to-{tenant}".into()], ..config::Status::default() };
    let adds: [(&str, &str); 5] = [
        ("plain", "{}"),
        ("delayed", r#"{"delay":5000}"#),
        ("prioritized", r#"{"priority":7}"#),
        ("to the front", r#"{"lifo":true}"#),
        ("children of one parent", r#"{"parent":{"id":"big","queue":"bull:q"}}"#),
    ];
    for (what, opts) in adds {
        let jobs = vec![new_job(opts); 500];
        long.quick(&format!("add: 500 {what}"), Flat, async |_| {
            assert_eq!(queue.add_with(&jobs, &status).await.unwrap().len(), 500);
        })
        .await;
    }
    // of each window the owner is active already, and is looked for
    let own = "for n = 1, 500 do redis.call('SET', 'bull:q:de:w' .. n, 'a' .. n) end return 1";
    let jobs: Vec<_> = (1..=500)
        .map(|n| new_job(&format!(r#"{{"deduplication":{{"id":"w{n}","keepLastIfActive":true}}}}"#)))
        .collect();
    long.quick_after(own, "add: 500 kept until an active job ends", Flat, async |_| {
        assert_eq!(queue.add_with(&jobs, &status).await.unwrap()[499], id("a500"));
    })
    .await;
    let flow = |children: usize| Flow {
        queue: queue.name().clone(),
        job: new_job("{}"),
        children: vec![Flow { queue: queue.name().clone(), job: new_job("{}"), children: Vec::new() }; children],
    };
    let one = [flow(999)];
    let silent = config::Status { enabled: false, ..config::Status::default() };
    for (what, status) in [("without messages", &silent), ("with messages", &status)] {
        long.quick(&format!("add a flow of 1000 jobs, {what}"), Flat, async |_| {
            long.store.add_flows(&one, status).await.unwrap();
        })
        .await;
    }
}

/// What it is called, and made anew for each job.
type Outcome = (&'static str, fn() -> Change);

async fn taking(long: &Long) {
    let work = long.work();
    long.quick("check the types of all keys", Flat, async |_| work.check_queue().await.unwrap()).await;
    let take = |token: String| Take { token: token.into(), want: BATCH };
    long.quick("take 64", Flat, async |n| {
        assert_eq!(work.move_to_active(&take(format!("t:{n}"))).await.unwrap().jobs.len(), 64);
    })
    .await;
    let outcomes: [Outcome; 4] = [
        ("completed, of which 1000 stay", || Change::Complete {
            value: json("1"),
            keep: Keep::Some { count: Some(1000), age: Some(Duration::from_secs(60)), limit: None },
        }),
        ("failed", || Change::Fail {
            reason: "no".into(),
            stack: r#"["no"]"#.into(),
            keep: Keep::All,
            attempts: 1,
            state: "failed",
        }),
        ("retried", || Change::Retry { reason: "no".into(), stack: r#"["no"]"#.into(), front: false }),
        ("delayed", || Change::Delay { wait: Duration::from_secs(60), charged: None }),
    ];
    for (what, change) in outcomes {
        let mut jobs = work.move_to_active(&take(format!("{what}:0"))).await.unwrap().jobs;
        let mut token = format!("{what}:0");
        long.quick(&format!("finish 64, take 64: {what}"), Flat, async |n| {
            let ended: Vec<_> = jobs.iter().map(|job| finish(job.id.clone(), &token, change())).collect();
            let next = format!("{what}:{}", n + 1);
            let (recorded, taken) = work.finish_jobs(ended.iter(), Some(&take(next.clone()))).await.unwrap();
            assert!(recorded.iter().all(|recorded| *recorded == Recorded::Done), "{recorded:?}");
            (jobs, token) = (taken.jobs, next);
        })
        .await;
    }
    long.quick("finish 64 that are not active", Flat, async |_| {
        let change = || Change::Complete { value: json("1"), keep: Keep::All };
        let lost: Vec<_> = (0..64).map(|n| finish(id(250_000 + n), "gone:1", change())).collect();
        let (recorded, _) = work.finish_jobs(lost.iter(), None).await.unwrap();
        assert!(recorded.iter().all(|one| matches!(one, Recorded::Refused { place, .. } if place == "waiting")));
    })
    .await;
    long.store.freeze(UnixMillis(T0 + 3_600_000));
    long.quick("take 64 while 200,000 delayed jobs are due", Flat, async |n| {
        assert!(work.move_to_active(&take(format!("due:{n}"))).await.unwrap().more);
    })
    .await;
    long.store.freeze(UnixMillis(T0));
}

async fn locks(long: &Long) {
    let work = long.work();
    let held: Vec<_> = (1..=10_000)
        .map(|n| Held {
            id: id(format!("a{n}")),
            token: if n % 2 == 0 { "old:1" } else { "mine:1" }.into(),
            started: 1,
        })
        .collect();
    long.quick("renew 10,000 locks", Flat, async |_| assert!(work.extend_locks(&held).await.unwrap().lost.is_empty()))
        .await;
    let lapse = "for n = 1, 10000 do redis.call('DEL', 'bull:q:a' .. n .. ':lock') end return 1";
    long.quick_after(lapse, "renew 10,000 locks that ran out", Flat, async |_| {
        assert!(work.extend_locks(&held).await.unwrap().lost.is_empty());
    })
    .await;
    long.quick("report: 64 of progress, data, and ten rows", Flat, async |_| {
        let (ids, token) = ((1..=64).map(|n| id(format!("a{}", n * 2))).collect::<Vec<_>>(), "old:1".into());
        let (value, rows) = (json("1"), vec!["row".to_owned(); 10]);
        let reports: Vec<_> = ids
            .iter()
            .map(|id| JobReport {
                id,
                token: &token,
                progress: Some(&value),
                data: Some(&value),
                rows: &rows,
                doubtful: 0,
                keep_logs: None,
                element: None,
            })
            .collect();
        assert!(work.report_jobs(&reports).await.unwrap().iter().all(Result::is_ok));
    })
    .await;
    let one = work.move_to_active(&Take { token: "one:1".into(), want: 1 }).await.unwrap().jobs.remove(0);
    let done = finish(one.id.clone(), "one:1", Change::Complete { value: json("1"), keep: Keep::Nothing });
    work.finish_jobs([done].iter(), None).await.unwrap();
    let running: Vec<_> =
        (1..=100).map(|n| (Arc::new(Job { id: id(format!("a{}", n * 2)), ..one.clone() }), "old:1".into())).collect();
    long.quick("tell that 100 run", Flat, async |_| {
        assert_eq!(work.tell_running(&running).await.unwrap(), 100);
    })
    .await;
    long.quick("adopt the jobs of a take", Flat, async |_| {
        assert!(work.adopt_jobs(&"lost:1".into(), &[]).await.unwrap().is_empty());
    })
    .await;
    let check = async || WorkQueue::move_stalled_jobs_to_wait(&[&work]).await.unwrap().remove(0).unwrap();
    let later = "redis.call('DEL', 'bull:q:stalled-check') return 1";
    long.quick_after(later, "stalled check: all is well", Flat, async |_| {
        assert!(check().await.recovered.is_empty());
    })
    .await;
    // every other job that is active is one of these
    let lose = "redis.call('DEL', 'bull:q:stalled-check')
        for n = 1, 3000 do local id = ARGV[1] .. 'x' .. n redis.call('HSET', 'bull:q:' .. id, 'name', 'work', 'data', '{}')
        redis.call('LINSERT', 'bull:q:active', 'BEFORE', 'a' .. 3 * n, id) redis.call('SADD', 'bull:q:stalled', id)
        redis.call('SET', 'bull:q:' .. id .. ':lock', 'lost:1') end return 1";
    long.quick_after(lose, "put back 3000 jobs of an earlier start", Flat, async |_| {
        assert_eq!(work.release_locks(&["lost".to_owned()]).await.unwrap().len(), 3000);
    })
    .await;
    let lapse = lose.replace("'SET'", "'GET'").replace(", 'lost:1'", "");
    long.quick_after(&lapse, "stalled check: 3000 jobs are lost", Flat, async |_| {
        let mut recovered = 0;
        loop {
            let rescued = check().await;
            recovered += rescued.recovered.len();
            if !rescued.more {
                break;
            }
        }
        assert_eq!(recovered, 3000);
    })
    .await;
}

async fn schedulers(long: &Long) {
    let queue = &long.queue;
    let every = |ms| SchedulerSpec { every: Some(Duration::from_millis(ms)), ..SchedulerSpec::default() };
    let template = Template { name: "tick".into(), data: json("{}"), opts: JobOptions::default() };
    for (place, put, cost) in [
        ("delayed", "'ZADD', 'bull:q:delayed', 1700000001000 * 4096", Flat),
        ("completed", "'ZADD', 'bull:q:completed', 1", Flat),
        ("active", "'LPUSH', 'bull:q:active'", Flat),
        ("waiting", "'LINSERT', 'bull:q:wait', 'BEFORE', '250000'", WalksWait),
    ] {
        let prepare = format!(
            "local s = '{place}' .. ARGV[1] redis.call('ZADD', 'bull:q:repeat', 1700000001000, s)
             redis.call('HSET', 'bull:q:repeat:' .. s, 'name', 'tick', 'every', 60000, 'ic', 1)
             local id = 'repeat:' .. s .. ':1700000001000' redis.call('HSET', 'bull:q:' .. id, 'name', 'tick', 'rjk', s)
             redis.call({put}, id) return 1"
        );
        long.quick_after(&prepare, &format!("change a scheduler whose iteration is {place}"), cost, async |n| {
            queue.upsert_scheduler(&format!("{place}{n}"), &every(90_000), &template).await.unwrap().unwrap();
        })
        .await;
    }
    let due = "local s = 's' .. ARGV[1] redis.call('ZADD', 'bull:q:repeat', 1699999999000, s)
        redis.call('HSET', 'bull:q:repeat:' .. s, 'name', 'tick', 'every', 60000, 'ic', 1)
        local id = 'repeat:' .. s .. ':1699999999000' redis.call('HSET', 'bull:q:' .. id, 'name', 'tick', 'rjk', s,
          'opts', '{\"repeat\":{\"every\":60000,\"count\":1}}') redis.call('RPUSH', 'bull:q:wait', id) return 1";
    let work = long.work();
    long.quick_after(due, "take an iteration, add the next, list and remove the scheduler", Flat, async |n| {
        let take = Take { token: format!("s:{n}").into(), want: 1 };
        let job = work.move_to_active(&take).await.unwrap().jobs.remove(0);
        assert!(matches!(work.add_next_iteration(&job, "UTC").await.unwrap(), NextIteration::Added(_)));
        assert!(!queue.schedulers(0, 1000).await.unwrap().is_empty());
        assert!(queue.remove_scheduler(&format!("s{n}")).await.unwrap());
    })
    .await;
}

/// Schedules of ours: put in force by a file, fired a hundred at a time.
async fn schedules(long: &Long) {
    let queue = &long.queue;
    long.quick("put 200 schedules, fire 100, tell of their last runs", Flat, async |n| {
        let owner = format!("daemon{n}");
        let schedules: Vec<_> = (0..200).map(|at| Schedule::sample(&format!("{owner}-{at}"), "q")).collect();
        queue.put_schedules(&schedules.iter().collect::<Vec<_>>(), &owner).await.unwrap();
        let stored = queue.schedules_fired_by(&owner, &HashMap::new()).await.unwrap();
        let fired = |stored: StoredSchedule| {
            let slot = stored.next.unwrap();
            let jobs = vec![FiredJob { slot, due: slot, data: json("{}") }];
            Firing { claim: Some(slot), next: Some(slot.after(Duration::from_secs(86_400))), stored, jobs }
        };
        let answers = queue.fire(&stored.into_iter().take(100).map(fired).collect::<Vec<_>>()).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Fired::Claimed { by: Claim::Us { .. }, .. })));
        queue.iterations_ahead().await.unwrap();
        queue.last_runs(&queue.schedulers(0, 1000).await.unwrap()).await.unwrap();
    })
    .await;
}

fn finish(id: JobId, token: &str, change: Change) -> Finish {
    Finish {
        id,
        token: token.into(),
        progress: None,
        log: Vec::new(),
        doubtful: 0,
        keep_logs: None,
        change,
        element: None,
    }
}
