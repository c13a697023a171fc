//! Instances that are killed and restarted at random.

use super::*;

/// Five instances share 200 schedules, each for every second. Any of them may die at any moment, also half-way through a
/// round or through its start; another one takes its place a while later. `OXHERD_SOAK=1` has it go on for ten minutes of its
/// clock.
#[tokio::test(flavor = "multi_thread")]
async fn f111_f08_instances_that_die_at_any_moment_miss_and_double_nothing() {
    let seconds: i64 = std::env::var("OXHERD_SOAK").map_or(25, |_| 600);
    let seed = fastrand::u64(..);
    let mut dice = fastrand::Rng::with_seed(seed);
    let server = server().await;
    let schedules: Vec<Schedule> = (0..200)
        .map(|n| if n % 2 == 0 { allowed(&format!("s{n}"), 1000) } else { series(&format!("s{n}"), 1000) })
        .collect();
    let mut instances: Vec<Option<Instance>> = Vec::new();
    for _ in 0..5 {
        instances.push(Some(Instance::start(&server, T0 - 1, &schedules).await));
    }
    let mut kills = 0;
    for step in 0..seconds * 4 {
        let now = T0 + step * 250;
        let mut rounds = Vec::new();
        for instance in &mut instances {
            let is_there = instance.is_some();
            // one in six dies in this step, at a moment of its own
            let dies = dice.u32(..6) == 0;
            let after = Duration::from_micros(dice.u64(..6000));
            let comes_back = is_there || dice.u32(..3) == 0;
            kills += u32::from(dies && is_there);
            let (server, schedules) = (&server, &schedules);
            rounds.push(async move {
                let round = async {
                    if instance.is_none() && comes_back {
                        *instance = Some(Instance::start(server, now, schedules).await);
                    }
                    if let Some(instance) = instance {
                        instance.at(now).await;
                    }
                };
                if !dies {
                    return round.await;
                }
                let _ = tokio::time::timeout(after, round).await;
                *instance = None;
            });
        }
        futures_util::future::join_all(rounds).await;
    }
    assert!(kills > seconds.try_into().unwrap(), "only {kills} kills");
    // whoever is left makes up for the end
    let mut last = Instance::start(&server, T0 + seconds * 1000, &schedules).await;
    last.at(T0 + seconds * 1000).await;
    let mut counts: HashMap<(String, i64), u32> = HashMap::new();
    for added in last.added().await {
        *counts.entry(added).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for schedule in &schedules {
        for second in 0..=seconds {
            let key = (schedule.name.clone(), second * 1000);
            match counts.remove(&key) {
                Some(1) => {}
                other => wrong.push((key, other)),
            }
        }
    }
    // a series is one ahead
    counts.retain(|(_, slot), count| *slot != (seconds + 1) * 1000 || *count != 1);
    assert!(wrong.is_empty() && counts.is_empty(), "seed {seed}: missed or doubled {wrong:?}, not expected {counts:?}");
}
