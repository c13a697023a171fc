//! Queues that are plain lists: their processes die with elements in hand, others pop beside them, and elements kill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Receiver as Messages;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ledger::Ledger;
use super::scene::{RECOVERY, dice, is_soak, say, within};
use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

const STATE: &str = "[daemon]\nstate_dir = \"state\"\n";
const BESIDE: &str = "{job_queue}:oxherd:";

/// The queue `work` is the list `job_queue`; leases that lapse soon.
fn queue(list: &str, slots: usize, ledger: &Ledger) -> String {
    format!(
        "[queues.work]\nlist = {{ key = \"job_queue\", lease = \"1500ms\", {list} }}\nconcurrency = {slots}\n\
         stalled_interval = \"500ms\"\nbackoff = {{ delay = \"10ms\" }}\nhandler = \"endpoint\"\n{}",
        ledger.handler()
    )
}

fn push<T: AsRef<[u8]>>(redis: &Redis, elements: impl IntoIterator<Item = T>) {
    let elements: Vec<Vec<u8>> = elements.into_iter().map(|element| element.as_ref().to_vec()).collect();
    for some in elements.chunks(1000) {
        let mut words = vec![b"LPUSH".to_vec(), b"job_queue".to_vec()];
        words.extend_from_slice(some);
        redis.ask(&words).unwrap();
    }
}

/// Elements that say how long they take and which they are.
fn numbered(count: usize, ms: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{{\"n\":{number},\"ms\":{ms}}}")).collect()
}

/// What waits, what is taken next first; for elements without line ends.
fn waiting(redis: &Redis) -> Vec<String> {
    let mut waiting = redis.list(&["LRANGE", "job_queue", "0", "-1"]);
    waiting.reverse();
    waiting
}

fn in_hand(redis: &Redis) -> u64 {
    let keys = redis.list(&["KEYS", &format!("{BESIDE}held:*")]);
    keys.iter().filter(|key| !key.is_empty()).map(|key| redis.number(&["LLEN", key])).sum()
}

fn left(redis: &Redis) -> u64 {
    redis.number(&["LLEN", "job_queue"]) + in_hand(redis) + redis.number(&["ZCARD", &format!("{BESIDE}delayed")])
}

fn pause(redis: &Redis) {
    redis.call(&["HSET", &format!("{BESIDE}meta"), "paused", "1"]);
}

fn resume(redis: &Redis) {
    redis.call(&["HDEL", &format!("{BESIDE}meta"), "paused"]);
    redis.call(&["ZADD", &format!("{BESIDE}marker"), "0", "0"]);
}

/// The final statuses so far, by the id they are about.
fn finals(messages: &Messages<String>, so_far: &mut BTreeMap<String, Vec<String>>) {
    while let Ok(message) = messages.try_recv() {
        let message: Value = serde_json::from_str(&message).unwrap();
        let status = message["status"].as_str().unwrap().to_owned();
        if ["COMPLETED", "FAILED"].contains(&status.as_str()) {
            so_far.entry(message["jobId"].as_str().unwrap().to_owned()).or_default().push(status);
        }
    }
}

/// Waits for as many final statuses; each is of another element, and all have completed.
#[track_caller]
fn all_complete(redis: &Redis, messages: &Messages<String>, so_far: &mut BTreeMap<String, Vec<String>>, count: usize) {
    eventually(&format!("{count} final statuses"), || {
        finals(messages, so_far);
        so_far.len() >= count
    });
    eventually("nothing is left", || left(redis) == 0);
    finals(messages, so_far);
    let odd: Vec<_> = so_far.iter().filter(|(_, statuses)| *statuses != &["COMPLETED"]).collect();
    assert!(odd.is_empty(), "not completed just once: {odd:?}");
    assert_eq!(so_far.len(), count);
    assert_eq!(redis.number(&["LLEN", &format!("{BESIDE}dead")]), 0);
}

