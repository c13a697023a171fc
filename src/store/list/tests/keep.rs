//! Further attempts, the dead, and what is done by hand.

use super::*;

#[tokio::test]
async fn a_failed_element_waits_and_keeps_what_is_known_of_it() {
    let mut rig = Rig::new().await;
    rig.set(|list| list.payload = Payload::Json);
    let work = rig.work();
    rig.push(&[b" {\"a\": 1}\n", b"2"]).await;
    let jobs = taken(&work, "one:1", 1).await;
    assert_eq!((jobs[0].data.get(), jobs[0].id.as_str()), ("{\"a\": 1}", "one-1-0"));
    ended(&work, vec![finish(&jobs[0], "one:1", delay(5000))]).await;
    assert_eq!(rig.counts().await, [1, 0, 1, 0]);
    let delayed = rig.list().delayed(0, 9).await.unwrap().remove(0);
    assert_eq!((&delayed.bytes[..], delayed.due.0, delayed.attempts_made), (b" {\"a\": 1}\n".as_slice(), T0 + 5000, 1));
    assert_eq!((delayed.id.as_str(), delayed.reason.as_deref()), ("one-1-0", Some("no")));
    let Taken { jobs, next_due, more, .. } = work.move_to_active(&take("one:2", 9)).await.unwrap();
    assert_eq!((jobs.len(), next_due, more), (1, Some(UnixMillis(T0 + 5000)), false));
    rig.store.freeze(UnixMillis(T0 + 5000));
    let again = taken(&work, "one:3", 9).await;
    assert_eq!(
        (again.len(), again[0].id.as_str(), again[0].attempt(), again[0].attempts_started),
        (1, "one-1-0", 2, 2)
    );
    assert_eq!((again[0].timestamp.0, again[0].stacktrace.as_deref()), (T0, Some(r#"["no"]"#)));
    // while it is in hand for the second time its process dies: it is due again, as it was
    work.release_locks(&["one".into()]).await.unwrap();
    assert_eq!(rig.waiting().await, ["2"]);
    let again = taken(&work, "two:1", 9).await;
    assert_eq!((ids(&again), again[0].attempt()), (vec!["one-1-0"], 2));
    // given up
    ended(&work, vec![finish(&again[0], "two:1", fail("too bad"))]).await;
    let dead = rig.list().dead(0, 9).await.unwrap().remove(0);
    assert_eq!(
        (&dead.bytes[..], dead.attempts_made, dead.reason.as_str()),
        (b" {\"a\": 1}\n".as_slice(), 2, "too bad")
    );
    assert_eq!(
        (dead.since, dead.at, dead.by.as_deref()),
        (Some(UnixMillis(T0)), Some(UnixMillis(T0 + 5000)), Some("host-one"))
    );
}

#[tokio::test]
async fn elements_that_are_no_job_carry_the_reason() {
    for (payload, bytes, reason) in [
        (Payload::Id, b"".as_slice(), "the element is empty"),
        (Payload::Id, b"a\xff", "the element is not UTF-8: byte 1"),
        (Payload::Json, b"{x", "data is not JSON: syntax error"),
        (Payload::Json, b"", "data is not JSON: eof error"),
        (Payload::Json, b"\"\xff\"", "data is not UTF-8"),
        (Payload::Text, b"ab\xff", "the element is not UTF-8: byte 2"),
    ] {
        let mut rig = Rig::new().await;
        rig.set(|list| list.payload = payload);
        rig.push(&[bytes]).await;
        let job = taken(&rig.work(), "one:1", 1).await.remove(0);
        let told = job.deferred_failure.clone().unwrap();
        assert!(told.contains(reason), "{told:?} lacks {reason:?}");
        ended(&rig.work(), vec![finish(&job, "one:1", fail(&told))]).await;
        assert_eq!(rig.list().dead(0, 1).await.unwrap()[0].bytes, bytes);
    }
}

#[tokio::test]
async fn id_and_name_come_from_where_the_pointers_say() {
    let mut rig = Rig::new().await;
    rig.set(|list| {
        (list.payload, list.id, list.name) = (Payload::Json, Some("/job/id".into()), Some("/type".into()));
    });
    rig.push(&[br#"{"job":{"id":9007199254740991},"type":"mail"}"#, br#"{"job":{"id":"x:1"}}"#, b"[]"]).await;
    let jobs = taken(&rig.work(), "one:1", 9).await;
    assert_eq!(ids(&jobs), ["9007199254740991", "x:1", "one-1-2"]);
    assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["mail", "q", "q"]);
}

#[tokio::test]
async fn what_is_too_long_is_dead_at_once() {
    let mut rig = Rig::new().await;
    rig.queue.max_payload = 4;
    rig.push(&[b"1", b"too long", b"2"]).await;
    let work = rig.work();
    let Taken { jobs, dropped, .. } = work.move_to_active(&take("one:1", 9)).await.unwrap();
    assert_eq!((jobs.len(), dropped.len()), (2, 1));
    let dead = rig.list().dead(0, 9).await.unwrap().remove(0);
    assert_eq!(
        (&dead.bytes[..], dead.reason.as_str()),
        (b"too long".as_slice(), "data is 8 bytes long, longer than max_payload allows")
    );
    let jobs: Vec<_> = jobs.into_iter().map(Arc::new).collect();
    ended(&work, jobs.iter().map(|job| finish(job, "one:1", complete())).collect()).await;
    assert_eq!(rig.counts().await, [0, 0, 0, 1]);
}

#[tokio::test]
async fn the_dead_list_is_bounded_by_count_and_age() {
    let mut rig = Rig::new().await;
    rig.queue.policy.keep_failed = Keep::Some { count: Some(2), age: Some(Duration::from_secs(60)), limit: None };
    rig.push(&[b"1", b"2", b"3"]).await;
    let work = rig.work();
    let jobs = taken(&work, "one:1", 3).await;
    ended(&work, jobs.iter().map(|job| finish(job, "one:1", fail("no"))).collect()).await;
    let dead: Vec<_> = rig.list().dead(0, 9).await.unwrap().into_iter().map(|dead| dead.id).collect();
    assert_eq!(dead, ["3", "2"]);
    assert_eq!(work.prune_finished().await.unwrap(), 0);
    rig.store.freeze(UnixMillis(T0 + 60_000));
    assert_eq!(work.prune_finished().await.unwrap(), 2);
    rig.queue.policy.keep_failed = Keep::Nothing;
    rig.push(&[b"4"]).await;
    let work = rig.work();
    let job = taken(&work, "one:2", 1).await.remove(0);
    ended(&work, vec![finish(&job, "one:2", fail("no"))]).await;
    assert_eq!(rig.counts().await, [0, 0, 0, 0]);
}

#[tokio::test]
async fn the_dead_go_back_behind_those_that_wait_and_are_cleaned_in_steps() {
    for side in [Side::Right, Side::Left] {
        let mut rig = Rig::new().await;
        rig.set(|list| list.take = side);
        rig.push(&[b"1", b"2\xff\n", b"3"]).await;
        let (work, list) = (rig.work(), rig.list());
        let jobs = taken(&work, "one:1", 3).await;
        ended(&work, jobs.iter().map(|job| finish(job, "one:1", fail("no"))).collect()).await;
        rig.push(&[b"4"]).await;
        let dead = list.dead(0, 9).await.unwrap();
        assert_eq!(list.retry([dead[1].entry.clone(), Bytes::from_static(b"no such")]).await.unwrap(), 1);
        assert_eq!(rig.waiting().await, [b"4".as_slice(), b"2\xff\n"]);
        assert_eq!(list.retry_oldest(1).await.unwrap(), 1);
        assert_eq!(list.retry_oldest(u64::MAX).await.unwrap(), 1);
        assert_eq!(rig.waiting().await, [b"4".as_slice(), b"2\xff\n", b"1", b"3"], "{side:?}");
        assert_eq!(list.clean(State::Waiting, 2).await.unwrap(), 2);
        assert_eq!(rig.waiting().await, ["1", "3"]);
        rig.push(&vec![b"x".as_slice(); 1200]).await;
        assert_eq!(list.clean(State::Waiting, u64::MAX).await.unwrap(), 1202);
        assert_eq!(list.clean(State::Active, 9).await.unwrap(), 0);
        assert_eq!(rig.counts().await, [0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn a_paused_list_gives_nothing_and_limits_hold_over_processes() {
    let mut rig = Rig::new().await;
    rig.queue.global_concurrency = Some(2);
    let (work, list) = (rig.work(), rig.list());
    rig.push(&[b"1", b"2", b"3", b"4"]).await;
    assert!(list.pause().await.unwrap() && !list.pause().await.unwrap() && list.is_paused().await.unwrap());
    assert!(taken(&work, "one:1", 9).await.is_empty());
    assert!(list.resume().await.unwrap() && !list.resume().await.unwrap());
    work.apply_limits(None).await.unwrap();
    let jobs = taken(&work, "one:2", 9).await;
    assert_eq!(jobs.len(), 2);
    assert!(taken(&rig.other("host-two").await, "two:1", 9).await.is_empty());
    let overview = list.overview().await.unwrap();
    assert_eq!((overview.concurrency, overview.counts.active, overview.mode), (Some(2), 2, "reliable"));
    rig.redis("DEL {l}:oxherd:marker").await;
    ended(&work, vec![finish(&jobs[0], "one:2", complete())]).await;
    assert_eq!(rig.redis("EXISTS {l}:oxherd:marker").await, "1", "others are told of the room");
    assert_eq!(taken(&rig.other("host-two").await, "two:2", 9).await.len(), 1);
    rig.queue.rate_limit = Some(config::RateLimit { max: 1, per: Duration::from_secs(60) });
    let work = rig.work();
    work.apply_limits(None).await.unwrap();
    ended(&work, vec![finish(&jobs[1], "one:2", complete())]).await;
    let Taken { jobs, limited, .. } = work.move_to_active(&take("one:3", 9)).await.unwrap();
    assert!(jobs.len() == 1 && limited.is_some(), "{limited:?}");
    let Taken { jobs, limited, .. } = work.move_to_active(&take("one:4", 9)).await.unwrap();
    assert!(jobs.is_empty() && limited.is_some());
}

#[tokio::test]
async fn who_holds_what_is_told_of_the_present_and_the_gone() {
    let rig = Rig::new().await;
    let (work, other) = (rig.work(), rig.other("host-two").await);
    rig.push(&[b"1", b"2", b"3", b"4"]).await;
    let first = taken(&work, "one:1", 2).await;
    taken(&work, "one:2", 1).await;
    taken(&other, "two:1", 1).await;
    ended(&work, vec![finish(&first[0], "one:1", complete())]).await;
    WorkQueue::move_stalled_jobs_to_wait(&[&work]).await.unwrap();
    let mut holders = rig.list().overview().await.unwrap().holders;
    holders.sort_by(|a, b| a.instance.cmp(&b.instance));
    let until = Some(UnixMillis(T0 + 30_000));
    let holder =
        |instance: &str, in_hand, present| Holder { instance: instance.into(), in_hand, lease_until: until, present };
    assert_eq!(holders, [holder("host-one", 2, true), holder("two", 1, false)]);
}

#[tokio::test]
async fn keys_of_another_type_are_named_and_nothing_is_lost_on_them() {
    let rig = Rig::new().await;
    let work = rig.work();
    rig.redis("SET l x").await;
    let error = work.check_queue().await.unwrap_err().to_string();
    assert!(error.contains("key l holds a string instead of a list"), "{error}");
    rig.redis("DEL l").await;
    rig.push(&[b"1", b"2"]).await;
    rig.redis("SET {l}:oxherd:takes x").await;
    let error = work.check_queue().await.unwrap_err().to_string();
    assert!(error.contains("{l}:oxherd:takes"), "{error}");
    assert!(work.move_to_active(&take("one:1", 2)).await.is_err());
    assert_eq!(rig.waiting().await, ["1", "2"]);
    rig.redis("DEL {l}:oxherd:takes").await;
    let jobs = taken(&work, "one:2", 2).await;
    rig.redis("SET {l}:oxherd:dead x").await;
    let recorded =
        ended(&work, vec![finish(&jobs[0], "one:2", fail("no")), finish(&jobs[1], "one:2", complete())]).await;
    assert!(matches!(&recorded[0], Recorded::Refused { code: crate::store::Code::Broken(_), .. }), "{recorded:?}");
    assert_eq!(
        (recorded[1].clone(), rig.redis("LRANGE {l}:oxherd:held:one:2 0 -1").await),
        (Recorded::Done, "1".to_owned())
    );
}

#[tokio::test]
async fn an_unanswered_take_is_found_by_its_token() {
    let rig = Rig::new().await;
    let work = rig.work();
    rig.push(&[b"1", b"1", b"2"]).await;
    assert!(work.adopt_jobs(&"one:1".into(), &[]).await.unwrap().is_empty());
    taken(&work, "one:1", 2).await;
    taken(&work, "one:2", 2).await;
    let found: Vec<_> = work.adopt_jobs(&"one:1".into(), &[]).await.unwrap().into_iter().map(Arc::new).collect();
    assert_eq!(ids(&found), ["1", "1"]);
    assert!(work.adopt_jobs(&"one:1".into(), &[found[0].id.clone()]).await.unwrap().is_empty());
    let both = found.iter().map(|job| finish(job, "one:1", complete())).collect();
    assert_eq!(ended(&work, both).await, [Recorded::Done, Recorded::Done]);
    assert_eq!(rig.counts().await, [0, 1, 0, 0]);
}

#[tokio::test]
async fn leases_are_renewed_and_outlast_a_full_memory() {
    let rig = Rig::new().await;
    let work = rig.work();
    rig.push(&[b"1", b"2", b"3"]).await;
    let jobs = taken(&work, "one:1", 2).await;
    let full = ["SET", "maxmemory", "1"].map(Value::from).to_vec();
    rig.store.command().call("CONFIG", full).await.unwrap();
    rig.store.freeze(UnixMillis(T0 + 20_000));
    let held: Vec<_> =
        jobs.iter().map(|job| crate::store::Held { id: job.id.clone(), token: "one:1".into(), started: 1 }).collect();
    assert!(work.extend_locks(&held).await.unwrap().ended.is_empty());
    assert_eq!(rig.redis("ZSCORE {l}:oxherd:takes one:1").await, (T0 + 50_000).to_string());
    // and work goes on, which is what frees memory
    assert_eq!(ended(&work, vec![finish(&jobs[0], "one:1", complete())]).await, [Recorded::Done]);
    assert_eq!(ids(&taken(&work, "one:2", 9).await), ["3"]);
    work.release_locks(&["one".into()]).await.unwrap();
    assert_eq!(rig.waiting().await, ["2", "3"]);
}
