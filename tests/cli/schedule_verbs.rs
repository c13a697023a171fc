//! `oxherd schedule` but for `next`: what is listed, and what becomes of schedules.

use serde_json::{Value, json};

use crate::harness::{Oxherd, Redis, eventually};
use crate::seed::{LONG_AGO, email, everything, finished, now};
use crate::support::daemon::Daemon;

const WORKED: &str = "[queues.email]\nhandler = \"l\"\n[handlers.l.log]\n[daemon]\nname = \"worker\"\n";

/// A job scheduler as BullMQ leaves it, current at this moment.
fn foreign(redis: &Redis, queue: &str, id: &str, next: u64) {
    let hash = format!("bull:{queue}:repeat:{id}");
    redis.call(&["HSET", &hash, "name", "n", "pattern", "0 3 * * *", "tz", "Europe/Oslo", "ic", "7"]);
    redis.call(&["ZADD", &format!("bull:{queue}:repeat"), &next.to_string(), id]);
    redis.call(&["HSET", &format!("bull:{queue}:meta"), "version", "bullmq:6.7.0"]);
}

/// What `schedule ls --json` says of one schedule.
#[track_caller]
fn listed(oxherd: &Oxherd, name: &str) -> Value {
    let all = oxherd.run(&["schedule", "ls", "--json"]).exits(0).json();
    let found = all.as_array().unwrap().iter().find(|schedule| schedule["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {all}")).clone()
}

#[track_caller]
fn names(oxherd: &Oxherd) -> Vec<String> {
    let all = oxherd.run(&["schedule", "ls", "--json"]).exits(0).json();
    all.as_array().unwrap().iter().map(|schedule| schedule["name"].as_str().unwrap().to_owned()).collect()
}

fn completed(redis: &Redis) -> u64 {
    redis.number(&["ZCARD", "bull:email:completed"])
}

#[test]
fn schedules_are_listed_with_when_they_come_and_whose_they_are() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    assert_eq!(oxherd.run(&["schedule", "ls", "--json"]).exits(0).stdout, "[]\n");
    oxherd.run(&["schedule", "add", "night", "--queue", "email", "--cron", "0 3 * * *", "--timezone", "Europe/Oslo"]);
    let description = ["--overlap", "allow", "--description", "half\u{1b}[31m"];
    oxherd.run(&[&["schedule", "add", "half", "--queue", "reports", "--every", "30m"][..], &description].concat());
    let in_an_hour = now() + 3_600_000;
    foreign(&redis, "email", "theirs", in_an_hour);
    redis.call(&["ZADD", "bull:email:repeat", "5", "torn\u{1b}[2J"]);

    let theirs = listed(&oxherd, "theirs");
    for (key, expected) in [
        ("queue", json!("email")),
        ("cron", json!("0 3 * * *")),
        ("timezone", json!("Europe/Oslo")),
        ("owner", json!("foreign")),
        ("keptBy", json!("bullmq")),
        ("paused", json!(false)),
        ("iterations", json!(7)),
        ("last", Value::Null),
    ] {
        assert_eq!(theirs[key], expected, "{key} of {theirs}");
    }
    assert_eq!(theirs["next"]["ms"], in_an_hour);
    let night = listed(&oxherd, "night");
    assert_eq!(
        (&night["owner"], &night["keptBy"], &night["iterations"]),
        (&json!("hand"), &json!("oxherd"), &json!(0))
    );
    assert!(night["next"]["at"].as_str().unwrap().contains("T03:00:00+0"), "{night}");
    let half = listed(&oxherd, "half");
    assert_eq!((&half["everyMs"], &half["keptBy"], &half["cron"]), (&json!(1_800_000), &json!("bullmq"), &Value::Null));
    assert_eq!(half["description"], "half\u{1b}[31m");

    // of each queue the one that is due next first
    assert_eq!(names(&oxherd)[..2], ["torn\u{1b}[2J", "theirs"]);
    let text = oxherd.run(&["schedule", "ls"]).exits(0).stdout;
    assert!(text.starts_with("NAME ") && !text.contains('\u{1b}'), "{text}");
    for cell in ["0 3 * * * Europe/Oslo", "every 30m", "by hand", "foreign", "in 59m"] {
        assert!(text.contains(cell), "{cell} is missing in\n{text}");
    }
    let of_reports = oxherd.run(&["schedule", "ls", "--queue", "reports"]).exits(0).stdout;
    assert_eq!(of_reports.lines().count(), 2, "{of_reports}");
    assert!(oxherd.run(&["schedule", "ls", "--queue", "reprots"]).exits(1).stderr.contains("there are email, reports"));
}

