//! Recording outcomes.

use super::*;
use crate::store::Code;

fn count(count: u64) -> Keep {
    Keep::Some { count: Some(count), age: None, limit: None }
}

fn aged(seconds: u64, limit: u64) -> Keep {
    Keep::Some { count: None, age: Some(Duration::from_secs(seconds)), limit: Some(limit) }
}

#[tokio::test]
async fn outcomes_of_every_kind_go_in_one_call_each_in_its_way() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}", "{}", r#"{"priority":7}"#, "{}", "{}", "{}"]).await;
    rig.take("a:1", 7).await;
    let before = rig.events().await.len();
    let outcomes = [
        complete("1", "a:1", Keep::All),
        fail("2", "a:1", Keep::All),
        retry("3", "a:1"),
        retry("4", "a:1"),
        delay("5", "a:1", Duration::from_secs(1)),
        outcome("6", "a:1", Change::HandBack),
        complete("7", "a:1", Keep::Nothing),
    ];
    assert_eq!(rig.finish(&outcomes).await, vec![Recorded::Done; 7]);
    let events = [
        "completed 1",
        "failed 2",
        "retries-exhausted 2",
        "waiting 3",
        "waiting 4",
        "delayed 5",
        "waiting 6",
        "completed 7",
    ];
    assert_eq!(rig.events().await[before..], events);
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, ["3", "6"], "handed back is served before retried");
    assert_eq!(rig.redis("ZRANGE bull:q:prioritized 0 -1").await, ["4"]);
    assert_eq!(rig.redis("ZRANGE bull:q:delayed 0 -1").await, ["5"]);
    assert_eq!(rig.redis("ZRANGE bull:q:completed 0 -1").await, ["1"]);
    assert_eq!(rig.redis("ZRANGE bull:q:failed 0 -1").await, ["2"]);
    assert_eq!(rig.redis("EXISTS bull:q:7 bull:q:active").await, ["0"]);
    for id in 1..=7 {
        assert_eq!(rig.redis(&format!("EXISTS bull:q:{id}:lock")).await, ["0"], "lock of {id}");
    }
    for (id, made) in [("1", "1"), ("2", "1"), ("3", "1"), ("4", "1"), ("5", "1"), ("6", "")] {
        assert_eq!(rig.redis(&format!("HMGET bull:q:{id} atm")).await, [made], "attempts of {id}");
    }
    // nothing active, nothing waiting: only then is it drained
    assert_eq!(ids(&rig.take("a:2", 9).await), ["6", "3", "4"]);
}

#[tokio::test]
async fn a_call_may_record_and_take_and_says_drained_once() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 3]).await;
    rig.take("a:1", 2).await;
    let outcomes = [complete("1", "a:1", Keep::All), complete("2", "a:1", Keep::All)];
    let take = Take { token: "a:2".into(), want: 2 };
    let (_, taken) = rig.work().finish_jobs(outcomes.iter(), Some(&take)).await.unwrap();
    assert_eq!(ids(&taken), ["3"]);
    let last = [complete("3", "a:2", Keep::All)];
    rig.work().finish_jobs(last.iter(), Some(&Take { token: "a:3".into(), want: 2 })).await.unwrap();
    assert_eq!(rig.events().await[8..], ["completed 1", "completed 2", "active 3", "completed 3", "drained"]);
}

#[tokio::test]
async fn nothing_is_said_to_be_drained_by_a_take_from_a_paused_queue() {
    let rig = Rig::new().await;
    rig.add(&["{}"]).await;
    rig.take("a:1", 1).await;
    rig.redis("HSET bull:q:meta paused 1").await;
    let last = [complete("1", "a:1", Keep::All)];
    rig.work().finish_jobs(last.iter(), Some(&Take { token: "a:2".into(), want: 1 })).await.unwrap();
    assert_eq!(rig.events().await, ["added 1", "waiting 1", "active 1", "completed 1"]);
}