#[test]
fn f144_a_restart_in_place_puts_what_was_in_hand_back_at_the_head_in_its_order() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &(queue("payload = \"json\", id = \"/n\"", 10, &ledger) + STATE));
    daemon.says("\"working\"");
    let messages = redis.subscribe("job_updates");
    let elements = numbered(40, 400);
    push(&redis, &elements);
    ledger.wait_begun(10);
    daemon.kill();
    assert_eq!((in_hand(&redis), redis.number(&["LLEN", "job_queue"])), (10, 30));
    pause(&redis);
    let restart = Instant::now();
    daemon.again();
    eventually("all are back", || in_hand(&redis) == 0);
    assert!(restart.elapsed() < Duration::from_secs(3), "after {:?}", restart.elapsed());
    assert_eq!(waiting(&redis), elements);
    resume(&redis);
    let mut so_far = BTreeMap::new();
    all_complete(&redis, &messages, &mut so_far, 40);
    assert_eq!(ledger.begun(), 50, "what was in hand ran twice, nothing else");
    // a crash uses no attempt up
    assert!(ledger.runs().iter().all(|run| run.attempt == 1));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f144_any_survivor_puts_back_what_a_dead_process_held() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let config = queue("payload = \"json\", id = \"/n\"", 5, &ledger);
    let mut first = Daemon::start(&redis, &config);
    first.says("\"working\"");
    let messages = redis.subscribe("job_updates");
    push(&redis, numbered(20, 300));
    ledger.wait_begun(5);
    let other = Daemon::start(&redis, &config);
    other.says("\"working\"");
    first.kill();
    let kill = Instant::now();
    let of_the_dead: BTreeSet<String> = (1..=5).map(|n| n.to_string()).collect();
    within(RECOVERY * 3, "what was in hand runs again", || {
        let again: BTreeSet<String> = ledger.repeated().into_iter().collect();
        again.intersection(&of_the_dead).count() > 0
    });
    say(&format!("taken over after {:?}", kill.elapsed()));
    all_complete(&redis, &messages, &mut BTreeMap::new(), 20);
    assert!(ledger.begun() <= 20 + 10, "{} runs", ledger.begun());
}

