//! The wire between the daemon and Redis is cut in the middle of a reply, goes silent, gets slow.

use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::proxy::{Act, Proxy};
use super::scene::{
    RECOVERY, SHORT, USUAL, add, all_completed, dice, field, finished, key, ms, one_queue, say, within,
};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

#[test]
fn f53_a_take_whose_reply_is_lost_is_adopted_within_a_second() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let mut daemon = Daemon::start_at(&proxy.url, &one_queue(SHORT, &ledger));
    daemon.says("\"working\"");
    for number in 1..=5 {
        proxy.once(Act::Cut, |exchange| exchange.is_take() && exchange.brings("task"));
        add(&redis, "work", number..=number, |_| ms(0));
        eventually("the reply is cut", || proxy.strikes() == number);
        let took = within(Duration::from_secs(1), "the job is adopted", || ledger.begun() == number);
        say(&format!("adopted after {took:?}"));
        all_completed(&redis, "work", number);
        assert_eq!(field(&redis, "work", &number.to_string(), "stc"), "", "a stall was counted");
    }
    assert!(ledger.repeated().is_empty());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f54_a_finish_whose_reply_is_lost_counts_once() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let mut daemon = Daemon::start_at(&proxy.url, &one_queue(SHORT, &ledger));
    for number in 1..=5 {
        proxy.once(Act::Cut, |exchange| exchange.has_outcome("c"));
        add(&redis, "work", number..=number, |_| ms(0));
        eventually("the reply is cut", || proxy.strikes() == number);
        all_completed(&redis, "work", number);
    }
    // each was said to be completed, so none is said to be lost
    assert_eq!(daemon.stop(), Some(0));
    assert!(daemon.log().contains("\"completed\":5"), "{}", daemon.log());
    assert!(!daemon.log().contains("lost"), "{}", daemon.log());
    assert!(ledger.repeated().is_empty());
}

#[test]
fn f54_a_finish_of_a_job_that_is_not_kept_counts_once() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let settings = one_queue(SHORT, &ledger).replace("keep_completed = true", "keep_completed = false");
    let mut daemon = Daemon::start_at(&proxy.url, &settings);
    proxy.once(Act::Cut, |exchange| exchange.has_outcome("c"));
    add(&redis, "work", 1..=1, |_| ms(0));
    eventually("the reply is cut", || proxy.strikes() == 1);
    assert_eq!(redis.number(&["EXISTS", &key("work", "1")]), 0);
    assert_eq!(daemon.stop(), Some(0));
    assert!(daemon.log().contains("\"completed\":1") && !daemon.log().contains("lost"), "{}", daemon.log());
    assert_eq!(ledger.begun(), 1);
}

#[test]
fn f53_f54_replies_lost_at_random_cost_and_repeat_nothing() {
    let mut dice = dice("f53 f54");
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let mut daemon = Daemon::start_at(&proxy.url, &one_queue(USUAL, &ledger));
    daemon.says("\"working\"");
    let mut next = dice.usize(1..15);
    proxy.rule(move |exchange| {
        if !exchange.is_take() && !exchange.is_finish() {
            return Act::Forward;
        }
        if next > 0 {
            next -= 1;
            return Act::Forward;
        }
        next = dice.usize(1..15);
        Act::Cut
    });
    add(&redis, "work", 1..=300, |_| ms(20));
    all_completed(&redis, "work", 300);
    let strikes = proxy.strikes();
    say(&format!("{strikes} replies were cut"));
    assert!(strikes >= 5, "only {strikes} replies were cut");
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    for id in ledger.times().keys() {
        assert_eq!(field(&redis, "work", id, "stc"), "", "stalls of job {id}");
    }
    proxy.rule(|_| Act::Forward);
    assert_eq!(daemon.stop(), Some(0));
    assert!(!daemon.log().contains("lost:"), "{}", daemon.log());
}