#[tokio::test]
async fn a_repeated_call_answers_where_the_jobs_are_now() {
    let rig = Rig::new().await;
    rig.add(&["{}", "{}", "{}", r#"{"priority":1}"#, "{}", "{}"]).await;
    rig.take("a:1", 6).await;
    let outcomes = [
        complete("1", "a:1", Keep::All),
        fail("2", "a:1", Keep::All),
        complete("3", "a:1", Keep::Nothing),
        retry("4", "a:1"),
        delay("5", "a:1", Duration::from_secs(9)),
        outcome("6", "a:1", Change::HandBack),
    ];
    rig.finish(&outcomes).await;
    let state = rig.events().await;
    let refused = |code: Code, place: &str| Recorded::Refused { code, place: place.to_owned() };
    let expected = [
        refused(Code::NoLock, "completed"),
        refused(Code::NoLock, "failed"),
        refused(Code::Missing, "unknown"),
        refused(Code::NoLock, "prioritized"),
        refused(Code::NoLock, "delayed"),
        refused(Code::NoLock, "waiting"),
    ];
    assert_eq!(rig.finish(&outcomes).await, expected);
    // and when somebody else works it already
    rig.take("b:1", 1).await;
    assert_eq!(rig.finish(&outcomes[5..]).await, [refused(Code::OtherLock, "active")]);
    assert_eq!(rig.events().await[state.len()..], ["active 6"], "a refusal changes nothing");
}

#[tokio::test]
async fn a_refusal_leaves_the_others_and_the_job_as_they_were() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 3]).await;
    rig.take("a:1", 3).await;
    rig.redis("SADD bull:q:1:dependencies bull:q:child").await;
    rig.redis("ZADD bull:q:2:unsuccessful 1 bull:q:child").await;
    let outcomes = [1, 2, 3].map(|id| complete(&id.to_string(), "a:1", Keep::All));
    let refused = |code| Recorded::Refused { code, place: "active".into() };
    let expected = [refused(Code::PendingChildren), refused(Code::FailedChildren), Recorded::Done];
    assert_eq!(rig.finish(&outcomes).await, expected);
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["2", "1"]);
    assert_eq!(rig.redis("MGET bull:q:1:lock bull:q:2:lock bull:q:3:lock").await, ["a:1", "a:1", ""]);
    // the same two can still be failed
    assert_eq!(
        rig.finish(&[fail("1", "a:1", Keep::All), fail("2", "a:1", Keep::All)]).await,
        [Recorded::Done, Recorded::Done]
    );
}

#[tokio::test]
async fn what_breaks_half_way_leaves_its_job_active_and_the_rest_done() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 2]).await;
    rig.take("a:1", 2).await;
    rig.redis("SET bull:q:1:logs text").await;
    let with_row = Finish { log: vec!["row".into()], ..complete("1", "a:1", Keep::All) };
    let recorded = rig.finish(&[with_row, complete("2", "a:1", Keep::All)]).await;
    let Recorded::Refused { code: Code::Broken(text), place } = &recorded[0] else { panic!("{recorded:?}") };
    assert!(text.contains("WRONGTYPE") && place == "active", "{recorded:?}");
    assert_eq!(recorded[1], Recorded::Done);
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["1"]);
    assert_eq!(rig.redis("GET bull:q:1:lock").await, ["a:1"]);
    assert_eq!(rig.finish(&[complete("1", "a:1", Keep::All)]).await, [Recorded::Done]);
}

#[tokio::test]
async fn log_rows_go_before_the_outcome_and_are_cut_to_the_jobs_own_number() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 2]).await;
    rig.take("a:1", 2).await;
    rig.redis("RPUSH bull:q:1:logs old").await;
    let rows = || ["one", "two", "three"].map(str::to_owned).to_vec();
    let cut = Finish { log: rows(), keep_logs: Some(2), ..complete("1", "a:1", Keep::All) };
    let all = Finish { log: rows(), ..retry("2", "a:1") };
    rig.finish(&[cut, all]).await;
    assert_eq!(rig.redis("LRANGE bull:q:1:logs 0 -1").await, ["two", "three"]);
    assert_eq!(rig.redis("LRANGE bull:q:2:logs 0 -1").await, ["one", "two", "three"]);
}

/// How many jobs there are, in whatever list, or in none.
async fn job_hashes(rig: &Rig) -> usize {
    let keys = rig.redis("KEYS bull:q:*").await;
    let is_job = |key: &&String| key[7..].starts_with(|c: char| c.is_ascii_digit()) || key.contains(":old-");
    keys.iter().filter(is_job).count()
}

