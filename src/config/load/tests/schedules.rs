//! `[schedules.NAME]`: what is read, what is refused and where, what is pointed out.

use std::fmt::Write as _;
use std::time::Instant;

use super::*;
use crate::config::{CatchUp, Overlap, Schedule};
use crate::job::{JobOptions, UnixMillis};

/// A configuration with one schedule of these lines, its zone given.
fn one(lines: &str) -> Files {
    Files::one(&format!("{SMALL}[daemon]\ntimezone = \"Europe/Oslo\"\n[schedules.s]\nqueue = \"email\"\n{lines}"))
}

#[track_caller]
fn read(lines: &str) -> Schedule {
    one(lines).load().schedules.remove("s").unwrap()
}

#[test]
fn a_small_schedule_gets_every_default() {
    let schedule = read("cron = \"0 3 * * *\"");
    let mut expected = Schedule::sample("s", "email");
    expected.spec.timezone = Some("Europe/Oslo".into());
    assert_eq!(schedule, expected);
}

#[test]
fn every_key_of_a_schedule_is_read() {
    let schedule = read(
        r#"
        cron = "0 3 * * *"
        timezone = "America/New_York"
        name = "autosave"
        data = { type = "x", daysOld = 30, deep = { list = [1, 2.5, true, "{scheduled.date}"] } }
        attempts = 2
        backoff = { type = "fixed", delay = "5s", jitter = 0.5 }
        priority = 7
        keep_completed = false
        keep_failed = { count = 5 }
        overlap = "queue"
        catch_up = "all"
        catch_up_window = "2h"
        jitter = "2m"
        starts = "2027-03-28"
        ends = 2028-01-01T00:00:00Z
        limit = 9
        description = "d"
        enabled = false
        revision = 4
        "#,
    );
    assert_eq!((schedule.job_name.as_str(), schedule.queue.as_str()), ("autosave", "email"));
    assert_eq!(schedule.data.get(), r#"{"daysOld":30,"deep":{"list":[1,2.5,true,"{scheduled.date}"]},"type":"x"}"#);
    let opts = r#"{"attempts":2,"backoff":{"type":"fixed","delay":5000,"jitter":0.5},"priority":7,"removeOnComplete":true,"removeOnFail":{"count":5}}"#;
    assert_eq!(schedule.opts, JobOptions::parse(opts).unwrap().0);
    assert_eq!((schedule.overlap, schedule.catch_up), (Overlap::Queue, CatchUp::All));
    assert_eq!(schedule.catch_up_window, Duration::from_secs(7200));
    assert_eq!((schedule.jitter, schedule.revision, schedule.enabled), (Duration::from_secs(120), 4, false));
    let spec = &schedule.spec;
    assert_eq!((spec.timezone.as_deref(), spec.limit), (Some("America/New_York"), Some(9)));
    // the whole day: a time at its midnight is one of the schedule's
    assert_eq!(spec.start, Some(UnixMillis(1_806_206_400_000 - 1)));
    assert_eq!(spec.end, Some(UnixMillis(1_830_297_600_000)));
    assert_eq!(schedule.description.as_deref(), Some("d"));
}

#[test]
fn what_a_schedule_shows_loads_again() {
    for lines in [
        "cron = \"0 3 * * *\"\ndata = { a = [1, { b = \"x\" }] }\nattempts = 2\nbackoff = { delay = \"3s\" }\nstarts = \"2027-01-01\"",
        "every = \"30m\"\nstarts = \"2027-01-01T00:00:00.5+01:00\"\nends = \"2027-12-31\"\nlimit = 3\nkeep_failed = 4",
    ] {
        let config = one(lines).load();
        let again = Files::one(&crate::config::show(&config)).load();
        assert_eq!((again.schedules, again.daemon), (config.schedules, config.daemon), "{lines}");
    }
    let shown = crate::config::show(&one("every = \"1m\"\ndata = { password = \"hunter2\", n = 1 }").load());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn days_are_those_of_the_zone_and_whole() {
    let spec = |lines: &str| read(lines).spec;
    let at = |text: &str| Some(UnixMillis(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()));
    let night = spec("cron = \"0 0 * * *\"\nstarts = 2027-03-28\nends = \"2027-03-28\"");
    assert_eq!((night.start, night.end), (at("2027-03-27T22:59:59.999Z"), at("2027-03-28T21:59:59.999Z")));
    assert_eq!(night.first_time(UnixMillis(0), "UTC").unwrap(), at("2027-03-28T00:00:00+01:00"));
    assert_eq!(spec("every = \"1h\"\nstarts = 2027-03-28").start, at("2027-03-28T00:00:00+01:00"));
    // a moment is taken as it is
    assert_eq!(spec("cron = \"0 0 * * *\"\nstarts = 2027-03-28T00:00:00Z").start, at("2027-03-28T00:00:00Z"));
}

#[test]
fn f117_a_wrong_pattern_is_pointed_at_within_its_text() {
    assert_eq!(
        one("cron = \"0  24 * * *\"").one_problem(),
        "\
error: hour \"24\" at column 4 of the cron pattern: 24 is out of range
 --> oxherd.toml:9:12   schedules.s.cron
  |
9 | cron = \"0  24 * * *\"
  |            ^
  = help: expected 0 to 23"
    );
    for (value, column, message, help) in [
        ("'0 0 * foo *'", 15, "month \"foo\"", "expected 1 to 12 or jan to dec"),
        ("\"* * * * * * *\"", 21, "7 fields", "at column 13 on"),
        ("\"é * * * *\"", 9, "minute \"é\"", "expected 0 to 59"),
        // written with an escape: the text as a whole
        ("\"0\\t24 * * *\"", 8, "hour \"24\" at column 3", "0 to 23"),
        ("\"@midnight\"", 8, "@midnight", "@daily"),
        ("\" \"", 8, "must not be empty", "five fields"),
        ("\"H * * * *\"", 9, "random", "write the time"),
        ("5", 8, "cron must be a text", "quotes"),
    ] {
        let problem = one(&format!("cron = {value}")).one_problem();
        assert!(problem.contains(&format!("oxherd.toml:9:{column} ")), "{value}: {problem}");
        assert!(problem.lines().next().unwrap().contains(message) && problem.contains(help), "{value}: {problem}");
    }
    let long = one("cron = \"\"\"\n61 * * * *\"\"\"").one_problem();
    assert!(long.contains("oxherd.toml:10:1 "), "{long}");
    // not in a file, so there is no place in it
    let flag = one("").set("schedules.s.cron=61 * * * *").one_problem();
    assert!(flag.contains("--set schedules.s.cron") && flag.contains("minute \"61\" at column 1"), "{flag}");
}

#[test]
fn f118_patterns_that_never_come_are_refused_at_once() {
    for pattern in ["0 0 30 2 *", "0 0 31 4,6 *", "0 0 31 2,4,6,9,11 *"] {
        let files = one(&format!("cron = \"{pattern}\""));
        let started = Instant::now();
        assert!(files.one_problem().contains("never comes"), "{pattern}");
        // file and all, on a host that does other things; the search itself is bounded in `job::schedule`
        assert!(started.elapsed() < Duration::from_millis(500), "{pattern}: {:?}", started.elapsed());
    }
    let between = one("cron = \"0 0 29 2 *\"\nstarts = \"2025-03-01\"\nends = \"2027-12-31\"").one_problem();
    assert!(between.contains("no time of the schedule lies between") && between.contains(":11:8 "), "{between}");
}

#[test]
fn f119_zones_are_checked_wherever_they_are_written() {
    for (zone, message, help) in [
        ("Europe/Olso", "not known", "did you mean Europe/Oslo?"),
        ("EST", "is an abbreviation", "UTC-5"),
        ("+03:00", "not known", "UTC+3"),
    ] {
        let own = one(&format!("cron = \"0 3 * * *\"\ntimezone = \"{zone}\"")).one_problem();
        assert!(own.contains("oxherd.toml:10:12   schedules.s.timezone"), "{own}");
        assert!(own.contains(message) && own.contains(help), "{own}");
        let all = one("cron = \"0 3 * * *\"").set(&format!("daemon.timezone={zone}")).one_problem();
        assert!(all.contains("daemon.timezone") && all.contains(help), "{all}");
    }
    let elsewhere = problem_with("[defaults]\ntimezone = \"UTC\"\n");
    assert!(elsewhere.contains("did you mean timezone in [daemon]?"), "{elsewhere}");
}

#[test]
fn without_a_zone_it_is_the_hosts_and_that_is_said_once() {
    let three = "[schedules.a]\ncron = \"0 3 * * *\"\nqueue = \"email\"\n[schedules.b]\ncron = \"0 4 * * *\"\nqueue = \"email\"\n\
                 [schedules.c]\nevery = \"5m\"\nqueue = \"email\"\n[schedules.d]\nevery = \"5m\"\nqueue = \"email\"\ndata = \"{scheduled.time}\"\n";
    let files = Files::one(&format!("{SMALL}{three}")).env("TZ", "Europe/Oslo");
    let problem = files.one_problem();
    let (message, help) = short(&problem);
    assert_eq!(message, "warning: 3 schedules name no time zone and follow that of this host, \"Europe/Oslo\"");
    assert_eq!(help, "write timezone = \"Europe/Oslo\" there, or in [daemon] for all");
    let schedules = files.try_load().unwrap().0.schedules;
    let zones: Vec<_> = schedules.values().map(|schedule| schedule.spec.timezone.as_deref()).collect();
    // an interval has no need of one unless its data shows the clock
    assert_eq!(zones, [Some("Europe/Oslo"), Some("Europe/Oslo"), None, Some("Europe/Oslo")]);

    let unknown = Files::one(&format!("{SMALL}{three}")).env("TZ", "CET-1CEST").one_problem();
    assert!(unknown.contains("follow \"UTC\", since that of this host is not known"), "{unknown}");
    for known in
        ["[daemon]\ntimezone = \"UTC\"\n", "[schedules.e]\ntimezone = \"UTC\"\nevery = \"1s\"\nqueue = \"email\"\n"]
    {
        let problems = Files::one(&format!("{SMALL}{three}{known}")).problems();
        assert_eq!(problems.is_empty(), known.contains("daemon"), "{problems:?}");
    }
}

#[test]
fn what_makes_no_schedule_is_refused() {
    for (lines, message, help) in [
        ("cron = \"0 3 * * *\"\nevery = \"5m\"", "a schedule has cron or every, not both", "remove one"),
        ("", "schedule \"s\" has neither cron nor every", "write cron ="),
        ("every = \"99ms\"", "every must be at least 100ms, got \"99ms\"", ""),
        ("every = \"soon\"", "every must be a duration", ""),
        (
            "every = \"5m\"\nstarts = \"2027-01-02\"\nends = \"2027-01-01\"",
            "the schedule ends before it starts",
            "behind",
        ),
        ("every = \"5m\"\nstarts = \"tomorrow\"", "starts must be a date or a time with its offset", "2027-03-28"),
        ("every = \"5m\"\nstarts = 2027-01-01T00:00:00", "got \"2027-01-01T00:00:00\"", "\"2027-01-01T00:00:00Z\" or"),
        ("every = \"5m\"\nends = \"2027-02-29\"", "ends must be a date", ""),
        ("every = \"5m\"\noverlap = \"allways\"", "overlap must be \"skip\", \"queue\" or \"allow\"", ""),
        ("every = \"5m\"\ncatch_up = \"lst\"", "catch_up must be", "did you mean \"last\"?"),
        ("every = \"5m\"\ncatch_up_window = \"0s\"", "catch_up_window must be at least 1s", ""),
        ("every = \"5m\"\njitter = \"25h\"", "jitter must be at most 24h", ""),
        ("every = \"5m\"\nlimit = 0", "limit must be at least 1", ""),
        ("every = \"5m\"\npriority = 2097152", "priority must be at most 2097151", ""),
        ("every = \"5m\"\nbackoff = { max = \"1s\" }", "unknown key \"max\"", "known are type, delay, jitter"),
        ("every = \"5m\"\nqueu = \"x\"", "unknown key \"queu\"", "did you mean \"queue\"?"),
        (
            "every = \"5m\"\ndata = { d = \"{scheduled.dat}\" }",
            "unknown placeholder {scheduled.dat}",
            "{scheduled.date}?",
        ),
        ("every = \"5m\"\ndata = [{ d = [\"x {scheduled.now} y\"] }]", "unknown placeholder", "{scheduled.ms}"),
        ("every = \"5m\"\ndata = { d = inf }", "d must be a number that JSON has", ""),
        ("every = \"5m\"\nqueue = \"a:b\"", "", ""),
    ] {
        // a second queue stands for the first
        let files = if lines.contains("queue = ") {
            one("").set(&format!("schedules.s.{}", lines.lines().nth(1).unwrap())).set("schedules.s.every=5m")
        } else {
            one(lines)
        };
        let problem = files.one_problem();
        assert!(problem.starts_with("error: ") && problem.contains("schedules.s"), "{lines}: {problem}");
        assert!(problem.contains(message) && problem.contains(help), "{lines}: {problem}");
    }
    let queueless = problem_with("[schedules.s]\nevery = \"1m\"\n");
    assert!(queueless.contains("schedule \"s\" has no queue"), "{queueless}");
    let colon = problem_with("[schedules.\"a:b\"]\nevery = \"1m\"\nqueue = \"email\"\n");
    assert!(colon.contains("without ':'") && colon.contains("oxherd.toml:5:12 "), "{colon}");
    let twice = Files::new(&[
        (
            "oxherd.toml",
            &format!("include = [\"more.toml\"]\n{SMALL}[schedules.s]\nevery = \"1m\"\nqueue = \"email\"\n"),
        ),
        ("more.toml", "[schedules.s]\njitter = \"1m\"\n"),
    ]);
    assert!(twice.problems().concat().contains("schedules.s is set in two files"), "{:?}", twice.problems());
}

#[test]
fn what_is_odd_is_pointed_out() {
    for (lines, message, help) in [
        ("every = \"500ms\"", "more than once a second", "at least \"1s\""),
        ("cron = \"3 * *\"", "cron has 3 of 5 fields and is read as \"0 * * 3 * *\"", "write all five"),
    ] {
        let problem = one(lines).one_problem();
        assert!(problem.starts_with("warning: ") && problem.contains(message) && problem.contains(help), "{problem}");
    }
    let near = problem_with("[schedules.s]\nevery = \"1m\"\nqueue = \"emial\"\n");
    assert!(near.starts_with("warning: schedule \"s\" feeds queue \"emial\", which nobody here works"), "{near}");
    assert!(near.contains("did you mean \"email\"?") && near.contains("oxherd.toml:7:9 "), "{near}");
    let several = "[schedules.s]\nevery = \"1m\"\nqueue = \"x.y\"\n[schedules.t]\nevery = \"1m\"\nqueue = \"x.y\"\n";
    let problem = problem_with(several);
    assert!(problem.contains("2 schedules feed queue \"x.y\"") && problem.contains("[queues.\"x.y\"]"), "{problem}");
    let far = problem_with("[schedules.s]\nevery = \"1m\"\nqueue = \"reports\"\n");
    assert!(far.contains("describe [queues.reports], unless others work it"), "{far}");
}

#[test]
fn a_minute_that_many_share_is_pointed_out() {
    let many = |count: usize, more: &str| {
        let mut text = format!("{SMALL}[daemon]\ntimezone = \"Europe/Oslo\"\n");
        for n in 0..count {
            // some at three each day, some at three on Sundays and each quarter of an hour
            let pattern = ["0 3 * * *", "0 3 * * 0", "*/15 * * * *"][n % 3];
            write!(text, "[schedules.s{n:02}]\ncron = \"{pattern}\"\nqueue = \"email\"\n{more}\n").unwrap();
        }
        Files::one(&text).problems()
    };
    let problems = many(12, "");
    assert_eq!(problems.len(), 1, "{problems:?}");
    let message = problems[0].lines().next().unwrap();
    assert_eq!(
        message,
        "warning: 12 schedules come in the same minute, 03:00 in Europe/Oslo: \"s00\", \"s01\", \"s02\", \"s03\", \"s04\", …"
    );
    assert_eq!(many(9, ""), [""; 0]);
    assert_eq!(many(12, "jitter = \"5m\""), [""; 0]);
    assert_eq!(many(12, "enabled = false"), [""; 0]);
}

#[test]
fn variables_and_flags_reach_schedules() {
    let files = one("cron = \"0 3 * * *\"\ndata = { n = 1, kept = \"${N}\" }")
        .env("N", "5")
        .env("OXHERD__SCHEDULES__S__CRON", "0 4 * * *")
        .env("OXHERD__SCHEDULES__S__DATA__N", "2")
        .set("schedules.s.overlap=allow");
    let schedule = files.load().schedules.remove("s").unwrap();
    assert_eq!(schedule.spec.pattern.as_deref(), Some("0 4 * * *"));
    assert_eq!(schedule.overlap, Overlap::Allow);
    assert_eq!(schedule.data.get(), r#"{"kept":"5","n":"2"}"#);
    let new = one("every = \"1m\"").env("OXHERD__SCHEDULES__T__EVERY", "1m").one_problem();
    assert!(new.contains("there is no \"T\""), "{new}");
}
