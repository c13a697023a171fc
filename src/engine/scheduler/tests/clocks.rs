//! Many instances, and clocks that jump or disagree.

use super::*;

/// Every moment from the first on, each once.
fn each(count: i64, step: i64) -> Vec<i64> {
    (0..count).map(|n| n * step).collect()
}

#[tokio::test]
async fn f111_one_job_for_each_time_however_many_instances() {
    for kind in [allowed, series] {
        for count in 1..=5 {
            let server = server().await;
            let schedules = [kind("s", 1000)];
            let mut instances = Vec::new();
            for n in 0..count {
                // one after the other while it is fired already
                instances.push(Instance::start(&server, T0 - 1 + n * 1000, &schedules).await);
                for instance in &mut instances {
                    instance.at(T0 + n * 1000).await;
                }
            }
            for second in count..20 {
                let all = instances.iter_mut().map(|instance| instance.at(T0 + second * 1000 + 3));
                let ticked = futures_util::future::join_all(all).await;
                let fired: u64 = ticked.iter().map(|ticked| ticked.fired).sum();
                assert_eq!(fired, 1, "at {second}: {ticked:?}");
            }
            let is_series = kind("s", 1).fits_bullmq().is_ok();
            assert_eq!(instances[0].slots().await, each(20 + i64::from(is_series), 1000), "{count} instances");
        }
    }
}

#[tokio::test]
async fn f112_times_a_jump_forward_passes_over_follow_the_policy() {
    let server = server().await;
    let with = |name, catch_up| Schedule { catch_up, overlap: Overlap::Allow, ..every(name, 300_000) };
    let mut last = with("last", CatchUp::Last);
    last.catch_up_window += Duration::from_secs(1);
    let schedules = [last, with("none", CatchUp::None), with("all", CatchUp::All), series("series", 300_000)];
    let mut one = Instance::start(&server, T0 - 1, &schedules).await;
    one.at(T0).await;
    one.at(T0 + HOUR + 60_000).await;
    let added = one.added().await;
    let slots = |wanted: &str| added.iter().filter(|(name, _)| name == wanted).map(|(_, at)| *at).collect::<Vec<_>>();
    assert_eq!(slots("last"), [0, HOUR]);
    assert_eq!(slots("none"), [0]);
    assert_eq!(slots("all"), each(13, 300_000));
    // the one that was ready is the one made up for
    assert_eq!(slots("series"), [0, 300_000, HOUR + 300_000]);
    for name in ["last", "none", "all", "series"] {
        assert_eq!(one.next(name).await, Some(HOUR + 300_000), "{name}");
    }
}

#[tokio::test]
async fn f113_a_clock_that_jumps_back_fires_nothing_again() {
    let server = server().await;
    let schedules = [allowed("s", 1000), series("t", 1000)];
    let mut one = Instance::start(&server, T0 - 1, &schedules).await;
    for second in 0..10 {
        one.at(T0 + second * 1000).await;
    }
    let before = one.added().await;
    // also for an instance that starts then
    let mut two = Instance::start(&server, T0 + 3000, &schedules).await;
    for second in 3..10 {
        for instance in [&mut one, &mut two] {
            assert_eq!(instance.at(T0 + second * 1000 + 5).await.fired, 0, "at {second}");
        }
    }
    assert_eq!(one.added().await, before);
    two.at(T0 + 10_000).await;
    assert_eq!(one.added().await.len(), before.len() + 2);
}

#[tokio::test]
async fn f114_instances_that_disagree_about_the_time_fire_each_time_once() {
    let server = server().await;
    let schedules = [allowed("s", 1000), series("t", 1000)];
    let skews = [-2500, -300, 0, 300, 2500];
    let mut instances = Vec::new();
    for skew in skews {
        instances.push(Instance::start(&server, T0 - 3000 + skew, &schedules).await);
    }
    // in small steps, all at once
    for step in 0..200 {
        let now = T0 - 3000 + step * 100;
        let all = instances.iter_mut().zip(skews).map(|(instance, skew)| instance.at(now + skew));
        futures_util::future::join_all(all).await;
    }
    let added = instances[0].added().await;
    for name in ["s", "t"] {
        let slots: Vec<_> = added.iter().filter(|(found, _)| found == name).map(|(_, at)| *at).collect();
        let expected: Vec<_> = (0..).map(|n| slots[0] + n * 1000).take(slots.len()).collect();
        assert_eq!(slots, expected, "{name}");
        assert!(slots.len() >= 20, "{slots:?}");
    }
}

#[tokio::test]
async fn f121_a_downtime_is_made_up_for_by_policy() {
    let server = server().await;
    let with = |name, catch_up| Schedule {
        catch_up,
        overlap: Overlap::Allow,
        jitter: Duration::from_millis(1),
        ..every(name, 300_000)
    };
    let schedules = [with("last", CatchUp::Last), with("none", CatchUp::None), with("all", CatchUp::All)];
    Instance::start(&server, T0 - 1, &schedules).await.at(T0).await;
    // two and a half hours nobody is there, then two are
    let mut instances = Vec::new();
    for _ in 0..2 {
        instances.push(Instance::start(&server, T0 + 2 * HOUR + HOUR / 2 + 77_000, &schedules).await);
    }
    let now = T0 + 2 * HOUR + HOUR / 2 + 77_000;
    futures_util::future::join_all(instances.iter_mut().map(|instance| instance.at(now))).await;
    let added = instances[0].added().await;
    let slots = |wanted: &str| added.iter().filter(|(name, _)| name == wanted).map(|(_, at)| *at).collect::<Vec<_>>();
    assert_eq!(slots("last"), [0, 2 * HOUR + HOUR / 2]);
    assert_eq!(slots("none"), [0]);
    assert_eq!(slots("all"), each(31, 300_000));
}

#[tokio::test]
async fn a_queue_that_is_behind_misses_no_time_of_a_series() {
    let server = server().await;
    let mut one = Instance::start(&server, T0 - 1, &[series("s", 1000)]).await;
    // nobody takes a job
    for second in 0..5 {
        one.at(T0 + second * 1000).await;
    }
    assert_eq!(one.slots().await, each(6, 1000));
    // then all are taken, and each was followed already
    for n in 0..5 {
        assert_eq!(one.take().await.unwrap().id.as_str(), format!("repeat:s:{}", T0 + n * 1000));
    }
    assert!(one.take().await.is_none());
    assert_eq!(one.slots().await, each(6, 1000));
    // a worker that is first goes on itself, and the loop finds that done
    one.store.freeze(UnixMillis(T0 + 5000));
    one.take().await.unwrap();
    let ticked = one.at(T0 + 5000).await;
    assert_eq!((ticked.fired, ticked.by_others), (0, 1));
    assert_eq!(one.slots().await, each(7, 1000));
}