/// What is left of the same finished jobs when they are recorded one by one, and in one call.
async fn both_ways(old: &[(u32, i64)], keeps: &[Keep]) -> [Vec<String>; 2] {
    let mut left = [Vec::new(), Vec::new()];
    for (way, left) in left.iter_mut().enumerate() {
        let rig = Rig::new().await;
        for (id, age) in old {
            rig.redis(&format!("ZADD bull:q:completed {} old-{id}", T0 - age)).await;
            rig.redis(&format!("HSET bull:q:old-{id} name old")).await;
        }
        rig.add(&vec!["{}"; keeps.len()]).await;
        rig.take("a:1", u32::try_from(keeps.len()).unwrap()).await;
        let outcomes: Vec<Finish> =
            keeps.iter().enumerate().map(|(n, keep)| complete(&(n + 1).to_string(), "a:1", *keep)).collect();
        if way == 0 {
            for outcome in outcomes {
                rig.finish(&[outcome]).await;
            }
        } else {
            rig.finish(&outcomes).await;
        }
        *left = rig.redis("ZRANGE bull:q:completed 0 -1").await;
        for id in left.iter() {
            assert_eq!(rig.redis(&format!("EXISTS bull:q:{id}")).await, ["1"], "{id} is listed and gone");
        }
        assert_eq!(job_hashes(&rig).await, left.len(), "job hashes that are in no list");
    }
    left
}

#[tokio::test]
async fn retention_in_a_batch_leaves_exactly_what_one_by_one_leaves() {
    let old: Vec<(u32, i64)> = (1..=9).map(|n| (n, 10_000 + i64::from(n) * 1000)).collect();
    let cases: &[&[Keep]] = &[
        &[count(3); 5],
        &[Keep::Nothing, count(2), Keep::Nothing, count(2)],
        // the later, wider policy lets one more in than the narrow one before it left
        &[count(10), count(1), count(10), count(10)],
        &[count(10), Keep::All, count(2), Keep::All],
        // each finish may remove two of the aged ones
        &[aged(1, 2); 3],
        &[aged(1, 2), aged(15, 1), aged(1, 2)],
        &[aged(1, 100); 2],
    ];
    for keeps in cases {
        let [one_by_one, batch] = both_ways(&old, keeps).await;
        assert_eq!(one_by_one, batch, "{keeps:?}");
    }
}

#[tokio::test]
async fn room_under_the_global_concurrency_is_announced_when_it_is_not_used() {
    let rig = Rig::new().await;
    rig.redis("HSET bull:q:meta concurrency 1").await;
    rig.add(&["{}"; 2]).await;
    rig.take("a:1", 1).await;
    rig.redis("DEL bull:q:marker").await;
    rig.finish(&[complete("1", "a:1", Keep::All)]).await;
    assert_eq!(rig.redis("ZRANGE bull:q:marker 0 -1").await, ["0"]);
}

#[tokio::test]
async fn an_attempt_that_is_delayed_keeps_the_alarm_of_the_earliest() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 3]).await;
    rig.take("a:1", 3).await;
    let outcomes = [
        delay("1", "a:1", Duration::from_millis(300)),
        delay("2", "a:1", Duration::from_millis(100)),
        outcome("3", "a:1", Change::Delay { wait: Duration::from_millis(200), charged: None }),
    ];
    rig.finish(&outcomes).await;
    assert_eq!(rig.redis("ZRANGE bull:q:delayed 0 -1").await, ["2", "3", "1"]);
    assert_eq!(rig.redis("ZSCORE bull:q:marker 1").await, [(T0 + 100).to_string()]);
    assert_eq!(rig.redis("HMGET bull:q:3 atm delay failedReason").await, ["", "200", ""]);
    assert_eq!(rig.redis("HMGET bull:q:1 atm delay failedReason").await, ["1", "300", "no"]);
}

#[tokio::test]
async fn a_job_put_off_counts_neither_attempt_nor_start() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 2]).await;
    rig.take("a:1", 2).await;
    let wait = Duration::from_millis(200);
    let outcomes =
        [outcome("1", "a:1", Change::PutOff { wait }), outcome("2", "a:1", Change::Delay { wait, charged: None })];
    rig.finish(&outcomes).await;
    assert_eq!(rig.redis("ZRANGE bull:q:delayed 0 -1").await, ["1", "2"]);
    assert_eq!(rig.redis("HMGET bull:q:1 atm ats delay").await, ["", "0", "200"]);
    assert_eq!(rig.redis("HMGET bull:q:2 atm ats delay").await, ["", "1", "200"]);
    assert_eq!(rig.redis("EXISTS bull:q:1:lock").await, ["0"]);
}
