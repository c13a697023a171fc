//! What is done to a list that is a queue, with very much in every place an element can be.

use std::sync::Arc;
use std::time::Duration;

use super::Cost::Flat;
use super::*;
use crate::job::{Keep, State};
use crate::store::{Change, Finish, Held, JobReport, List, Recorded, Take};

/// Puts elements ARGV[1] to ARGV[1] + 4999 into the list, so many that are delayed and dead, and takes of one element each.
const FILL: &str = "local list, delayed, dead, takes = {}, {}, {}, {}
    for n = tonumber(ARGV[1]), ARGV[1] + 4999 do
      list[#list + 1] = '{\"tenantId\":7,\"n\":' .. n .. '}'
      local note = '{\"id\":\"x' .. n .. '\",\"made\":1,\"at\":1699990000000}\\n'
      delayed[#delayed + 1], delayed[#delayed + 2] = 1700000060000 + n, note .. list[#list]
      dead[#dead + 1] = note .. list[#list]
    end
    redis.call('LPUSH', 'long', unpack(list))
    if tonumber(ARGV[1]) <= 200000 * ARGV[2] then
      redis.call('ZADD', '{long}:oxherd:delayed', unpack(delayed, 1, 5000))
      redis.call('ZADD', '{long}:oxherd:delayed', unpack(delayed, 5001))
      redis.call('RPUSH', '{long}:oxherd:dead', unpack(dead))
    end
    return 1";

/// Ten thousand elements in hand, every other one of a process that has gone, in takes of `old:` and `mine:`.
const HOLD: &str = "for n = 1, 10000 do
      local token = (n % 2 == 0 and 'old:' or 'mine:') .. n
      redis.call('RPUSH', '{long}:oxherd:held:' .. token, '{\"tenantId\":7,\"held\":' .. n .. '}')
      redis.call('ZADD', '{long}:oxherd:takes', n % 2 == 0 and 1600000000000 or 1800000000000, token)
    end return 1";

pub(super) async fn all(long: &Long) {
    for from in (1..=500_000 * long.scale).step_by(5000) {
        long.lua(FILL, &[&from.to_string(), &long.scale.to_string()]).await;
    }
    let mut settings = config::Queue::new(QueueName::new("l").unwrap());
    settings.policy.keep_failed = Keep::All;
    settings.list = Some(config::List { payload: config::Payload::Json, ..config::List::new("long") });
    let status = config::Status { channels: vec!["to-{tenant}".into()], ..config::Status::default() };
    let work = WorkQueue::new(&long.store, &settings, &status, None, true);
    let list = long.store.list(&settings).unwrap();
    working(long, &work).await;
    holding(long, &work, &list).await;
    by_hand(long, &list).await;
}

fn take(token: String) -> Take {
    Take { token: token.into(), want: 64 }
}

async fn working(long: &Long, work: &WorkQueue) {
    let died = Change::Fail { reason: "no".into(), stack: "[]".into(), keep: Keep::All, attempts: 1, state: "failed" };
    for (what, change) in [
        ("completed", Change::Complete { value: json("1"), keep: Keep::Nothing }),
        ("dead", died),
        ("delayed", Change::Delay { wait: Duration::from_secs(60), charged: None }),
        ("handed back", Change::HandBack),
    ] {
        let mut token = format!("{what}:0");
        let mut jobs = work.move_to_active(&take(token.clone())).await.unwrap().jobs;
        long.quick(&format!("list: finish 64, take 64: {what}"), Flat, async |n| {
            let ended: Vec<_> = std::mem::take(&mut jobs)
                .into_iter()
                .map(|job| Finish {
                    id: job.id.clone(),
                    token: token.as_str().into(),
                    progress: None,
                    log: Vec::new(),
                    doubtful: 0,
                    keep_logs: None,
                    change: change.clone(),
                    element: Some(Arc::new(job)),
                })
                .collect();
            let next = format!("{what}:{}", n + 1);
            let (recorded, taken) = work.finish_jobs(ended.iter(), Some(&take(next.clone()))).await.unwrap();
            assert!(recorded.iter().all(|recorded| *recorded == Recorded::Done), "{recorded:?}");
            (jobs, token) = (taken.jobs, next);
        })
        .await;
    }
    long.quick("list: take 64, tell of the progress of each, look for them by their token", Flat, async |n| {
        let token = format!("told:{n}").into();
        let jobs = work.move_to_active(&take(format!("told:{n}"))).await.unwrap().jobs;
        let value = json("1");
        let reports: Vec<_> =
            jobs.iter().map(|job| JobReport { progress: Some(&value), ..JobReport::of(job, &token) }).collect();
        assert!(work.report_jobs(&reports).await.unwrap().iter().all(Result::is_ok));
        assert_eq!(work.adopt_jobs(&token, &[]).await.unwrap().len(), 64);
    })
    .await;
    long.store.freeze(UnixMillis(T0 + 3_600_000));
    long.quick("list: take 64 while 200,000 delayed elements are due", Flat, async |n| {
        assert!(work.move_to_active(&take(format!("due:{n}"))).await.unwrap().more);
    })
    .await;
    long.store.freeze(UnixMillis(T0));
}

async fn holding(long: &Long, work: &WorkQueue, list: &List) {
    long.lua(HOLD, &[]).await;
    let held: Vec<_> = (1..=10_000)
        .map(|n| {
            let token = format!("{}:{n}", if n % 2 == 0 { "old" } else { "mine" });
            Held { id: id(n), token: token.into(), started: 1 }
        })
        .collect();
    long.quick("list: check keys, renew 5,000 leases", Flat, async |_| {
        work.check_queue().await.unwrap();
        let mine: Vec<_> = held.iter().step_by(2).cloned().collect();
        assert!(work.extend_locks(&mine).await.unwrap().ended.is_empty());
    })
    .await;
    long.quick("list: overview of 10,000 takes", Flat, async |_| {
        assert!(list.overview().await.unwrap().counts.active >= 9_900);
    })
    .await;
    long.quick_after(HOLD, "list: put back 5,000 elements of an earlier start", Flat, async |_| {
        assert!(work.release_locks(&["old".to_owned()]).await.unwrap().len() >= 5000);
    })
    .await;
    long.quick_after(HOLD, "list: put back 5,000 elements whose leases are over", Flat, async |_| {
        let mut recovered = 0;
        loop {
            let rescued = WorkQueue::move_stalled_jobs_to_wait(&[work]).await.unwrap().remove(0).unwrap();
            recovered += rescued.recovered.len();
            if !rescued.more {
                break;
            }
        }
        assert!(recovered > 0);
    })
    .await;
}

async fn by_hand(long: &Long, list: &List) {
    long.quick("list: pages of 1000 from the middle of each", Flat, async |_| {
        assert_eq!(list.waiting(250_000, 1000).await.unwrap().len(), 1000);
        assert_eq!(list.delayed(100_000, 1000).await.unwrap().len(), 1000);
        assert_eq!(list.dead(100_000, 1000).await.unwrap().len(), 1000);
    })
    .await;
    long.quick("list: pause, resume, push 1000, retry 1000, clean 1000 of each", Flat, async |_| {
        assert!(list.pause().await.unwrap() && list.resume().await.unwrap());
        list.push(std::iter::repeat_n("x".into(), 1000)).await.unwrap();
        assert_eq!(list.retry_oldest(1000).await.unwrap(), 1000);
        for state in [State::Waiting, State::Delayed, State::Failed] {
            assert_eq!(list.clean(state, 1000).await.unwrap(), 1000);
        }
    })
    .await;
    let mut settings = config::Queue::new(QueueName::new("l").unwrap());
    settings.list = Some(config::List::new("long"));
    settings.policy.keep_failed = Keep::Some { count: None, age: Some(Duration::from_secs(60)), limit: None };
    let work = WorkQueue::new(&long.store, &settings, &config::Status::default(), None, false);
    long.quick("list: prune the dead", Flat, async |_| a_while(work.prune_finished()).await).await;
}
