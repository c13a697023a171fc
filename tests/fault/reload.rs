//! Another configuration under running jobs, by the real binary: what it takes over, and what it must not disturb.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::scene::{USUAL, add, all_completed, field, key, wait_finished};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

/// A program that answers with its version once the file `go` is there.
fn handler(name: &str, version: &str) -> String {
    format!(
        "[handlers.{name}.command]\ndirectory = \".\"\nargv = [\"sh\", \"-c\", '''until [ -e go ]; do sleep 0.05; done
        echo '{{\"outcome\":\"complete\",\"result\":\"{version}\"}}' >&3''']\n"
    )
}

fn queue(name: &str, more: &str) -> String {
    format!("[queues.{name}]\nhandler = \"gated\"\n{more}\n")
}

fn go(daemon: &Daemon) {
    fs::write(daemon.directory().join("go"), "").unwrap();
}

fn result(redis: &Redis, queue: &str, id: &str) -> String {
    field(redis, queue, id, "returnvalue")
}

/// How often the log says so.
fn said(daemon: &Daemon, text: &str) -> usize {
    daemon.log().matches(text).count()
}

fn no_data(_: usize) -> String {
    "{}".to_owned()
}

#[test]
fn running_jobs_end_as_they_began_whatever_a_reload_does_to_their_queue() {
    let redis = Redis::start();
    let list = "list = { key = \"l\", payload = \"id\" }";
    let before = [
        USUAL.to_owned(),
        queue("same", ""),
        queue("gone", ""),
        queue("fewer", "concurrency = 3"),
        queue("stays", "").replace("gated", "other"),
        queue("moved", list),
        handler("gated", "old"),
        handler("other", "old"),
    ];
    let mut daemon = Daemon::start(&redis, &before.concat());
    for name in ["same", "gone", "stays"] {
        add(&redis, name, 1..=1, no_data);
    }
    add(&redis, "fewer", 1..=3, no_data);
    redis.call(&["LPUSH", "l", "1"]);
    let active = |name: &str| redis.number(&["LLEN", &key(name, "active")]);
    eventually("all run", || {
        active("same") + active("gone") + active("stays") + active("fewer") == 6 && redis.number(&["LLEN", "l"]) == 0
    });
    let after = [
        USUAL.to_owned(),
        queue("same", ""),
        queue("fewer", "concurrency = 1"),
        queue("stays", "").replace("gated", "other"),
        queue("moved", ""),
        queue("new", ""),
        handler("gated", "new"),
        handler("other", "old"),
    ];
    daemon.reload(&redis, &after.concat());
    for name in ["same", "stays"] {
        add(&redis, name, 2..=2, no_data);
    }
    add(&redis, "fewer", 4..=6, no_data);
    add(&redis, "moved", 1..=1, no_data);
    add(&redis, "new", 1..=1, no_data);
    go(&daemon);
    all_completed(&redis, "same", 2);
    all_completed(&redis, "stays", 2);
    all_completed(&redis, "fewer", 6);
    all_completed(&redis, "moved", 1);
    all_completed(&redis, "new", 1);
    all_completed(&redis, "gone", 1);
    let old: Vec<_> = [("same", "1"), ("gone", "1"), ("fewer", "1"), ("fewer", "2"), ("fewer", "3"), ("stays", "1")]
        .into_iter()
        .chain([("stays", "2")])
        .map(|(queue, id)| result(&redis, queue, id))
        .collect();
    assert_eq!(old, ["\"old\""; 7]);
    let new: Vec<_> = [("same", "2"), ("fewer", "4"), ("fewer", "6"), ("moved", "1"), ("new", "1")]
        .into_iter()
        .map(|(queue, id)| result(&redis, queue, id))
        .collect();
    assert_eq!(new, ["\"new\""; 5]);
    // what is not worked any more is left alone
    add(&redis, "gone", 2..=2, no_data);
    redis.call(&["LPUSH", "l", "2"]);
    assert!(!daemon.log().contains("\"message\":\"new settings in force\",\"queue\":\"stays\""), "it did not notice");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(redis.number(&["LLEN", &key("gone", "wait")]), 1);
    assert_eq!(redis.number(&["LLEN", "l"]), 1);
}

#[test]
fn an_unchanged_queue_does_not_notice() {
    let redis = Redis::start();
    let with = |version: &str| {
        let queues = [queue("a", ""), queue("b", "").replace("gated", "other")].concat();
        format!("{queues}{}{}", handler("gated", version), handler("other", "1"))
    };
    let daemon = Daemon::start(&redis, &with("1"));
    daemon.says("\"message\":\"working\"");
    daemon.reload(&redis, &with("2"));
    daemon.says("new settings in force");
    daemon.reload(&redis, &with("2"));
    daemon.reload(&redis, &format!("{}[shutdown]\ndrain = \"3s\"\n", with("2")));
    // a pool goes through its messages in order, so this one's would have been said by now
    daemon.reload(&redis, &with("3").replace("[queues.b]", "[queues.b]\nconcurrency = 2"));
    eventually("both are told", || said(&daemon, "new settings in force") == 3);
}

#[test]
fn limits_of_the_fleet_come_change_and_go_also_while_redis_is_away() {
    let mut redis = Redis::start();
    let with = |more: &str| format!("{}{}", queue("q", more), handler("gated", "1"));
    let daemon = Daemon::start(&redis, &with(""));
    go(&daemon);
    daemon.says("\"message\":\"working\"");
    let is = |redis: &Redis, field: &str, value: &str| {
        eventually(&format!("{field} is {value:?}"), || redis.call(&["HGET", &key("q", "meta"), field]) == value);
    };
    daemon.reload(&redis, &with("global_concurrency = 7\nrate_limit = { max = 5, per = \"2s\" }"));
    is(&redis, "concurrency", "7");
    is(&redis, "max", "5");
    is(&redis, "duration", "2000");
    redis.shut_down();
    daemon.says("redis is away");
    daemon.reload(&redis, &with("global_concurrency = 3"));
    daemon.reload(&redis, &with(""));
    redis.again();
    for field in ["concurrency", "max", "duration"] {
        is(&redis, field, "");
    }
    // one that was set by hand stays
    redis.call(&["HSET", &key("q", "meta"), "concurrency", "9"]);
    daemon.reload(&redis, &with("rate_limit = { max = 1, per = \"1h\" }"));
    is(&redis, "max", "1");
    // the second waits for an hour, or for the limit to go
    add(&redis, "q", 1..=2, no_data);
    wait_finished(&redis, "q", 1);
    daemon.reload(&redis, &with(""));
    wait_finished(&redis, "q", 2);
    is(&redis, "concurrency", "9");
}

#[test]
fn a_queue_that_comes_back_while_its_jobs_still_run_has_no_more_slots_than_it_says() {
    let redis = Redis::start();
    let other = format!("{USUAL}{}{}", queue("other", ""), handler("gated", "1"));
    let both = format!("{other}{}", queue("serial", "concurrency = 1"));
    let mut daemon = Daemon::start(&redis, &both);
    add(&redis, "serial", 1..=1, no_data);
    let active = || redis.number(&["LLEN", &key("serial", "active")]);
    eventually("it runs", || active() == 1);
    daemon.reload(&redis, &other);
    daemon.reload(&redis, &both);
    add(&redis, "serial", 2..=3, no_data);
    daemon.signal(Signal::SIGUSR2);
    daemon.says("\"queue\":\"serial\",\"job\":\"1\"");
    for _ in 0..20 {
        assert_eq!(active(), 1);
        std::thread::sleep(Duration::from_millis(20));
    }
    go(&daemon);
    all_completed(&redis, "serial", 3);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_quiet_daemon_stays_quiet_and_one_that_stops_takes_nothing_over() {
    let redis = Redis::start();
    let one = format!("{USUAL}{}{}", queue("a", ""), handler("gated", "1"));
    let mut daemon = Daemon::start(&redis, &one);
    add(&redis, "a", 1..=1, no_data);
    eventually("it runs", || redis.number(&["LLEN", &key("a", "active")]) == 1);
    daemon.signal(Signal::SIGUSR1);
    daemon.says("\"message\":\"quiet:");
    let two = format!("{one}{}", queue("b", ""));
    daemon.reload(&redis, &two);
    for name in ["a", "b"] {
        add(&redis, name, 2..=2, no_data);
    }
    daemon.reload(&redis, &two.replace("[queues.a]", "[queues.a]\nconcurrency = 9"));
    assert_eq!(redis.number(&["LLEN", &key("a", "wait")]) + redis.number(&["LLEN", &key("b", "wait")]), 2);
    daemon.signal(Signal::SIGTERM);
    daemon.says("\"phase\":\"draining\"");
    daemon.signal(Signal::SIGHUP);
    daemon.says("the engine is stopping");
    daemon.says("configuration refused; nothing changed");
    go(&daemon);
    assert_eq!(daemon.exit_code(), Some(0));
    assert_eq!(redis.number(&["LLEN", &key("a", "wait")]) + redis.number(&["LLEN", &key("b", "wait")]), 2);
}

#[test]
fn before_redis_is_there_a_reload_waits_and_holds_up_no_other_order() {
    let mut redis = Redis::start();
    redis.shut_down();
    let one = format!("{USUAL}{}{}", queue("a", ""), handler("gated", "1"));
    let two = format!("{one}{}", queue("b", ""));
    let mut daemon = Daemon::start(&redis, &one);
    daemon.says("oxherd starts");
    daemon.write_config(&redis, &two);
    for signal in [Signal::SIGHUP, Signal::SIGUSR2, Signal::SIGHUP] {
        daemon.signal(signal);
    }
    redis.again();
    eventually("it is taken over", || said(&daemon, "configuration reloaded") >= 1);
    go(&daemon);
    add(&redis, "b", 1..=1, no_data);
    all_completed(&redis, "b", 1);
    assert_eq!(daemon.stop(), Some(0));
    redis.shut_down();
    daemon.again();
    eventually("it starts", || said(&daemon, "oxherd starts") == 2);
    for signal in [Signal::SIGHUP, Signal::SIGUSR2] {
        daemon.signal(signal);
    }
    assert_eq!(daemon.stop(), Some(0), "neither holds up a stop");
}

#[test]
fn orders_that_come_together_are_carried_out_one_after_the_other_and_the_last_file_counts() {
    let redis = Redis::start();
    let with = |slots: usize| format!("{}{}", queue("a", &format!("concurrency = {slots}")), handler("gated", "1"));
    let daemon = Daemon::start(&redis, &with(1));
    daemon.says("\"message\":\"working\"");
    for slots in 2..=20 {
        daemon.write_config(&redis, &with(slots));
        daemon.signal(Signal::SIGHUP);
    }
    daemon.says("\"slots\":20");
    assert!(said(&daemon, "configuration reloaded") < 19, "what comes while one is under way comes to one");
    assert_eq!(said(&daemon, "configuration refused"), 0);
}

#[test]
fn f131_a_bad_file_changes_nothing_and_a_half_written_one_is_read_again() {
    let redis = Redis::start();
    let good = format!("{USUAL}{}{}", queue("a", ""), handler("gated", "1"));
    let daemon = Daemon::start(&redis, &good);
    daemon.says("\"message\":\"working\"");
    let level = "[queues.b]\nhandler = \"nobody\"\n";
    daemon.write_config(&redis, &format!("{good}{level}"));
    daemon.signal(Signal::SIGHUP);
    daemon.says("configuration refused; nothing changed");
    assert!(daemon.log().contains("nobody"), "and why");
    go(&daemon);
    add(&redis, "a", 1..=1, no_data);
    all_completed(&redis, "a", 1);
    // a writer that takes its time, with a tear at every place where it may pause
    let whole = format!("{good}{}", queue("b", ""));
    daemon.write_config(&redis, &whole);
    let file = daemon.directory().join("oxherd.toml");
    let text = fs::read_to_string(&file).unwrap();
    let reloads = said(&daemon, "configuration reloaded");
    fs::write(&file, "").unwrap();
    daemon.signal(Signal::SIGHUP);
    for end in [10, text.len() / 3, text.len() / 2, text.len() - 3, text.len()] {
        fs::write(&file, &text[..end]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    eventually("it is taken over", || said(&daemon, "configuration reloaded") > reloads);
    assert_eq!(said(&daemon, "configuration refused"), 1);
    daemon.says("\"added\":\"b\"");
}

#[test]
fn what_waits_for_a_start_is_named_each_time_and_the_rest_is_taken_over() {
    let redis = Redis::start();
    let one = format!("{}{}", queue("a", ""), handler("gated", "1"));
    let daemon = Daemon::start(&redis, &one);
    daemon.says("\"message\":\"working\"");
    let named = format!("{one}{}[daemon]\nname = \"other\"\n", queue("b", ""));
    daemon.reload(&redis, &named);
    daemon.says("\"keys\":\"daemon.name\"");
    daemon.reload(&redis, &named);
    eventually("it is named again", || said(&daemon, "\"keys\":\"daemon.name\"") == 2);
    daemon.reload(&redis, &one);
    assert_eq!(said(&daemon, "\"keys\":"), 2, "and not when it is as it was");
}

#[test]
fn a_thousand_queues_are_taken_over_in_no_time() {
    let redis = Redis::start();
    let queues: String = (0..1000).map(|n| queue(&format!("q{n}"), "")).collect();
    let toml = format!("{queues}{}", handler("gated", "1"));
    let daemon = Daemon::start_with(&redis, &toml, &["--set", "redis.announce_workers=false"]);
    daemon.says("\"message\":\"working\"");
    let begun = Instant::now();
    daemon.reload(&redis, &toml.replace("[queues.q500]", "[queues.q500]\nconcurrency = 9"));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    daemon.says("new settings in force");
    assert_eq!(said(&daemon, "new settings in force"), 1, "the others do not notice");
}
