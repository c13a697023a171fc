//! Ten thousand schedules.

use super::*;

/// Bounds of an unoptimized build are for a machine that does other things; `--no-capture` prints what it took.
#[expect(clippy::print_stdout, reason = "what it measured is what it is for")]
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_schedules_start_and_fire_within_bounds() {
    let slow = if cfg!(debug_assertions) { 15 } else { 1 };
    let server = server().await;
    let schedules: Vec<Schedule> = (0..10_000)
        .map(|n| {
            let name = format!("schedule-{n}");
            let mut schedule = if n % 4 == 0 { series(&name, 1000) } else { every(&name, 1000) };
            schedule.spec = SchedulerSpec {
                pattern: Some(format!("*/5 {} * * *", if n % 2 == 0 { "*" } else { "22-23" })),
                timezone: Some(["Europe/Oslo", "UTC"][n / 2 % 2].into()),
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
    println!("first start {first:?}, restart {again:?}, {} fired in {fired:?}", ticked.fired);
    assert_eq!(ticked.fired, 10_000, "{ticked:?}");
    assert!(first < Duration::from_secs(2 * slow) && again < Duration::from_secs(2 * slow), "{first:?}, {again:?}");
    assert!(fired < Duration::from_secs(slow), "{fired:?}");
}
