//! The endpoint jobs are sent to is away, busy or gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::scene::{SHORT, add_with, all_completed, field, finished, key, queue, wait_finished};
use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::receiver::Receiver;
use super::support::redis::Redis;

/// Attempts enough for every trial of a test.
const PATIENT: &str = r#"{"attempts":50,"backoff":{"type":"fixed","delay":10}}"#;

/// An endpoint that notes when it was called, and its handler for the queue `work`.
struct Endpoint {
    receiver: Receiver,
    calls: Arc<Mutex<Vec<Instant>>>,
}

impl Endpoint {
    /// The answer is made from the number of the call, from 1.
    fn start(answer: impl Fn(usize) -> (u16, &'static str) + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&calls);
        let receiver = Receiver::with_headers(move |_| {
            let call = {
                let mut calls = noted.lock().unwrap();
                calls.push(Instant::now());
                calls.len()
            };
            let (status, headers) = answer(call);
            (status, headers.to_owned(), "null".to_owned())
        });
        Self { receiver, calls }
    }

    /// The queue `work` with so many slots, and more lines of its handler.
    fn settings(&self, slots: usize, lines: &str) -> String {
        format!(
            "[queues.work]\nhandler = \"app\"\nconcurrency = {slots}\n[handlers.app.http]\nurl = \"{}\"\n{lines}",
            self.receiver.url
        )
    }

    fn calls(&self) -> Vec<Instant> {
        self.calls.lock().unwrap().clone()
    }
}

/// The sum of a number over the jobs 1 to `jobs`.
fn sum(redis: &Redis, jobs: usize, name: &str) -> usize {
    (1..=jobs).map(|id| field(redis, "work", &id.to_string(), name).parse().unwrap_or(0)).sum()
}

#[test]
fn f94_an_endpoint_that_is_away_is_tried_by_one_job_at_a_time_and_others_keep_their_pace() {
    let redis = Redis::start();
    let away = Arc::new(AtomicBool::new(true));
    let is_away = Arc::clone(&away);
    let endpoint = Endpoint::start(move |_| (if is_away.load(Ordering::SeqCst) { 502 } else { 200 }, ""));
    let breaker = "breaker = { failures = 5, cool_down = \"500ms\", max = \"500ms\" }\n";
    let ledger = Ledger::start();
    let settings = format!("{SHORT}{}{}{}", endpoint.settings(3, breaker), queue("other", 3), ledger.handler());
    let mut daemon = Daemon::start(&redis, &settings);
    add_with(&redis, "work", 1..=50, |_| "{}".into(), PATIENT);
    daemon.says("shut: no jobs are taken for it");
    // three were in flight: beside the fifth failure two more at most
    let before = endpoint.calls().len();
    assert!((5..=8).contains(&before), "{before} calls, the last perhaps a trial");
    let mut added = 0;
    while endpoint.calls().len() < before + 3 {
        add_with(&redis, "other", added + 1..=added + 10, |_| "{}".into(), "{}");
        added += 10;
        all_completed(&redis, "other", added);
    }
    let calls = endpoint.calls();
    for pair in calls[7..].windows(2) {
        let rest = pair[1] - pair[0];
        assert!(rest >= Duration::from_millis(400), "tried again after {rest:?}");
    }
    assert!(redis.number(&["LLEN", &key("work", "active")]) <= 1);
    // what was taken was sent, and nothing was taken beside
    eventually("every take was a call", || sum(&redis, 50, "ats") == endpoint.calls().len());
    assert!(sum(&redis, 50, "atm") <= endpoint.calls().len());
    assert!(redis.number(&["LLEN", &key("work", "wait")]) >= 50 - 8 - 3 - 1, "the others are left as they were");
    away.store(false, Ordering::SeqCst);
    all_completed(&redis, "work", 50);
    daemon.says("open: jobs are taken for it again");
    assert_eq!(sum(&redis, 50, "ats"), endpoint.calls().len());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f94_an_endpoint_nobody_listens_at_leaves_its_jobs_waiting() {
    let redis = Redis::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let settings = format!(
        "{SHORT}[queues.work]\nhandler = \"app\"\nconcurrency = 1\n[handlers.app.http]\nurl = \"http://{address}\"\nbreaker = {{ cool_down = \"1h\", max = \"1h\" }}\n"
    );
    let mut daemon = Daemon::start(&redis, &settings);
    add_with(&redis, "work", 1..=50, |_| "{}".into(), PATIENT);
    daemon.says(&format!("5 failures in a row, the last: could not connect to {address}: ECONNREFUSED"));
    assert_eq!((sum(&redis, 50, "ats"), finished(&redis, "work")), (5, 0));
    let show = || oxherd(&redis, &["queue", "show", "work"])["gates"].clone();
    eventually("queue show shows it", || show()[0]["state"] == "shut");
    let gate = &show()[0];
    assert_eq!(gate["handler"], "app");
    assert!(gate["why"].as_str().unwrap().starts_with("5 failures in a row") && gate["until"].is_u64(), "{gate}");
    // what one sees who looks at the daemon
    daemon.signal(nix::sys::signal::Signal::SIGUSR2);
    daemon.says("\"state\":\"shut\"");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f98_a_busy_endpoint_is_left_alone_by_all_jobs_for_as_long_as_it_asks() {
    let redis = Redis::start();
    let endpoint = Endpoint::start(|call| match call {
        1 => (429, "Retry-After: 1\r\n"),
        5 => (503, "Retry-After: 1\r\n"),
        _ => (200, ""),
    });
    let mut daemon = Daemon::start(&redis, &format!("{SHORT}{}", endpoint.settings(1, "")));
    add_with(&redis, "work", 1..=10, |_| "{}".into(), "{}");
    all_completed(&redis, "work", 10);
    let calls = endpoint.calls();
    assert_eq!(calls.len(), 12);
    for (at, busy) in [(1, true), (2, false), (5, true), (6, false)] {
        let rest = calls[at] - calls[at - 1];
        assert_eq!(rest >= Duration::from_millis(950), busy, "call {} came {rest:?} after the one before", at + 1);
    }
    assert_eq!((sum(&redis, 10, "atm"), sum(&redis, 10, "ats")), (10, 12), "no attempt was used");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f102_an_endpoint_that_is_gone_is_not_called_again_where_asked_to() {
    let redis = Redis::start();
    let endpoint = Endpoint::start(|_| (410, ""));
    let settings = format!("{SHORT}{}", endpoint.settings(1, "gone = \"stop\"\n"));
    let mut daemon = Daemon::start(&redis, &settings);
    add_with(&redis, "work", 1..=10, |_| "{}".into(), "{}");
    daemon.says("answers HTTP 410 Gone; change the url and reload, or restart");
    wait_finished(&redis, "work", 1);
    // what is asked to wait is answered: the daemon had its time to take more
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!((endpoint.calls().len(), finished(&redis, "work")), (1, 1));
    assert_eq!(redis.number(&["LLEN", &key("work", "wait")]), 9);
    daemon.again();
    wait_finished(&redis, "work", 2);
    assert_eq!(daemon.stop(), Some(0));
}
