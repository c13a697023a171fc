//! Ten thousand schedules.

use super::*;

/// Bounds for an unoptimized build on a machine that does other things; `--no-capture` prints what it took.
#[expect(clippy::print_stdout, reason = "what it measured is what it is for")]
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_schedules_start_and_fire_within_bounds() {
    let slow = if cfg!(debug_assertions) { 15 } else { 1 };
    for (kind, what) in [(every as fn(&str, u64) -> Schedule, "kept by oxherd"), (series, "bullmq series")] {
        let server = server().await;
        let schedules: Vec<Schedule> = (0..10_000)
            .map(|n| {
                let mut schedule = kind(&format!("schedule-{n}"), 1000);
                let pattern = format!("{} {} * * *", n % 60, n % 24);
                schedule.spec = SchedulerSpec {
                    pattern: Some(if n % 2 == 0 { "*/5 * * * *".into() } else { pattern }),
                    timezone: Some("Europe/Oslo".into()),
                    ..SchedulerSpec::default()
                };
                schedule
            })
            .collect();
        let begun = Instant::now();
        let mut one = Instance::start(&server, T0 - 1, &schedules).await;
        let first = begun.elapsed();
        drop(one);
        let begun = Instant::now();
        one = Instance::start(&server, T0 - 1, &schedules).await;
        let again = begun.elapsed();
        let begun = Instant::now();
        let ticked = one.at(T0).await;
        let fired = begun.elapsed();
        println!("{what}: first start {first:?}, restart {again:?}, {} at once {fired:?}", ticked.fired);
        assert!(ticked.fired >= 5000, "{ticked:?}");
        assert!(first < Duration::from_secs(2 * slow) && again < Duration::from_secs(2 * slow));
        assert!(fired < Duration::from_secs(slow));
    }
}