#[test]
fn the_last_run_is_told_with_what_became_of_it() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    email(&redis, &oxherd);
    let add = ["schedule", "add", "night", "--queue", "email", "--cron", "0 3 * * *"];
    oxherd.run(&add).exits(0);
    assert_eq!(listed(&oxherd, "night")["last"], Value::Null);
    for (job, outcome) in [
        ("c1", "completed"),
        ("f1", "failed"),
        ("busy", "active"),
        ("1", "waiting"),
        ("4", "prioritized"),
        ("later", "delayed"),
        ("nobody", "removed"),
    ] {
        redis.call(&["HSET", "bull:email:repeat:night", "oxherd.last", job]);
        let last = listed(&oxherd, "night")["last"].clone();
        assert_eq!((&last["job"], &last["outcome"]), (&json!(job), &json!(outcome)));
    }
    redis.call(&["HSET", "bull:email:repeat:night", "oxherd.last", "c1"]);
    assert_eq!(listed(&oxherd, "night")["last"]["finishedOn"], LONG_AGO);

    // of a foreign one the job of its time, once that has come, or that of the time before
    let three = 1_806_195_600_000_u64;
    let theirs = |next: u64| {
        foreign(&redis, "email", "theirs", next);
        listed(&oxherd, "theirs")["last"].clone()
    };
    finished(&redis, "email", "failed", &format!("repeat:theirs:{three}"), "n", LONG_AGO, "no");
    let before = theirs(three + 86_400_000);
    assert_eq!((&before["outcome"], &before["at"]), (&json!("failed"), &json!("2027-03-28T03:00:00+02:00")));
    assert_eq!(theirs(three + 2 * 86_400_000), Value::Null);
    let passed = now() - 1000;
    finished(&redis, "email", "completed", &format!("repeat:theirs:{passed}"), "n", passed, "1");
    assert_eq!(theirs(passed)["outcome"], "completed");
}

#[test]
fn a_daemon_s_schedules_show_their_owner_and_their_last_run() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let mut daemon = Daemon::start(&redis, &format!("{WORKED}[schedules.tick]\nevery = \"1s\"\nqueue = \"email\"\n"));
    eventually("a run has been", || completed(&redis) > 0);
    let running = listed(&oxherd, "tick");
    assert_eq!((&running["owner"], &running["daemon"]), (&json!("file"), &json!("worker")));
    daemon.stop();
    let last = listed(&oxherd, "tick")["last"].clone();
    let id = last["job"].as_str().unwrap();
    assert_eq!(id, format!("repeat:tick:{}", last["ms"]));
    if last["outcome"] == "completed" {
        assert!(last["finishedOn"].as_u64().unwrap() >= last["ms"].as_u64().unwrap(), "{last}");
    }
    assert!(oxherd.run(&["schedule", "ls"]).exits(0).stdout.contains("file of worker"));
}

