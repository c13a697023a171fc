//! What only reads.

use super::Cost::Flat;
use super::*;
use crate::job::State;
use crate::store::checkup;
use crate::store::rights::{Bearer, Rights};
use crate::store::{Orphan, OrphanKind, Posted, Selection, StoredGate, Update};

/// Some job of each state.
const JOBS: [&str; 6] = ["250000", "d100000", "p25000", "c25000", "f25000", "a5000"];
const STATES: [State; 6] =
    [State::Waiting, State::Delayed, State::Prioritized, State::Completed, State::Failed, State::Active];

/// A parent of 100,000 children, in `waiting-children`, and one whose children are done.
const PARENTS: &str = "for _, id in ipairs({'big', 'done'}) do
      redis.call('HSET', 'bull:q:' .. id, 'name', 'work', 'data', '{}', 'timestamp', '1699990000000')
      redis.call('ZADD', 'bull:q:waiting-children', 1, id) end
    for from = 1, 100000, 1000 do
      local keys, ended = {}, {}
      for n = from, from + 999 do
        keys[#keys + 1] = string.format('bull:kids:%d', n)
        ended[#ended + 1], ended[#ended + 2] = string.format('bull:kids:e%d', n), '1' end
      redis.call('SADD', 'bull:q:big:dependencies', unpack(keys))
      redis.call('HSET', 'bull:q:done:processed', unpack(ended)) end return 1";

pub(super) async fn all(long: &Long) {
    let queue = &long.queue;
    long.quick("overview", Flat, async |_| drop(queue.overview().await.unwrap())).await;
    long.quick("neighbours", Flat, async |_| drop(queue.neighbours().await.unwrap())).await;
    long.quick("depths", Flat, async |_| {
        let work = long.work();
        assert_eq!(WorkQueue::depths(&[&work]).await.unwrap()[0].counts, queue.counts().await.unwrap());
    })
    .await;
    for (state, job) in STATES.into_iter().zip(JOBS) {
        long.quick(&format!("job: {state}"), Flat, async |_| {
            assert_eq!(queue.job(&id(job)).await.unwrap().unwrap().state, state);
        })
        .await;
    }
    long.quick("job: missing", Flat, async |_| assert!(queue.job(&id("nobody")).await.unwrap().is_none())).await;
    for state in STATES {
        let half = usize::try_from(queue.counts().await.unwrap().of(state) / 2).unwrap();
        long.quick(&format!("jobs: 1000 in the middle, {state}"), Flat, async |_| {
            assert_eq!(queue.jobs(state, half, 1000).await.unwrap().len(), 1000);
            assert_eq!(queue.jobs_reversed(state, half, 1000).await.unwrap().len(), 1000);
        })
        .await;
        long.quick(&format!("select, export: two pages, {state}"), Flat, async |_| {
            let selection = Selection { states: vec![state], ..Selection::default() };
            let (_, cursor) = queue.select(&selection, None, 1500).await.unwrap();
            queue.select(&selection, cursor, 1500).await.unwrap();
            a_while(Box::pin(queue.export(state, None, 1000))).await;
        })
        .await;
    }
    long.quick("select: a name nobody has", Flat, async |_| {
        let selection = Selection { states: vec![State::Delayed], name: Some("x".into()), ..Selection::default() };
        a_while(queue.select(&selection, None, 1)).await;
    })
    .await;
    long.quick("counts per priority, delayed before, metrics, finished", Flat, async |_| {
        queue.counts_per_priority(&(0..1000).collect::<Vec<_>>()).await.unwrap();
        assert_eq!(queue.priorities().await.unwrap().len(), 2001);
        queue.delayed_before(UnixMillis(T0 + 160_000)).await.unwrap();
        queue.metrics(State::Completed).await.unwrap();
        queue.finished(&id("c25000")).await.unwrap();
    })
    .await;
    let shown = "for n = 1, 1000 do redis.call('ZADD', 'bull:q:oxherd.gates', 1e15, n .. ('x'):rep(1000)) end return 1";
    long.lua(shown, &[]).await;
    long.quick("gates: post and read among 1000", Flat, async |_| {
        let (mut posted, work) = (Posted::default(), long.work());
        work.post_gates(&mut posted, vec![StoredGate::default()], Duration::from_secs(9)).await.unwrap();
        work.post_gates(&mut posted, Vec::new(), Duration::from_secs(9)).await.unwrap();
        queue.gates().await.unwrap();
    })
    .await;
    let rows = "for n = 1, 100000 do redis.call('RPUSH', 'bull:q:7:logs', 'row') end return 1";
    long.lua(rows, &[]).await;
    long.quick("log: 1000 of 100,000 rows", Flat, async |_| {
        assert_eq!(queue.logs(&id(7), 50_000, 50_999, false).await.unwrap().0.len(), 1000);
    })
    .await;
    long.quick("update: 1000 of progress, 1000 log rows", Flat, async |_| {
        let progress = (1..=1000).map(|n| Update::Progress { id: id(n), value: json("50") });
        let rows = (1..=1000).map(|n| Update::Log { id: id(n % 10 + 1), row: "row".into(), keep: Some(100) });
        queue.update_jobs(&progress.chain(rows).collect::<Vec<_>>()).await.unwrap();
    })
    .await;
    long.lua(PARENTS, &[]).await;
    for parent in ["big", "done"] {
        long.quick(&format!("tree, dependencies, export: 100,000 children, {parent}"), Flat, async |_| {
            queue.tree(&id(parent), 3).await.unwrap().unwrap();
            let dependencies = queue.dependencies(&id(parent)).await.unwrap();
            assert_eq!(dependencies.unprocessed.len() + dependencies.processed.len(), 100_000);
            queue.export_job(&id(parent)).await.unwrap().unwrap();
        })
        .await;
    }
    // the lists are read whole, and then walked along for each job in no state
    let stray = "redis.call('HSET', 'bull:q:stray', 'name', 'work', 'timestamp', '1') return 1";
    long.lua(stray, &[]).await;
    long.quick("orphans: two in no state", Flat, async |_| {
        let mut orphans = queue.orphans(Duration::ZERO).await.unwrap();
        a_while(orphans.next()).await;
        let key = "bull:q:stray".to_owned();
        let stray = Orphan { kind: OrphanKind::Job, key, age_ms: 0 };
        let waits = Orphan { key: "bull:q:250000".into(), ..stray.clone() };
        let gone = queue.delete_orphans(vec![stray, waits]).await.unwrap();
        assert!(gone.iter().all(|orphan| orphan.key == "bull:q:stray"), "{gone:?}");
    })
    .await;
    let begin = std::time::Instant::now();
    long.quick("checkup", Flat, async |_| {
        let mut config = config::Config::default();
        config.queues.insert("q".into(), config::Queue::new(queue.name().clone()));
        let found = checkup::examine(&long.store, &config).await;
        assert!(found.len() > 30, "{found:?}");
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(60), "a few seconds on a calm machine");
    long.quick("rights of who does everything", Flat, async |_| {
        let rights = Rights::of(&config::Config::default(), Bearer::People, &[]);
        assert!(long.store.missing_rights(&rights).await.unwrap().is_none_or(|missing| missing.is_empty()));
    })
    .await;
    long.quick("queue names", Flat, async |_| a_while(long.store.queue_names()).await).await;
}
