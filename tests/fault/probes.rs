//! Faults around those who ask over HTTP how the daemon is: it starts without Redis, it stops, its files are broken, who asks
//! has no token, or does not let others ask.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::ledger::Ledger;
use super::scene::{SHORT, add, ms, one_queue};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;
use super::support::viewer::{Answer, ask, free_port};

const TOKEN: &str = "the-token-of-the-admin";
const QUEUE: &str = "[queues.email]\nhandler = \"log\"\n[handlers.log.log]\n";

fn admin(port: u16) -> String {
    format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n")
}

/// Status and body.
fn get(port: u16, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let Answer { status, mut body, .. } = ask(port, "GET", path, headers);
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    (status, text)
}

/// Status and the codes of what is amiss.
fn health(port: u16, path: &str) -> (u16, Vec<String>) {
    let (status, text) = get(port, path, &[]);
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let findings = body["findings"].as_array().unwrap();
    (status, findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn f51_without_redis_probes_are_answered_and_once_it_is_there_it_is_ready() {
    let mut redis = Redis::start();
    redis.stop();
    let port = free_port();
    let daemon = Daemon::start(&redis, &format!("{QUEUE}{}", admin(port)));
    let (status, codes) = health(port, "/ready");
    assert_eq!((status, codes), (503, vec!["starting".to_owned(), "redis_away".to_owned()]));
    assert_eq!(get(port, "/live", &[]).0, 200);
    let (status, page) = get(port, "/metrics", &[]);
    assert!(status == 200 && page.contains("\noxherd_redis_up 0\n") && page.contains("\noxherd_ready 0\n"), "{page}");
    redis.again();
    eventually("ready", || get(port, "/ready", &[]).0 == 200);
    eventually("its queues are seen", || {
        get(port, "/metrics", &[]).1.contains("oxherd_queue_jobs{queue=\"email\",state=\"waiting\"} 0")
    });
    redis.stop();
    eventually("away", || health(port, "/ready") == (503, vec!["redis_away".to_owned()]));
    assert_eq!(get(port, "/live", &[]).0, 200);
    let (status, page) = get(port, "/metrics", &[]);
    assert!(status == 200 && page.contains("\noxherd_redis_up 0\n"), "a scrape never fails");
    assert!(!page.contains("oxherd_queue_jobs{"), "what is not known is left out");
    drop(daemon);
}

#[test]
fn f09_while_it_drains_it_is_live_and_not_ready_and_says_so() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let port = free_port();
    let mut daemon = Daemon::start(&redis, &format!("{}{}", one_queue(SHORT, &ledger), admin(port)));
    add(&redis, "work", 1..=3, |_| ms(4000));
    ledger.wait_begun(3);
    eventually("ready", || get(port, "/ready", &[]).0 == 200);
    let head = ask(port, "HEAD", "/ready", &[]);
    assert_eq!(head.status, 200);
    daemon.signal(Signal::SIGTERM);
    eventually("not ready", || health(port, "/ready") == (503, vec!["draining".to_owned()]));
    assert_eq!(get(port, "/live", &[]).0, 200);
    let page = get(port, "/metrics", &[]).1;
    assert!(page.contains("oxherd_slots_busy{queue=\"work\"} 3"), "they run on: {page}");
    assert_eq!(daemon.exit_code(), Some(0));
    assert_eq!(ledger.begun(), 3);
}

#[test]
fn f133_without_the_token_everything_but_liveness_is_refused_slowly_and_counted() {
    let redis = Redis::start();
    let port = free_port();
    let toml = format!("{QUEUE}{}token = \"{TOKEN}\"\n", admin(port));
    let _daemon = Daemon::start(&redis, &toml);
    eventually("live", || get(port, "/live", &[]) == (200, "{\"live\":true}\n".to_owned()));
    let wrong = [("authorization", "Bearer the-token-of-the-admim")];
    let mut refused = 0;
    for path in ["/ready", "/metrics", "/v1/events", "/", "/v1/queues", "/../live", "/live/"] {
        for headers in [&[][..], &wrong] {
            let asked = Instant::now();
            assert_eq!(get(port, path, headers).0, 401, "{path}");
            assert!(asked.elapsed() >= Duration::from_millis(300), "{path}: {:?}", asked.elapsed());
            refused += 1;
        }
    }
    let right = [("authorization", format!("Bearer {TOKEN}"))];
    let right = right.each_ref().map(|(name, value)| (*name, value.as_str()));
    eventually("ready", || get(port, "/ready", &right).0 == 200);
    assert!(get(port, "/live", &right).1.contains("\"phase\":\"running\""));
    assert_eq!(get(port, "/", &right).0, 404);
    let page = get(port, "/metrics", &right).1;
    assert!(page.contains(&format!("\noxherd_admin_unauthorized_total {refused}\n")), "{page}");
    assert!(!page.contains(TOKEN));
}

#[test]
fn f135_f138_odd_requests_are_refused_and_harm_nobody() {
    let redis = Redis::start();
    let port = free_port();
    let _daemon = Daemon::start(&redis, &format!("{QUEUE}{}", admin(port)));
    eventually("live", || get(port, "/live", &[]).0 == 200);
    for path in ["/../../etc/passwd", "/%2e%2e/etc/passwd", "/..%2fetc", "/%00", "/%2500", "//live", "/live%0d%0aX:1"] {
        assert_eq!(get(port, path, &[]).0, 404, "{path}");
    }
    assert_eq!(ask(port, "POST", "/ready", &[]).status, 405);
    let long = "x".repeat(600_000);
    let raw = |request: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // it may be refused before all of it is sent
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    for request in [
        "GET /live\r\n\r\n".to_owned(),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        format!("GET /live HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"),
        format!("GET /live HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "a: b\r\n".repeat(500)),
    ] {
        let answer = raw(&request);
        let first: String = request.chars().take(30).collect();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{first}: {answer}");
    }
    assert_eq!(get(port, "/live", &[]).0, 200);
}

#[test]
fn f139_a_crowd_of_slow_clients_does_not_keep_liveness_from_answering() {
    let redis = Redis::start();
    let port = free_port();
    let toml = format!("{QUEUE}{}[admin.events]\nmax_viewers = 1\n", admin(port));
    let _daemon = Daemon::start(&redis, &toml);
    eventually("live", || get(port, "/live", &[]).0 == 200);
    // some say nothing, some half a line
    let crowd: Vec<TcpStream> = (0..400)
        .map(|n| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            if n % 2 == 0 {
                stream.write_all(b"GET /rea").unwrap();
            }
            stream
        })
        .collect();
    let asked = Instant::now();
    let mut others = 0;
    for _ in 0..5 {
        assert_eq!(get(port, "/live", &[]).0, 200);
        others += u32::from(get(port, "/metrics", &[]).0 == 503);
    }
    assert!(others > 0, "there was room for all of them");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    // none of them keeps its place for long
    eventually("there is room again", || get(port, "/metrics", &[]).0 == 200);
    drop(crowd);
}

#[test]
fn a_refused_reload_is_said_until_one_is_taken_over() {
    let redis = Redis::start();
    let port = free_port();
    let toml = format!("{QUEUE}{}", admin(port));
    let daemon = Daemon::start(&redis, &toml);
    eventually("ready", || get(port, "/ready", &[]).0 == 200);
    std::fs::write(daemon.directory().join("oxherd.toml"), "[queues.x]\nconcurrency = 0\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    eventually("refused", || health(port, "/ready") == (200, vec!["reload_refused".to_owned()]));
    assert!(get(port, "/metrics", &[]).1.contains("\noxherd_config_last_reload_successful 0\n"));
    daemon.reload(&redis, &toml);
    eventually("taken over", || health(port, "/ready") == (200, Vec::new()));
    assert!(get(port, "/metrics", &[]).1.contains("\noxherd_config_last_reload_successful 1\n"));
}
