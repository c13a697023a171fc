//! Random operations on equal and different elements against a count of them: none gets lost, none becomes two.

use std::collections::BTreeMap;

use super::*;

type Bag = BTreeMap<Vec<u8>, usize>;

async fn everywhere(rig: &Rig) -> Bag {
    let mut bag = Bag::new();
    let mut count = |bytes: &[u8]| *bag.entry(bytes.to_vec()).or_default() += 1;
    for bytes in rig.waiting().await {
        count(&bytes);
    }
    for delayed in rig.list().delayed(0, 1000).await.unwrap() {
        count(&delayed.bytes);
    }
    for dead in rig.list().dead(0, 1000).await.unwrap() {
        count(&dead.bytes);
    }
    let keys = rig.redis("KEYS {l}:oxherd:*").await;
    for key in keys.split(' ').filter(|key| key.contains(":held:") || key.contains(":again:")) {
        let args = [key, "0", "-1"].map(Value::from).to_vec();
        for entry in bytes("LRANGE", rig.store.command().call("LRANGE", args).await.unwrap()).unwrap() {
            if key.contains(":again:") {
                count(&Note::split(&entry).1);
            } else {
                count(&entry);
            }
        }
    }
    bag
}

#[tokio::test]
async fn f146_whatever_happens_each_element_ends_once() {
    let seed = fastrand::u64(..);
    let mut dice = fastrand::Rng::with_seed(seed);
    let elements: [&[u8]; 5] = [b"same", b"same again", b"", b"\x00\xff\n", b"{\"a\":1}"];
    for round in 0..6 {
        let mut rig = Rig::new().await;
        rig.queue.max_stalled = 1000;
        let side = if round % 2 == 0 { Side::Right } else { Side::Left };
        rig.set(|list| (list.payload, list.take) = (Payload::Base64, side));
        let work = rig.work();
        let (mut expected, mut pushed, mut ends) = (Bag::new(), 0usize, 0);
        let mut hand: Vec<(String, Arc<Job>)> = Vec::new();
        let mut late: Vec<Finish> = Vec::new();
        let (mut process, mut number, mut now) = (0, 0, T0);
        for step in 0..150 {
            now += 1000;
            rig.store.freeze(UnixMillis(now));
            match dice.u8(..10) {
                0..=2 => {
                    let element = elements[dice.usize(..5)];
                    *expected.entry(element.to_vec()).or_default() += 1;
                    pushed += 1;
                    rig.push(&[element]).await;
                }
                3..=5 => {
                    number += 1;
                    let token = format!("{process}:{number}");
                    let jobs = taken(&work, &token, dice.u32(1..6)).await;
                    hand.extend(jobs.into_iter().map(|job| (token.clone(), job)));
                }
                6..=8 if !hand.is_empty() => {
                    let mut outcomes = Vec::new();
                    for _ in 0..dice.usize(1..=hand.len()) {
                        let (token, job) = hand.swap_remove(dice.usize(..hand.len()));
                        let change = match dice.u8(..5) {
                            0 => delay(dice.u64(..4000)),
                            1 => Change::HandBack,
                            2 => fail("no"),
                            _ => complete(),
                        };
                        outcomes.push(finish(&job, &token, change));
                    }
                    let recorded = ended(&work, outcomes.clone()).await;
                    assert!(
                        recorded.iter().all(|one| *one == Recorded::Done),
                        "seed {seed}, step {step}: {recorded:?}"
                    );
                    for outcome in &outcomes {
                        if matches!(outcome.change, Change::Complete { .. }) {
                            ends += 1;
                            let bytes = base64_of(outcome.element.as_ref().unwrap());
                            *expected.get_mut(&bytes).unwrap() -= 1;
                        }
                    }
                    // once more, as after an answer that got lost
                    late.extend(outcomes);
                    let again = ended(&work, late.clone()).await;
                    assert!(again.iter().all(gone), "seed {seed}, step {step}: {again:?}");
                }
                9 => {
                    // the process dies
                    rig.store.freeze(UnixMillis(now));
                    work.release_locks(&[process.to_string()]).await.unwrap();
                    process += 1;
                    hand.clear();
                }
                _ => {}
            }
            expected.retain(|_, count| *count > 0);
            assert_eq!(everywhere(&rig).await, expected, "seed {seed}, step {step}");
        }
        let left: usize = expected.values().sum();
        assert_eq!(pushed, ends + left, "seed {seed}");
    }
}

fn base64_of(job: &Job) -> Vec<u8> {
    use base64::Engine as _;
    let text: String = serde_json::from_str(job.data.get()).unwrap();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
