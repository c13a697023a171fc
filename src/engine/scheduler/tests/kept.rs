//! What stands in Redis: whose it is, what a start or reload changes, and what nobody changes.

use super::*;
use crate::store::testing::everything;

async fn definition(instance: &Instance, name: &str) -> Schedule {
    instance.queue().scheduler(name).await.unwrap().unwrap().own.unwrap().schedule.unwrap()
}

#[tokio::test]
async fn what_the_file_says_no_longer_goes_and_the_rest_stays() {
    let server = server().await;
    let mut one = Instance::start(&server, T0 - 1, &[every("a", 1000), series("b", 1000), every("c", 1000)]).await;
    server.run("ZADD bull:q:repeat 5 theirs").await;
    server.run("HSET bull:q:repeat:theirs name x every 1000 ic 1").await;
    let mut other = Instance::named(&server, T0 - 1, &[every("d", 1000)], "other").await;
    one.queue().add_schedule(&every("by-hand", 1000)).await.unwrap();
    let off = Schedule { enabled: false, ..every("c", 1000) };
    let steps = one.queue().diff_schedules(&[&every("a", 1000), &off, &every("e", 1000)], "oxherd").await.unwrap();
    let by = |origin| ScheduleStep::Foreign { by: origin };
    let expected = [
        ("a", ScheduleStep::Keep),
        ("b", ScheduleStep::Remove),
        ("by-hand", by(Some(crate::store::Origin::Hand))),
        ("c", ScheduleStep::Remove),
        ("d", by(Some(crate::store::Origin::File("other".into())))),
        ("e", ScheduleStep::Create),
        ("theirs", by(None)),
    ];
    assert_eq!(steps, expected.map(|(name, step)| (name.to_owned(), step)).into());
    one.put(&[every("a", 1000), off, every("e", 1000)]).await;
    assert_eq!(redis(&one.store, "ZRANGE bull:q:repeat 0 -1").await, "theirs a by-hand d e");
    // the one that was ready went too
    assert_eq!(redis(&one.store, "ZCARD bull:q:delayed").await, "0");
    // each fires its own, and both what was made by hand
    one.at(T0).await;
    other.at(T0).await;
    let mut names: Vec<_> = one.added().await.into_iter().map(|(name, _)| name).filter(|name| name != "b").collect();
    names.sort();
    assert_eq!(names, ["a", "by-hand", "d", "e"]);
}

#[tokio::test]
async fn a_restart_and_a_reload_change_nothing_that_is_the_same() {
    let server = server().await;
    let schedules = [every("a", 1000), series("b", 1000)];
    let mut one = Instance::start(&server, T0 - 1, &schedules).await;
    one.at(T0).await;
    let before = everything(&one.store).await;
    one.store.freeze(UnixMillis(T0 + 500));
    one.put(&schedules).await;
    Instance::start(&server, T0 + 600, &schedules).await;
    assert_eq!(everything(&one.store).await, before);
}

#[tokio::test]
async fn many_instances_that_start_at_once_agree() {
    let server = server().await;
    let schedules: Vec<_> = (0..300)
        .map(|n| if n % 2 == 0 { every(&format!("s{n}"), 1000) } else { series(&format!("s{n}"), 1000) })
        .collect();
    let starting = (0..5).map(|_| Instance::start(&server, T0 - 1, &schedules));
    let mut instances = futures_util::future::join_all(starting).await;
    futures_util::future::join_all(instances.iter_mut().map(|instance| instance.at(T0))).await;
    let mut added = instances[0].added().await;
    let all = added.len();
    added.sort();
    added.dedup();
    assert_eq!((all, added.len()), (450, 450));
}