/// Whether the list holds these elements, what was pushed first at its end.
const SAME: &str = "local out = redis.call('LRANGE', 'job_queue', 0, -1)
    for n, element in ipairs(out) do if element ~= ARGV[#ARGV + 1 - n] then return 'another at ' .. n end end return #out";

#[test]
fn f144_f146_bytes_of_any_kind_come_back_unchanged() {
    let redis = Redis::start();
    let ledger = Ledger::answering(|run| {
        // long enough for the kill
        std::thread::sleep(Duration::from_millis(if run.nth == 1 { 400 } else { 0 }));
        200
    });
    let mut daemon = Daemon::start(&redis, &(queue("payload = \"base64\"", 6, &ledger) + STATE));
    daemon.says("\"working\"");
    let messages = redis.subscribe("job_updates");
    let elements: [&[u8]; 6] = [b"", b"\x00\xff\xfe", b"same", b"same", b"\r\n", b""];
    push(&redis, elements);
    ledger.wait_begun(6);
    daemon.kill();
    pause(&redis);
    daemon.again();
    eventually("all are back", || in_hand(&redis) == 0);
    let mut words: Vec<Vec<u8>> = vec![b"EVAL".to_vec(), SAME.into(), b"0".to_vec()];
    words.extend(elements.map(<[u8]>::to_vec));
    assert_eq!(redis.ask(&words).unwrap(), "6");
    resume(&redis);
    all_complete(&redis, &messages, &mut BTreeMap::new(), 6);
}

/// As many equal elements, and as many kills.
fn equal_elements(count: usize, kills: usize) {
    let mut dice = dice("f146");
    let redis = Redis::start();
    let ledger = Ledger::answering(|_| {
        std::thread::sleep(Duration::from_millis(2));
        200
    });
    let mut daemon = Daemon::start(&redis, &(queue("payload = \"text\"", 10, &ledger) + STATE));
    daemon.says("\"working\"");
    let messages = redis.subscribe("job_updates");
    let mut so_far = BTreeMap::new();
    push(&redis, std::iter::repeat_n("the same", count));
    let mut struck = 0;
    for kill in 1..=kills {
        let goal = kill * count / (kills + 1);
        eventually(&format!("{goal} ends before kill {kill}"), || {
            finals(&messages, &mut so_far);
            so_far.len() >= goal
        });
        std::thread::sleep(Duration::from_millis(dice.u64(..10)));
        daemon.kill();
        let held = in_hand(&redis);
        struck += usize::from(held > 0);
        say(&format!("kill {kill}: {held} in hand"));
        daemon.again();
    }
    assert!(struck * 10 >= kills * 7, "only {struck} of {kills} kills met elements in hand");
    all_complete(&redis, &messages, &mut so_far, count);
    assert!((count..=count + 10 * kills).contains(&ledger.begun()), "{} runs", ledger.begun());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f146_equal_elements_run_as_many_times_as_there_are_through_kills() {
    equal_elements(600, 5);
}

#[test]
fn f146_ten_thousand_equal_elements_run_as_many_times_through_20_kills() {
    if is_soak() {
        equal_elements(10_000, 20);
    }
}

#[test]
fn f145_a_plain_pop_loses_at_most_what_was_in_hand_and_runs_nothing_twice() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let list = "mode = \"at-most-once\", payload = \"json\", id = \"/n\"";
    let mut daemon = Daemon::start(&redis, &(queue(list, 10, &ledger) + STATE));
    daemon.says("\"working\"");
    push(&redis, numbered(100, 30));
    ledger.wait_begun(30);
    daemon.kill();
    let begun = ledger.begun();
    daemon.again();
    eventually("the list is empty", || redis.number(&["LLEN", "job_queue"]) == 0);
    assert_eq!(daemon.stop(), Some(0));
    let times = ledger.times();
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    // taken and not begun, or begun: the slots bound both
    assert!(times.len() >= 90, "{} of 100 ran, {begun} before the kill", times.len());
}

#[test]
fn f147_an_element_that_kills_its_process_is_dead_after_two_runs_and_spares_the_others() {
    let redis = Redis::start();
    let directory = tempfile::tempdir().unwrap();
    let notes = directory.path().join("notes");
    let script = "echo $OXHERD_JOB_ID >> \"$NOTES\"
        test $OXHERD_JOB_ID = poison && kill -9 $(sed -n 's/^PPid:\\t//p' /proc/$PPID/status); sleep 0.05";
    let mut daemon = Daemon::start(
        &redis,
        &format!(
            "[queues.work]\nlist = {{ key = \"job_queue\", lease = \"1500ms\" }}\nhandler = \"shell\"\nconcurrency = 3\n\
             [handlers.shell.command]\nargv = [\"sh\", \"-c\", '''{script}''']\nenv = {{ NOTES = \"{}\" }}\n{STATE}",
            notes.display()
        ),
    );
    daemon.says("\"working\"");
    let messages = redis.subscribe("job_updates");
    push(&redis, ["one", "two", "poison", "three", "four", "five"]);
    let mut so_far = BTreeMap::new();
    eventually("all have ended", || {
        if !daemon.is_running() {
            // more than once where a child of the dead one still has its state directory for a moment
            daemon.again();
        }
        finals(&messages, &mut so_far);
        so_far.len() == 6
    });
    eventually("nothing is left", || left(&redis) == 0);
    let runs = std::fs::read_to_string(&notes).unwrap().lines().filter(|id| *id == "poison").count();
    let starts = daemon.log().matches("\"working\"").count();
    assert_eq!((starts, runs), (3, 2));
    for (id, statuses) in so_far {
        assert_eq!(statuses, [if id == "poison" { "FAILED" } else { "COMPLETED" }], "{id}");
    }
    let dead = redis.list(&["LRANGE", &format!("{BESIDE}dead"), "0", "-1"]);
    assert_eq!(dead[1..], ["poison"], "its bytes, behind a line of what is known");
    let note: Value = serde_json::from_str(&dead[0]).unwrap();
    assert_eq!(note["reason"], "job stalled more than allowable limit");
    assert_eq!((&note["queue"], note["at"].is_number()), (&"work".into(), true));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f148_a_foreign_program_that_pops_and_pushes_neither_loses_nor_costs_anything() {
    let redis = Redis::start();
    let ledger = Ledger::start();
    let mut daemon = Daemon::start(&redis, &queue("payload = \"json\", id = \"/n\"", 5, &ledger));
    daemon.says("\"working\"");
    let mut theirs = BTreeSet::new();
    let mut number = 0;
    while number < 400 {
        // by either end, one that waits as a blocking client does among them
        for element in numbered(number + 10, 2).split_off(number) {
            redis.ask(&["LPUSH", "job_queue", &element]).unwrap();
        }
        number += 10;
        for command in [&["RPOP", "job_queue"] as &[&str], &["LPOP", "job_queue"], &["BRPOP", "job_queue", "0.01"]] {
            let answer = redis.call(command);
            let popped = answer.lines().last().unwrap_or_default();
            if let Ok(element) = serde_json::from_str::<Value>(popped) {
                assert!(theirs.insert(element["n"].to_string()), "popped twice: {popped}");
            }
        }
    }
    eventually("nothing is left", || left(&redis) == 0);
    eventually("each is done by one of us", || ledger.times().len() + theirs.len() >= 400);
    assert_eq!(daemon.stop(), Some(0));
    let ours: BTreeSet<String> = ledger.times().into_keys().collect();
    say(&format!("{} by the daemon, {} by the other", ours.len(), theirs.len()));
    assert!(!theirs.is_empty() && !ours.is_empty());
    assert!(ours.is_disjoint(&theirs) && ours.len() + theirs.len() == 400);
    assert!(ledger.repeated().is_empty());
}
