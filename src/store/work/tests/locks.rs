//! Holding locks, and taking back what others have let go.

use super::*;
use crate::store::upkeep::{Rescued, Work};

fn held(id: &str, token: &str, started: u32) -> Held {
    Held { id: JobId::stored(id), token: token.into(), started }
}

fn names(ids: &[JobId]) -> Vec<&str> {
    ids.iter().map(JobId::as_str).collect()
}

#[tokio::test]
async fn a_lapsed_lock_is_made_anew_only_while_nobody_else_took_the_job() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 5]).await;
    rig.take("a:1", 5).await;
    rig.redis("DEL bull:q:1:lock bull:q:2:lock bull:q:3:lock bull:q:4:lock").await;
    // 1 only lapsed; 2 went back to wait; 3 went back and was taken by somebody who has lost it too; 4 is gone
    rig.redis("LREM bull:q:active 1 2").await;
    rig.redis("RPUSH bull:q:wait 2").await;
    rig.redis("HINCRBY bull:q:3 ats 1").await;
    rig.redis("DEL bull:q:4").await;
    rig.redis("SADD bull:q:stalled 1 2 3 4 5").await;
    let all: Vec<Held> = (1..=5).map(|id| held(&id.to_string(), "a:1", 1)).collect();
    assert_eq!(names(&rig.work().extend_locks(&all).await.unwrap().lost), ["2", "3", "4"]);
    assert_eq!(rig.redis("GET bull:q:1:lock").await, ["a:1"]);
    let ttl: u64 = rig.redis("PTTL bull:q:1:lock").await[0].parse().unwrap();
    assert!((10_000..=15_000).contains(&ttl), "{ttl}");
    assert_eq!(rig.redis("EXISTS bull:q:2:lock bull:q:3:lock bull:q:4:lock").await, ["0"]);
    let mut stalled = rig.redis("SMEMBERS bull:q:stalled").await;
    stalled.sort();
    assert_eq!(stalled, ["2", "3", "4"], "a renewed job is not suspected any more");
}

#[tokio::test]
async fn a_lock_of_somebody_else_is_never_touched() {
    let rig = Rig::new().await;
    rig.add(&["{}"]).await;
    rig.take("b:1", 1).await;
    rig.redis("PEXPIRE bull:q:1:lock 3000").await;
    assert_eq!(names(&rig.work().extend_locks(&[held("1", "a:1", 1)]).await.unwrap().lost), ["1"]);
    assert!(!rig.work().relock(&held("1", "a:1", 1)).await.unwrap());
    assert_eq!(rig.redis("GET bull:q:1:lock").await, ["b:1"]);
    assert!(rig.redis("PTTL bull:q:1:lock").await[0].parse::<u64>().unwrap() <= 3000);
}

#[tokio::test]
async fn what_an_earlier_start_of_this_worker_held_goes_back_at_once() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 5]).await;
    rig.take("aa:1", 2).await;
    rig.take("b:1", 1).await;
    rig.take("aab:1", 1).await;
    rig.redis("SADD bull:q:stalled 1 2 3").await;
    let back = rig.work().release_locks(&["aa".to_owned(), "c".to_owned()]).await.unwrap();
    assert_eq!(names(&back), ["2", "1"]);
    assert_eq!(rig.redis("LRANGE bull:q:wait 0 -1").await, ["5", "2", "1"], "served in their first order");
    assert_eq!(rig.redis("LRANGE bull:q:active 0 -1").await, ["4", "3"]);
    assert_eq!(rig.redis("EXISTS bull:q:1:lock bull:q:2:lock").await, ["0"]);
    assert_eq!(rig.redis("SMEMBERS bull:q:stalled").await, ["3"]);
    assert_eq!(rig.redis("HMGET bull:q:1 stc atm ats").await, ["1", "", "1"], "a stall, and no attempt");
    assert!(rig.work().release_locks(&["aa".to_owned()]).await.unwrap().is_empty(), "nothing the second time");
    // the second time it is left behind it is given up
    rig.take("aa:9", 1).await;
    rig.work().release_locks(&["aa".to_owned()]).await.unwrap();
    let taken = rig.take("aa:10", 1).await;
    assert_eq!(taken.jobs[0].deferred_failure.as_deref(), Some("job stalled more than allowable limit"));
}

#[tokio::test]
async fn stalled_jobs_without_a_hash_are_dropped_and_iterations_are_never_given_up() {
    let rig = Rig::new().await;
    rig.add(&["{}"; 3]).await;
    rig.redis("HSET bull:q:2 rjk nightly stc 5").await;
    rig.redis("HSET bull:q:repeat:nightly ic 1").await;
    rig.take("a:1", 3).await;
    stalled_check(&rig).await;
    rig.redis("DEL bull:q:1:lock bull:q:2:lock bull:q:3:lock bull:q:3 bull:q:stalled-check").await;
    let rescued = stalled_check(&rig).await;
    let mut recovered = names(&rescued.recovered);
    recovered.sort_unstable();
    assert_eq!((recovered, names(&rescued.dropped)), (vec!["1", "2"], vec!["3"]));
    assert_eq!(rescued.work, Work::Free);
    assert_eq!(rig.redis("HMGET bull:q:2 stc defa").await, ["6", ""]);
    assert_eq!(rig.redis("EXISTS bull:q:3 bull:q:active").await, ["0"]);
}

#[tokio::test]
async fn a_check_within_the_interval_only_looks_for_work() {
    let rig = Rig::new().await;
    assert_eq!(stalled_check(&rig).await.work, Work::None);
    rig.add(&[r#"{"delay":50}"#]).await;
    assert_eq!(stalled_check(&rig).await.work, Work::None, "not due");
    rig.store.freeze(UnixMillis(T0 + 50));
    assert_eq!(stalled_check(&rig).await.work, Work::Free);
    rig.redis("DEL bull:q:delayed").await;
    rig.add(&[r#"{"priority":1}"#]).await;
    assert_eq!(stalled_check(&rig).await.work, Work::Free);
}

#[tokio::test]
async fn a_worker_with_ten_thousand_slots_keeps_its_locks() {
    let rig = Rig::new().await;
    let fill = "for id = 1, 10000 do redis.call('RPUSH', 'bull:q:active', id) redis.call('HSET', 'bull:q:' .. id, 'ats', 1) \
                if id % 2 == 0 then redis.call('SET', 'bull:q:' .. id .. ':lock', 'a:1', 'PX', 9000) end end";
    rig.store.command().call("EVAL", vec![fill.into(), "0".into()]).await.unwrap();
    let all: Vec<Held> =
        (1..=10_000).map(|id| held(&id.to_string(), if id == 10_000 { "b:1" } else { "a:1" }, 1)).collect();
    assert_eq!(names(&rig.work().extend_locks(&all).await.unwrap().lost), ["10000"]);
    assert_eq!(rig.redis("GET bull:q:9999:lock").await, ["a:1"]);
    assert!(rig.redis("PTTL bull:q:9998:lock").await[0].parse::<u64>().unwrap() > 9000);
}

async fn stalled_check(rig: &Rig) -> Rescued {
    WorkQueue::move_stalled_jobs_to_wait(&[&rig.work()]).await.unwrap().remove(0).unwrap()
}