#[test]
fn a_trigger_adds_one_job_and_moves_nothing() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let data = r#"{"day":"{scheduled.date}"}"#;
    let add = ["schedule", "add", "night", "--queue", "email", "--cron", "0 3 * * *", "--timezone", "UTC"];
    let job = ["--name", "sweep", "--data", data, "--attempts", "4", "--priority", "2"];
    oxherd.run(&[&add[..], &job].concat()).exits(0);
    let before = listed(&oxherd, "night");
    let told = oxherd.run(&["schedule", "trigger", "night", "--json"]).exits(0).json();
    assert_eq!((&told["queue"], &told["schedule"]), (&json!("email"), &json!("night")));
    let job = oxherd.run(&["job", "show", "email", told["id"].as_str().unwrap(), "--json"]).exits(0).json();
    assert_eq!(
        (&job["name"], &job["state"], &job["opts"]["attempts"]),
        (&json!("sweep"), &json!("prioritized"), &json!(4))
    );
    assert_eq!(job["data"]["day"].as_str().unwrap().len(), "2027-03-28".len(), "{job}");
    assert_eq!(listed(&oxherd, "night"), before);
    // also one that is paused, and while the job before is there
    oxherd.run(&["schedule", "pause", "night"]).exits(0);
    let id = oxherd.run(&["schedule", "trigger", "night"]).exits(0).stdout;
    assert_eq!(redis.call(&["HGET", &format!("bull:email:{}", id.trim()), "name"]), "sweep");
    assert_eq!(redis.number(&["ZCARD", "bull:email:prioritized"]), 2);

    // the same name in two queues
    oxherd.run(&["schedule", "add", "night", "--queue", "reports", "--every", "1h"]).exits(0);
    let ambiguous = oxherd.run(&["schedule", "trigger", "night"]).exits(2).stderr;
    assert!(ambiguous.contains("email, reports") && ambiguous.contains("--queue"), "{ambiguous}");
    oxherd.run(&["schedule", "trigger", "night", "--queue", "reports"]).exits(0);
    assert_eq!(redis.number(&["LLEN", "bull:reports:wait"]), 1);
}

#[test]
fn what_is_not_there_or_not_ours_is_refused_and_untouched() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let none = oxherd.run(&["schedule", "trigger", "night"]).exits(1).stderr;
    assert!(none.contains("no schedule night") && none.contains("there is none"), "{none}");
    oxherd.run(&["schedule", "add", "night", "--queue", "email", "--every", "1h"]).exits(0);
    foreign(&redis, "email", "theirs", now() + 60_000);
    let before = everything(&redis);
    for verb in ["trigger", "pause", "resume", "remove"] {
        let consent = if verb == "remove" { &["--yes"][..] } else { &[] };
        let refused = oxherd.run(&[&["schedule", verb, "theirs"], consent].concat()).exits(1).stderr;
        assert!(refused.contains("theirs in email is foreign"), "{verb}: {refused}");
        let unknown = oxherd.run(&[&["schedule", verb, "nigth"], consent].concat()).exits(1).stderr;
        // the one that comes next is named first, and which that is the hour decides
        let names = ["there are theirs, night", "there are night, theirs"].iter().any(|names| unknown.contains(names));
        assert!(unknown.contains("no schedule nigth") && names, "{verb}: {unknown}");
    }
    // one name that is wrong, and nothing happens to the others
    oxherd.run(&["schedule", "pause", "night", "theirs"]).exits(1);
    oxherd.run(&["schedule", "remove", "night", "nigth", "--yes"]).exits(1);
    oxherd.run(&["schedule", "pause", "night", "--dry-run"]).exits(0);
    oxherd.run(&["schedule", "remove", "night", "--dry-run"]).exits(0);
    oxherd.run(&["schedule", "add", "later", "--queue", "email", "--every", "1h", "--dry-run"]).exits(0);
    oxherd.run(&["schedule", "remove", "night"]).exits(2);
    assert_eq!(everything(&redis), before);
    oxherd.file(
        "oxherd.toml",
        &format!("{WORKED}[schedules.soon]\nevery = \"1h\"\nqueue = \"email\"\n[schedules.off]\nevery = \"1h\"\nqueue = \"email\"\nenabled = false\n"),
    );
    let soon = oxherd.run(&["schedule", "trigger", "soon"]).exits(1).stderr;
    assert!(soon.contains("no daemon has put it in force yet"), "{soon}");
    assert!(oxherd.run(&["schedule", "trigger", "off"]).exits(1).stderr.contains("not enabled"));
}

