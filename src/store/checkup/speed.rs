//! How fast the server answers, and whose clock is right.

use std::time::{Duration, Instant};

use super::super::Store;
use super::codes::{CLOCK_SKEW, REDIS_LATENCY, REDIS_ROUND_TRIP, REDIS_SCRIPT, REDIS_SLOWLOG};
use super::facts::{ask, in_time, words};
use super::finding::{Finding, Known};
use crate::job::QueueName;
use crate::store::connection::Value;
use crate::store::{reply, script};

/// Round trips that are measured.
const TRIES: usize = 50;
/// They may take this long together.
const BUDGET: Duration = Duration::from_millis(1500);
/// Median and slowest from which on it is worth a warning.
const FAR: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// A script of a dozen commands takes tens of microseconds.
const SLOW_SCRIPT: Duration = Duration::from_millis(50);
/// Entries of the slow log that are looked at.
const SLOW_ENTRIES: &str = "128";
/// A pause of the server worth a warning, in ms.
const PAUSE: i64 = 100;
/// Differences of the clocks, in ms, that are worth a warning and an error.
const SKEW: (u64, u64) = (500, 5000);

/// `queue` is one whose keys may be read.
pub async fn examine(store: &Store, queue: Option<&QueueName>) -> Vec<Finding> {
    vec![
        round_trip(store).await,
        run_script(store, queue).await,
        slow_log(store).await,
        latency(store).await,
        clock(store).await,
    ]
}

async fn round_trip(store: &Store) -> Finding {
    let begin = Instant::now();
    let mut times = Vec::with_capacity(TRIES);
    while times.len() < TRIES && (times.len() < 3 || begin.elapsed() < BUDGET) {
        let sent = Instant::now();
        if let Err(why) = in_time("PING", store.ping()).await {
            return REDIS_ROUND_TRIP.unknown(why);
        }
        times.push(sent.elapsed());
    }
    judge_round_trips(times)
}

fn judge_round_trips(mut times: Vec<Duration>) -> Finding {
    times.sort();
    let (median, most) = (times[times.len() / 2], times[(times.len() * 99).div_ceil(100) - 1]);
    let seen = format!("{:.2} ms in the middle, 99 of 100 within {:.2} ms", millis(median), millis(most));
    if median >= FAR.0 || most >= FAR.1 { REDIS_ROUND_TRIP.warning(seen) } else { REDIS_ROUND_TRIP.ok(seen) }
}

async fn run_script(store: &Store, queue: Option<&QueueName>) -> Finding {
    // reads a dozen keys and changes nothing
    let nobodys = QueueName::new("oxherd-doctor").expect("the name is legal");
    let queue = store.queue(queue.unwrap_or(&nobodys));
    let mut best: Known<Duration> = Err("no try was made".into());
    // the first one may have to send the text
    for _ in 0..3 {
        let sent = Instant::now();
        let answer = in_time("EVALSHA", queue.counts()).await;
        let took = sent.elapsed();
        best = answer.map(|_| best.map_or(took, |best| best.min(took)));
    }
    REDIS_SCRIPT.judge(best, |_, took| judge_script(took))
}

fn judge_script(took: Duration) -> Finding {
    let seen = format!("{:.2} ms with the round trip", millis(took));
    if took >= SLOW_SCRIPT { REDIS_SCRIPT.warning(seen) } else { REDIS_SCRIPT.ok(seen) }
}

async fn slow_log(store: &Store) -> Finding {
    let entries = ask(store, "SLOWLOG", &["GET", SLOW_ENTRIES]).await;
    let ours = entries.and_then(|entries| words(reply::array("SLOWLOG", entries))).map(|entries| {
        let mut ours: Vec<(&'static str, i64)> = entries.into_iter().filter_map(slow_script).collect();
        ours.sort_by_key(|(_, micros)| -micros);
        ours
    });
    REDIS_SLOWLOG.judge(ours, |code, ours| match ours.as_slice() {
        [] => code.ok("no script of oxherd is in it"),
        [(name, micros), ..] => code.warning(format_args!(
            "{} times a script of oxherd, at worst {name} with {} ms",
            ours.len(),
            micros / 1000
        )),
    })
}

/// The name of our script in an entry of the slow log, and how long it took, in µs.
fn slow_script(entry: Value) -> Option<(&'static str, i64)> {
    let parts = entry.into_array();
    let micros = parts.get(2)?.as_i64()?;
    let words: Vec<String> = parts.get(3)?.clone().into_array().iter().filter_map(Value::as_string).collect();
    let is_by_hash = words.first()?.eq_ignore_ascii_case("evalsha");
    Some((script::by_hash(words.get(1).filter(|_| is_by_hash)?)?, micros))
}

async fn latency(store: &Store) -> Finding {
    let events = ask(store, "LATENCY", &["LATEST"]).await;
    let worst = events.and_then(|events| words(reply::array("LATENCY", events))).map(|events| {
        let event = |event: Value| {
            let parts = event.into_array();
            Some((parts.first()?.as_string()?, parts.get(3)?.as_i64()?))
        };
        events.into_iter().filter_map(event).max_by_key(|(_, most)| *most)
    });
    REDIS_LATENCY.judge(worst, |code, worst| match worst {
        Some((event, most)) if most >= PAUSE => code.warning(format_args!("{event}: {most} ms at worst")),
        Some((event, most)) => code.ok(format_args!("{event}: {most} ms at worst")),
        None => code.ok("nothing is noted"),
    })
}

async fn clock(store: &Store) -> Finding {
    let skew = in_time("TIME", store.measure_clock()).await.map(|()| store.skew());
    CLOCK_SKEW.judge(skew, |_, skew| judge_skew(skew))
}

/// `skew` is how far this host is ahead, in ms.
fn judge_skew(skew: i64) -> Finding {
    let side = if skew < 0 { "behind" } else { "ahead of" };
    let seen = format!("this host is {} ms {side} the server", skew.unsigned_abs());
    match skew.unsigned_abs() {
        ms if ms > SKEW.1 => CLOCK_SKEW.error(seen),
        ms if ms > SKEW.0 => CLOCK_SKEW.warning(seen),
        _ => CLOCK_SKEW.ok(seen),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::checkup::Severity;

    #[test]
    fn f114_clocks_that_differ_are_told() {
        for (skew, severity) in [
            (0, Severity::Ok),
            (-500, Severity::Ok),
            (501, Severity::Warning),
            (-5000, Severity::Warning),
            (5001, Severity::Error),
            (-3_600_000, Severity::Error),
        ] {
            assert_eq!(judge_skew(skew).severity, severity, "{skew}");
        }
    }

    #[test]
    fn slow_answers_are_told() {
        let ms = Duration::from_millis;
        assert_eq!(judge_round_trips(vec![ms(1); 50]).severity, Severity::Ok);
        assert_eq!(judge_round_trips(vec![ms(25); 50]).severity, Severity::Warning);
        let mut times = vec![ms(1); 49];
        times.push(ms(300));
        assert_eq!(judge_round_trips(times).severity, Severity::Warning);
        assert_eq!((judge_script(ms(2)).severity, judge_script(ms(60)).severity), (Severity::Ok, Severity::Warning));
    }
}
