//! What the test binaries share: a Redis of one's own, programs that speak in JSON lines, the daemon,
//! and an endpoint for its jobs. Everything ends with its handle.

#![allow(dead_code, reason = "no test binary uses all of it")]

pub mod collector;
pub mod daemon;
pub mod program;
pub mod receiver;
pub mod redis;
pub mod viewer;

use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Nothing is slept away: tests go on when it happens.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until it is so; fails after [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