#[test]
fn a_pause_outlives_a_restart_and_a_resume_ends_it() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let every = |name: &str, overlap: &str| {
        format!("[schedules.{name}]\nevery = \"1s\"\nqueue = \"email\"\nname = \"{name}\"\noverlap = \"{overlap}\"\n")
    };
    let toml = [WORKED, &every("clock", "allow"), &every("kept", "skip"), &every("series", "allow")].concat();
    let mut daemon = Daemon::start(&redis, &toml);
    daemon.says("schedules put in force");
    let runs = |name: &str| listed(&oxherd, name)["iterations"].as_u64().unwrap();
    eventually("all have run", || ["clock", "kept", "series"].iter().all(|name| runs(name) > 1));
    let told = oxherd.run(&["schedule", "pause", "kept", "series", "--json"]).exits(0).json();
    assert_eq!(told[0], json!({"schedule": "kept", "queue": "email", "paused": true, "wasPaused": false}));
    let text = oxherd.run(&["schedule", "pause", "series"]).exits(0).stdout;
    assert_eq!(text, "paused series in email, which was paused already\n");
    daemon.stop();
    let paused = (runs("kept"), runs("series"));
    daemon.again();
    let begun = runs("clock");
    eventually("time goes by", || runs("clock") > begun + 3);
    assert_eq!((runs("kept"), runs("series")), paused);
    assert_eq!(listed(&oxherd, "kept")["paused"], true);
    let text = oxherd.run(&["schedule", "resume", "kept", "series"]).exits(0).stdout;
    assert_eq!(text, "resumed kept in email\nresumed series in email\n");
    eventually("both run again", || runs("kept") > paused.0 && runs("series") > paused.1 + 1);
    assert_eq!(listed(&oxherd, "kept")["paused"], false);
}

#[test]
fn a_schedule_by_hand_is_fired_and_no_start_removes_it() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let told = oxherd.run(&["schedule", "add", "tick", "--queue", "email", "--every", "1s", "--json"]).exits(0).json();
    assert_eq!(
        (&told["replaced"], &told["keptBy"], &told["queue"]),
        (&json!(false), &json!("oxherd"), &json!("email"))
    );
    assert!(told["next"]["ms"].as_u64().unwrap() > LONG_AGO, "{told}");
    let mut daemon = Daemon::start(&redis, WORKED);
    eventually("it has run", || completed(&redis) > 1);
    daemon.stop();
    daemon.again();
    let before = completed(&redis);
    eventually("it runs after a restart", || completed(&redis) > before + 1);
    // another definition, without a restart
    let replace = ["schedule", "add", "tick", "--queue", "email", "--every", "1s", "--name", "tock", "--replace"];
    let text = oxherd.run(&replace).exits(0).stdout;
    assert!(text.starts_with("replaced tick in email, next 20"), "{text}");
    let has_run = |id: &String| redis.call(&["HGET", &format!("bull:email:{id}"), "name"]) == "tock";
    eventually("the new one runs", || redis.list(&["ZRANGE", "bull:email:completed", "0", "-1"]).iter().any(has_run));
    assert!(listed(&oxherd, "tick")["iterations"].as_u64().unwrap() > before);
    oxherd.run(&["schedule", "remove", "tick", "--yes"]).exits(0);
    assert!(names(&oxherd).is_empty());
}