#[test]
fn f55_a_silent_link_under_a_waiting_call_is_replaced_within_10_s() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let mut daemon = Daemon::start_at(&proxy.url, &one_queue(USUAL, &ledger));
    add(&redis, "work", 1..=1, |_| ms(0));
    all_completed(&redis, "work", 1);
    let silent = proxy.silence_links();
    assert!(silent >= 3, "only {silent} links");
    add(&redis, "work", 2..=5, |_| ms(0));
    let took = within(Duration::from_secs(10), "the jobs are done", || finished(&redis, "work") == 5);
    say(&format!("{silent} links were silent; done after {took:?}"));
    all_completed(&redis, "work", 5);
    assert!(ledger.repeated().is_empty());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f56_silent_links_under_load_repeat_nothing() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let mut daemon = Daemon::start_at(&proxy.url, &one_queue(USUAL, &ledger));
    add(&redis, "work", 1..=200, |_| ms(100));
    ledger.wait_ended(30);
    // they end all at once, so that at some moments there are none
    eventually("jobs are at work", || !ledger.running().is_empty());
    let silent = proxy.silence_links();
    let strike = Instant::now();
    all_completed(&redis, "work", 200);
    say(&format!("{silent} links were silent with jobs at work; done after {:?}", strike.elapsed()));
    assert!(strike.elapsed() > Duration::from_secs(2), "the silence had no effect");
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f57_a_reply_that_trickles_in_is_waited_for_no_longer_than_one_that_does_not_come() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    let mut daemon = Daemon::start_at(&proxy.url, &one_queue(USUAL, &ledger));
    daemon.says("\"working\"");
    proxy.once(Act::Trickle, |exchange| exchange.is_take() && exchange.brings("task"));
    add(&redis, "work", 1..=1, |_| ms(0));
    let took = within(Duration::from_secs(15), "the job is done", || finished(&redis, "work") == 1);
    say(&format!("done after {took:?}"));
    assert_eq!(proxy.strikes(), 1);
    assert!(took > Duration::from_secs(2), "the trickle had no effect");
    all_completed(&redis, "work", 1);
    assert!(ledger.repeated().is_empty());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f49_slow_replies_cost_no_lock_and_slots_fill_up() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let proxy = Proxy::start(&redis);
    proxy.delay(Duration::from_millis(100));
    let mut daemon = Daemon::start_at(&proxy.url, &one_queue(SHORT, &ledger));
    let _other = Daemon::start(&redis, &one_queue(SHORT, &ledger).replace("concurrency = 10", "concurrency = 1"));
    add(&redis, "work", 1..=30, |_| ms(2000));
    eventually("all slots are in use", || ledger.running().len() == 11);
    all_completed(&redis, "work", 30);
    assert!(ledger.repeated().is_empty(), "run twice: {:?}", ledger.repeated());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f62_a_daemon_cut_off_stops_its_jobs_before_others_start_them() {
    let redis = Redis::start();
    let proxy = Proxy::start(&redis);
    let directory = tempfile::tempdir().unwrap();
    let notes = directory.path().join("notes");
    let script = "echo begin $OXHERD_JOB_ID $(date +%s%N) >> \"$NOTES\"; \
                  trap 'echo end $OXHERD_JOB_ID $(date +%s%N) >> \"$NOTES\"; exit 0' TERM; \
                  for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do sleep 0.1; done; \
                  echo end $OXHERD_JOB_ID $(date +%s%N) >> \"$NOTES\"";
    let settings = format!(
        "{SHORT}[queues.work]\nhandler = \"shell\"\nconcurrency = 3\n[handlers.shell.command]\n\
         argv = [\"sh\", \"-c\", '''{script}''']\nenv = {{ NOTES = \"{}\" }}\n",
        notes.display()
    );
    let lines = || std::fs::read_to_string(&notes).unwrap_or_default();
    let cut_off = Daemon::start_at(&proxy.url, &settings);
    cut_off.says("\"working\"");
    add(&redis, "work", 1..=3, |_| "{}".into());
    eventually("the jobs run", || lines().matches("begin").count() == 3);
    let mut other = Daemon::start(&redis, &settings);
    other.says("\"working\"");
    proxy.silence();
    within(RECOVERY + Duration::from_secs(1), "the other one runs them", || lines().matches("begin").count() == 6);
    all_completed(&redis, "work", 3);
    cut_off.says("lock could not be renewed in time");
    for id in ["1", "2", "3"] {
        let mut marks: Vec<(u64, String)> = lines()
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|words| words[1] == id)
            .map(|words| (words[2].parse().unwrap(), words[0].to_owned()))
            .collect();
        marks.sort();
        let order: Vec<&str> = marks.iter().map(|(_, mark)| mark.as_str()).collect();
        assert_eq!(order, ["begin", "end", "begin", "end"], "runs of job {id} overlap");
    }
    proxy.heal();
    add(&redis, "work", 4..=12, |_| "{}".into());
    all_completed(&redis, "work", 12);
    assert_eq!(other.stop(), Some(0));
}
