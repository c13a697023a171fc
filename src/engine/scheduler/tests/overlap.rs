//! Times that come while the job before has not ended.

use super::*;

#[tokio::test]
async fn f124_skip_adds_no_job_while_the_one_before_has_not_ended() {
    let server = server().await;
    let mut one = Instance::start(&server, T0 - 1, &[every("s", 60_000)]).await;
    one.at(T0).await;
    // it waits
    one.at(T0 + 60_000).await;
    let job = one.take().await.unwrap();
    // it runs
    one.at(T0 + 120_000).await;
    assert_eq!(one.slots().await, [0]);
    one.end(&job).await;
    one.at(T0 + 180_000).await;
    assert_eq!(one.slots().await, [0, 180_000]);
    // one that is gone has ended as well
    redis(&one.store, &format!("DEL bull:q:repeat:s:{}", T0 + 180_000)).await;
    one.at(T0 + 240_000).await;
    assert_eq!(one.slots().await, [0, 180_000, 240_000]);
}

#[tokio::test]
async fn f124_queue_has_one_job_wait_for_the_one_that_runs() {
    let server = server().await;
    let schedule = Schedule { overlap: Overlap::Queue, ..every("s", 60_000) };
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(Instance::start(&server, T0 - 1, std::slice::from_ref(&schedule)).await);
    }
    let all = async |instances: &mut Vec<Instance>, now: i64| {
        futures_util::future::join_all(instances.iter_mut().map(|instance| instance.at(now))).await;
    };
    all(&mut instances, T0).await;
    // it waits itself: none comes after it
    all(&mut instances, T0 + 60_000).await;
    let job = instances[0].take().await.unwrap();
    // it runs: one is to come, and no other
    all(&mut instances, T0 + 120_000).await;
    all(&mut instances, T0 + 180_000).await;
    assert_eq!(instances[0].slots().await, [0]);
    let own = instances[0].queue().scheduler("s").await.unwrap().unwrap().own.unwrap();
    assert_eq!(own.put_off, Some(UnixMillis(T0 + 120_000)));
    // an instance that starts then knows of it
    instances.push(Instance::start(&server, T0 + 190_000, &[schedule]).await);
    instances[0].end(&job).await;
    all(&mut instances, T0 + 191_000).await;
    assert_eq!(instances[0].slots().await, [0, 120_000]);
    all(&mut instances, T0 + 200_000).await;
    assert_eq!(instances[0].slots().await, [0, 120_000]);
    let job = instances[0].take().await.unwrap();
    instances[0].end(&job).await;
    all(&mut instances, T0 + 240_000).await;
    assert_eq!(instances[0].slots().await, [0, 120_000, 240_000]);
}

#[tokio::test]
async fn f124_allow_adds_every_job() {
    let server = server().await;
    let mut one = Instance::start(&server, T0 - 1, &[allowed("s", 60_000)]).await;
    for minute in 0..4 {
        one.at(T0 + minute * 60_000).await;
    }
    assert_eq!(one.slots().await, [0, 60_000, 120_000, 180_000]);
}

#[tokio::test]
async fn f124_queue_with_all_has_each_time_wait_for_its_turn() {
    let server = server().await;
    let schedule = Schedule { overlap: Overlap::Queue, catch_up: CatchUp::All, ..every("s", 60_000) };
    Instance::start(&server, T0 - 1, std::slice::from_ref(&schedule)).await;
    // three times were missed
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(Instance::start(&server, T0 + 130_000, std::slice::from_ref(&schedule)).await);
    }
    for done in 1..=4 {
        for again in 0..3 {
            let now = T0 + 130_000 + done * 20_000 + again * 600;
            futures_util::future::join_all(instances.iter_mut().map(|instance| instance.at(now))).await;
        }
        let expected: Vec<_> = (0..done).map(|n| n * 60_000).collect();
        assert_eq!(instances[0].slots().await, expected);
        let job = instances[0].take().await.unwrap();
        instances[1].at(T0 + 130_000 + done * 20_000 + 5000).await;
        assert_eq!(instances[0].slots().await, expected);
        instances[0].end(&job).await;
    }
    assert_eq!(instances[0].at(T0 + 220_000).await, Ticked::default());
}
