//! A collector of traces that is away, refuses, or does not answer: jobs go on as if there were none.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::support::collector::Collector;
use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::redis::Redis;

fn traced_to(address: impl std::fmt::Display) -> String {
    format!("[traces]\nendpoint = \"http://{address}\"\n[queues.email]\nhandler = \"log\"\n[handlers.log.log]\n")
}

fn work(redis: &Redis, jobs: usize, before: usize) {
    for _ in 0..jobs {
        oxherd(redis, &["job", "add", "email", "welcome", "{}"]);
    }
    let done = u64::try_from(before + jobs).unwrap();
    eventually("the jobs are done", || redis.number(&["ZCARD", "bull:email:completed"]) == done);
}

#[test]
fn a_collector_that_is_away_is_said_once_and_gets_what_was_kept_when_it_is_back() {
    let redis = Redis::start();
    // a port where nobody listens, until somebody does
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut daemon = Daemon::start(&redis, &traced_to(address));
    work(&redis, 3, 0);
    daemon.says("spans cannot be sent; jobs go on");
    work(&redis, 3, 3);
    let collector = Collector::on(TcpListener::bind(address).unwrap());
    daemon.says("spans are sent again");
    assert_eq!(collector.collected(6).len(), 6);
    work(&redis, 1, 6);
    collector.collected(7);
    collector.answers(400);
    work(&redis, 1, 7);
    daemon.says("spans are refused and dropped; jobs go on");
    assert_eq!(daemon.stop(), Some(0));
    let log = daemon.log();
    assert_eq!(log.matches("spans cannot be sent").count(), 1, "{log}");
    assert!(log.contains("\"lost\":0") && log.contains("spans were not sent"), "{log}");
}

#[test]
fn a_collector_that_does_not_answer_holds_up_neither_jobs_nor_the_end() {
    let redis = Redis::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let (heard, was_heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // takes what comes and never says a word
        for mut stream in silent.incoming().map_while(Result::ok) {
            let heard = heard.clone();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {
                    let _ = heard.send(());
                }
            });
        }
    });
    let mut daemon = Daemon::start(&redis, &traced_to(address));
    work(&redis, 2, 0);
    was_heard.recv().unwrap();
    work(&redis, 2, 2);
    let begun = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let log = daemon.log();
    assert!(log.contains("spans were not sent") && log.contains("\"spans\":4"), "{log}");
}