#[tokio::test]
async fn other_data_leaves_the_next_time_and_other_times_move_it() {
    let server = server().await;
    let hourly = every("s", 300_000);
    let mut one = Instance::start(&server, T0 - 1, std::slice::from_ref(&hourly)).await;
    one.at(T0).await;
    // due again, but not fired
    one.store.freeze(UnixMillis(T0 + 300_001));
    let data = RawValue::from_string(r#"{"n":2}"#.into()).unwrap();
    one.put(&[Schedule { data, ..hourly.clone() }]).await;
    assert_eq!(one.next("s").await, Some(300_000));
    one.put(&[every("s", 30_000)]).await;
    assert_eq!(one.next("s").await, Some(330_000));
    let own = one.queue().scheduler("s").await.unwrap().unwrap().own.unwrap();
    assert_eq!((own.fired, own.is_paused), (Some(UnixMillis(T0)), false));
    assert_eq!(own.last.unwrap().outcome, crate::store::LastOutcome::Unfinished);
}

#[tokio::test]
async fn f120_one_definition_is_fired_by_all() {
    let server = server().await;
    let with = |n: u32, revision: u32| Schedule {
        data: RawValue::from_string(format!(r#"{{"n":{n}}}"#)).unwrap(),
        revision,
        ..allowed("s", 1000)
    };
    let mut old = Instance::start(&server, T0 - 1, &[with(1, 1)]).await;
    old.at(T0).await;
    // a newer file: both fire it, the old one from its next time on
    let mut new = Instance::start(&server, T0 + 1, &[with(2, 2)]).await;
    for second in 1..5 {
        let (a, b) = tokio::join!(old.at(T0 + second * 1000), new.at(T0 + second * 1000));
        assert_eq!(a.fired + b.fired, 1);
    }
    // neither a restart nor a reload of the old one brings it back
    old.put(&[with(1, 1)]).await;
    let mut again = Instance::start(&server, T0 + 4001, &[with(1, 1)]).await;
    again.at(T0 + 5000).await;
    assert_eq!(definition(&old, "s").await.data.get(), r#"{"n":2}"#);
    // of equal revisions the one loaded last holds
    let mut last = Instance::start(&server, T0 + 5001, &[with(3, 2)]).await;
    let mut all = [&mut old, &mut new, &mut again, &mut last];
    for second in 6..9 {
        let ticked = futures_util::future::join_all(all.iter_mut().map(|one| one.at(T0 + second * 1000))).await;
        assert_eq!(ticked.iter().map(|ticked| ticked.fired).sum::<u64>(), 1);
    }
    assert_eq!(old.slots().await, (0..9).map(|n| n * 1000).collect::<Vec<_>>());
    let mut numbers = Vec::new();
    for second in 0..9 {
        let data = redis(&old.store, &format!("HGET bull:q:repeat:s:{} data", T0 + second * 1000)).await;
        numbers.push(data[5..6].parse::<u32>().unwrap());
    }
    assert_eq!(numbers, [1, 2, 2, 2, 2, 2, 3, 3, 3]);
}

#[tokio::test]
async fn f123_what_was_removed_stays_removed_and_what_runs_ends() {
    for kind in [every, series] {
        let server = server().await;
        let schedules = [kind("s", 1000)];
        let mut one = Instance::start(&server, T0 - 1, &schedules).await;
        let mut late = Instance::start(&server, T0 - 1, &schedules).await;
        one.at(T0).await;
        let job = one.take().await.unwrap();
        one.put(&[]).await;
        let before = one.added().await;
        for second in 1..4 {
            assert_eq!(late.at(T0 + second * 1000).await, Ticked::default());
        }
        assert_eq!(one.added().await, before);
        assert_eq!(redis(&one.store, "EXISTS bull:q:repeat bull:q:repeat:s").await, "0");
        assert_eq!(redis(&one.store, "LLEN bull:q:active").await, "1");
        assert_eq!(redis(&one.store, "ZCARD bull:q:delayed").await, "0");
        // taken anew after a crash it is followed by nothing
        one.work().add_next_iteration(&job, "UTC").await.unwrap();
        assert_eq!(one.added().await, before);
    }
}

#[tokio::test]
async fn f123_the_job_that_waits_for_its_time_is_replaced_by_a_change() {
    let server = server().await;
    let mut one = Instance::start(&server, T0 - 1, &[series("s", 60_000)]).await;
    one.at(T0).await;
    let running = one.take().await.unwrap();
    let data = RawValue::from_string(r#"{"n":2}"#.into()).unwrap();
    one.put(&[Schedule { data, ..series("s", 60_000) }]).await;
    let id = format!("repeat:s:{}", T0 + 60_000);
    assert_eq!(redis(&one.store, "ZRANGE bull:q:delayed 0 -1").await, id);
    assert_eq!(redis(&one.store, &format!("HGET bull:q:{id} data")).await, r#"{"n":2}"#);
    assert_eq!(redis(&one.store, "HGET bull:q:repeat:s ic").await, "2");
    assert_eq!(redis(&one.store, "LRANGE bull:q:active 0 -1").await, running.id.as_str());
    // and no longer there when the schedule is no series any more
    one.put(&[every("s", 60_000)]).await;
    assert_eq!(redis(&one.store, "ZCARD bull:q:delayed").await, "0");
    one.end(&running).await;
    one.at(T0 + 60_000).await;
    assert_eq!(redis(&one.store, "LRANGE bull:q:wait 0 -1").await, id);
    assert_eq!(redis(&one.store, "HGET bull:q:repeat:s ic").await, "2");
}

#[tokio::test]
async fn a_pause_lets_times_go_by_and_outlives_restarts() {
    for kind in [allowed, series] {
        let server = server().await;
        let schedules = [kind("s", 1000)];
        let mut one = Instance::start(&server, T0 - 1, &schedules).await;
        one.at(T0).await;
        while one.take().await.is_some() {}
        assert!(one.queue().pause_schedule("s").await.unwrap());
        assert!(!one.queue().pause_schedule("none").await.unwrap());
        one.at(T0 + 1000).await;
        let mut again = Instance::start(&server, T0 + 1001, &schedules).await;
        again.at(T0 + 2000).await;
        assert_eq!(redis(&one.store, "ZCARD bull:q:delayed").await, "0");
        assert!(one.take().await.is_none());
        one.store.freeze(UnixMillis(T0 + 5500));
        assert!(one.queue().resume_schedule("s").await.unwrap());
        again.store.freeze(UnixMillis(T0 + 5500));
        again.scheduler.look().await.unwrap();
        again.at(T0 + 6000).await;
        let id = format!("repeat:s:{}", T0 + 6000);
        again.store.freeze(UnixMillis(T0 + 6001));
        assert_eq!(again.take().await.unwrap().id.as_str(), id);
        assert!(again.take().await.is_none());
    }
}

#[tokio::test]
async fn a_triggered_job_is_one_beside_the_others() {
    let server = server().await;
    let data = RawValue::from_string(r#"{"at":"{scheduled.ms}"}"#.into()).unwrap();
    let mut one = Instance::start(&server, T0 - 1, &[Schedule { data, ..every("s", 1000) }]).await;
    let silent = config::Status { enabled: false, ..config::Status::default() };
    let id = one.queue().trigger_schedule("s", &silent).await.unwrap().unwrap();
    assert_eq!(
        redis(&one.store, &format!("HMGET bull:q:{id} name data")).await,
        format!(r#"tick {{"at":"{}"}}"#, T0 - 1)
    );
    assert_eq!(one.queue().trigger_schedule("none", &silent).await.unwrap(), None);
    assert_eq!(one.at(T0).await.jobs, 1);
}

#[tokio::test]
async fn a_scheduler_that_a_client_made_its_own_is_left_to_it() {
    let server = server().await;
    let mut one = Instance::start(&server, T0 - 1, &[every("s", 1000), allowed("t", 1000)]).await;
    let spec = SchedulerSpec { every: Some(Duration::from_secs(60)), ..SchedulerSpec::default() };
    let data = RawValue::from_string("{}".into()).unwrap();
    let template = crate::job::Template { name: "theirs".into(), data, opts: JobOptions::default() };
    one.queue().upsert_scheduler("s", &spec, &template).await.unwrap();
    let before = one.added().await;
    one.at(T0).await;
    one.put(&[every("s", 1000), allowed("t", 1000)]).await;
    one.at(T0 + 1000).await;
    let names: Vec<_> = one.added().await[before.len()..].iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, ["t", "t"]);
    assert_eq!(redis(&one.store, "HGET bull:q:repeat:s name").await, "theirs");
}

#[tokio::test]
async fn a_key_of_the_wrong_type_stops_no_other_schedule() {
    let server = server().await;
    let mut one = Instance::start(&server, T0 - 1, &[allowed("a", 1000), allowed("b", 1000)]).await;
    server.run("DEL bull:q:repeat:a").await;
    server.run("SET bull:q:repeat:a nonsense").await;
    one.store.freeze(UnixMillis(T0));
    let ticked = one.scheduler.tick().await;
    assert_eq!((ticked.fired, ticked.jobs), (1, 1));
}

#[tokio::test]
async fn what_redis_has_lost_is_put_in_force_again() {
    let server = server().await;
    let schedules = [allowed("s", 1000), series("t", 1000)];
    let mut one = Instance::start(&server, T0 - 1, &schedules).await;
    one.at(T0).await;
    assert!(!one.scheduler.is_lost);
    server.run("FLUSHALL").await;
    // that alone is no reason: whoever removes a schedule leaves the queue
    assert_eq!(one.at(T0 + 1000).await, Ticked::default());
    one.scheduler.look().await.unwrap();
    assert!(one.scheduler.is_lost);
    one.put(&schedules).await;
    assert!(!one.scheduler.is_lost);
    assert_eq!(one.at(T0 + 2000).await.fired, 2);
}

#[tokio::test]
async fn reading_again_sets_no_second_alarm_and_loses_none() {
    let server = server().await;
    let schedules: Vec<_> = (0..10).map(|n| every(&format!("s{n}"), 60_000)).collect();
    let mut one = Instance::start(&server, T0 - 1, &schedules).await;
    for _ in 0..5 {
        one.queue().pause_schedule("s3").await.unwrap();
        one.queue().resume_schedule("s3").await.unwrap();
        one.scheduler.look().await.unwrap();
    }
    assert_eq!(one.scheduler.alarms.len(), 10);
    assert_eq!(one.at(T0).await.jobs, 10);
    // one that is due as it is read: it was changed by another instance at that moment
    let data = RawValue::from_string(r#"{"n":2}"#.into()).unwrap();
    let mut changed = schedules.clone();
    changed[5].data = data;
    Instance::start(&server, T0 + 59_999, &changed).await;
    redis(&one.store, &format!("DEL bull:q:repeat:s5:{T0}")).await;
    one.at(T0 + 60_000).await;
    let slots: Vec<_> = one.added().await.into_iter().filter(|(name, _)| name == "s5").map(|(_, at)| at).collect();
    assert_eq!(slots, [0, 60_000]);
}