#[test]
fn mistakes_name_field_value_and_column() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let add = |arguments: &[&str]| oxherd.run(&[&["schedule", "add", "s", "--queue", "email"], arguments].concat());
    for (arguments, said) in [
        (&["--cron", "0 61 * * *"][..], &["'--cron", "hour \"61\" at column 3", "0 to 23"][..]),
        (&["--cron", "0 3 * * * * *"], &["7 fields", "column 13"]),
        (&["--cron", "0 0 30 2 *"], &["never comes"]),
        (&["--cron", " "], &["five fields"]),
        (&["--cron", "0 3 * * *", "--timezone", "Europe/Olso"], &["'--timezone", "Europe/Oslo"]),
        (&["--cron", "0 3 * * *", "--timezone", "EST"], &["abbreviation"]),
        (&["--every", "50ms"], &["expected 100ms to"]),
        (&["--every", "soon"], &["'--every"]),
        (&["--every", "1h", "--cron", "0 3 * * *"], &["cannot be used with"]),
        (&[], &["--cron", "--every"]),
        (&["--every", "1h", "--overlap", "never"], &["skip, queue, allow"]),
        (&["--every", "1h", "--catch-up", "some"], &["none, last, all"]),
        (&["--every", "1h", "--starts", "2027-02-29"], &["2027-03-28T03:00:00+02:00"]),
        (&["--every", "1h", "--starts", "2028-02-01", "--ends", "2028-01-01"], &["ends before it starts"]),
        (&["--every", "1h", "--ends", "2020-01-01"], &["no time of the schedule lies ahead"]),
        (&["--every", "1h", "--limit", "0"], &["'--limit"]),
    ] {
        let refused = add(arguments).exits(2).stderr;
        for text in said {
            assert!(refused.contains(text), "{text} is missing in {refused} of {arguments:?}");
        }
    }
    for data in ["{", r#"["{scheduled.day}"]"#] {
        assert!(add(&["--every", "1h", "--data", data]).exits(65).stderr.contains("data"), "{data}");
    }
    for name in ["", "a:b", "a\nb"] {
        oxherd.run(&["schedule", "add", name, "--queue", "email", "--every", "1h"]).exits(2);
    }
    assert_eq!(redis.call(&["DBSIZE"]), "0");
}

#[test]
fn names_that_are_taken_are_refused() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let add = |name: &str, more: &[&str]| {
        oxherd.run(&[&["schedule", "add", name, "--queue", "email", "--every", "1h"], more].concat())
    };
    add("hand", &[]).exits(0);
    let taken = add("hand", &[]).exits(1).stderr;
    assert!(taken.contains("hand is in email already") && taken.contains("--replace"), "{taken}");
    foreign(&redis, "email", "theirs", now() + 60_000);
    for more in [&[][..], &["--replace"]] {
        assert!(add("theirs", more).exits(1).stderr.contains("foreign"));
    }
    let toml = format!("{WORKED}[schedules.filed]\nevery = \"1h\"\nqueue = \"email\"\n");
    oxherd.file("oxherd.toml", &toml);
    assert!(add("filed", &["--replace"]).exits(1).stderr.contains("stands in the configuration"));
    let mut daemon = Daemon::start(&redis, &toml);
    daemon.says("schedules put in force");
    daemon.stop();
    std::fs::remove_file(oxherd.directory.path().join("oxherd.toml")).unwrap();
    assert!(add("filed", &["--replace"]).exits(1).stderr.contains("belongs to the file of daemon \"worker\""));
    // another queue is another place
    oxherd.run(&["schedule", "add", "hand", "--queue", "reports", "--every", "1h"]).exits(0);
}

#[test]
fn a_removal_takes_the_job_that_waits_and_says_what_a_file_brings_back() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let mut daemon = Daemon::start(
        &redis,
        &format!("{WORKED}[schedules.filed]\nevery = \"1h\"\nqueue = \"email\"\noverlap = \"allow\"\n"),
    );
    daemon.says("schedules put in force");
    assert_eq!(redis.number(&["ZCARD", "bull:email:delayed"]), 1);
    let ended = oxherd.run(&["schedule", "remove", "filed", "--yes"]).exits(0);
    assert_eq!(ended.stdout, "removed filed from email\n");
    assert!(ended.stderr.starts_with("note: ") && ended.stderr.contains("brings it back"), "{}", ended.stderr);
    assert_eq!(redis.number(&["ZCARD", "bull:email:delayed"]), 0);
    daemon.stop();
    daemon.again();
    eventually("it is back", || names(&oxherd) == ["filed"]);
    daemon.stop();
    foreign(&redis, "email", "theirs", now() + 60_000);
    let told = oxherd.run(&["schedule", "remove", "theirs", "--force", "--yes", "--json"]).exits(0);
    assert_eq!(told.json(), json!([{"schedule": "theirs", "queue": "email", "removed": true}]));
    assert!(told.stderr.is_empty(), "{}", told.stderr);
    assert_eq!(names(&oxherd), ["filed"]);
}

#[test]
fn a_diff_says_what_a_start_would_do_and_a_start_does_it() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let schedule =
        |name: &str, rest: &str| format!("[schedules.{name}]\nqueue = \"email\"\ntimezone = \"Europe/Oslo\"\n{rest}\n");
    let old = [
        WORKED,
        &schedule("same", "cron = \"0 1 * * *\""),
        &schedule("other", "cron = \"0 3 * * *\"\ndata = { days = 30, password = \"a\" }"),
        &schedule("secret", "cron = \"0 3 * * *\"\ndata = { password = \"a\" }"),
        &schedule("gone", "every = \"1h\""),
        &schedule("ahead", "every = \"1h\"\nrevision = 5"),
        "[schedules.left]\nqueue = \"reports\"\nevery = \"1h\"\n",
    ]
    .concat();
    let mut daemon = Daemon::start(&redis, &old);
    eventually("all are there", || names(&oxherd).len() == 6);
    daemon.stop();
    foreign(&redis, "email", "theirs", now() + 60_000);
    foreign(&redis, "email", "taken", now() + 60_000);
    oxherd.run(&["schedule", "add", "hand", "--queue", "email", "--every", "1h"]).exits(0);
    let new = [
        WORKED,
        &schedule("same", "cron = \"0 1 * * *\""),
        &schedule("other", "cron = \"0 4 * * *\"\ndata = { days = 31, password = \"b\" }\nlimit = 9"),
        &schedule("secret", "cron = \"0 3 * * *\"\ndata = { password = \"b\" }"),
        &schedule("ahead", "every = \"2h\""),
        &schedule("fresh", "cron = \"@daily\""),
        &schedule("taken", "every = \"1h\""),
    ]
    .concat();
    oxherd.file("new.toml", &new);
    let before = everything(&redis);
    let diff = ["schedule", "diff", "-c", "new.toml"];
    let json = oxherd.run(&[&diff[..], &["--json"]].concat()).exits(1).json();
    assert_eq!((&json["daemon"], &json["changes"]), (&json!("worker"), &json!(4)));
    let step =
        |name: &str| json["schedules"].as_array().unwrap().iter().find(|line| line["name"] == name).unwrap().clone();
    for (name, expected) in [
        ("same", "keep"),
        ("secret", "change"),
        ("gone", "remove"),
        ("ahead", "outranked"),
        ("fresh", "create"),
        ("taken", "taken"),
        ("theirs", "foreign"),
        ("hand", "foreign"),
        ("left", "stranded"),
    ] {
        assert_eq!(step(name)["step"], expected, "{name}");
    }
    assert_eq!((&step("ahead")["revision"], &step("hand")["owner"]), (&json!(5), &json!("hand")));
    assert_eq!(
        step("other")["fields"],
        json!({
            "cron": {"stored": "0 3 * * *", "file": "0 4 * * *"},
            "data": {"stored": {"days": 30, "password": "***"}, "file": {"days": 31, "password": "***"}},
            "limit": {"stored": false, "file": 9},
        })
    );
    let text = oxherd.run(&diff).exits(1).stdout;
    for line in [
        "+ fresh in email  @daily Europe/Oslo\n",
        "~ other in email\n    cron: \"0 3 * * *\" → \"0 4 * * *\"\n",
        "~ secret in email\n    in what is not shown",
        "- gone in email",
        "= same in email\n",
        "! taken in email  the file's never runs",
        "? hand in email  left alone: made by hand\n",
        "? theirs in email  left alone: made by a BullMQ client\n",
        "! left in reports",
        "1 to create, 2 to change, 1 to remove, 1 kept, 5 left alone\n",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert_eq!(everything(&redis), before);

    let mut daemon = Daemon::start(&redis, &new);
    daemon.says("schedules put in force");
    daemon.stop();
    let after = oxherd.run(&diff).exits(0).stdout;
    assert!(after.contains("0 to create, 0 to change, 0 to remove, 4 kept, 5 left alone"), "{after}");
    oxherd.run(&["schedule", "diff"]).exits(78);
}
