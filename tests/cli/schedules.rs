use crate::harness::Oxherd;

const EXAMPLE: &str = include_str!("../../config/schedules.toml");

/// The example's schedules, in Oslo.
fn example() -> Oxherd {
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", EXAMPLE);
    oxherd
}

/// The times of one schedule as JSON has them.
fn times(oxherd: &Oxherd, arguments: &[&str], name: &str) -> Vec<String> {
    let json = oxherd.run(&[&["schedule", "next", "--json"], arguments].concat()).exits(0).json();
    let times = json[name].as_array().unwrap_or_else(|| panic!("{json}"));
    let time = |time: &serde_json::Value| {
        let (at, ms) = (time["at"].as_str().unwrap(), time["ms"].as_i64().unwrap());
        assert_eq!(chrono::DateTime::parse_from_rfc3339(at).unwrap().timestamp_millis(), ms);
        format!("{at}{}", time["clockChange"].as_str().map(|change| format!(" {change}")).unwrap_or_default())
    };
    times.iter().map(time).collect()
}

#[test]
fn the_six_schedules_of_an_application_come_when_they_should() {
    let oxherd = example();
    // a Thursday, behind noon
    let from = ["--from", "2027-03-25T12:00:00+01:00", "--count", "3"];
    for (name, expected) in [
        (
            "delete-old-autosaves",
            ["2027-03-26T03:00:00+01:00", "2027-03-27T03:00:00+01:00", "2027-03-28T03:00:00+02:00"],
        ),
        (
            "delete-expired-sessions",
            ["2027-03-26T04:00:00+01:00", "2027-03-27T04:00:00+01:00", "2027-03-28T04:00:00+02:00"],
        ),
        ("close-the-day", ["2027-03-26T00:00:00+01:00", "2027-03-27T00:00:00+01:00", "2027-03-28T00:00:00+01:00"]),
        // 0 is Sunday
        ("weekly-digest", ["2027-03-28T05:00:00+02:00", "2027-04-04T05:00:00+02:00", "2027-04-11T05:00:00+02:00"]),
        ("refresh-statistics", ["2027-03-25T12:30:00+01:00", "2027-03-25T13:00:00+01:00", "2027-03-25T13:30:00+01:00"]),
        ("poll-mailbox", ["2027-03-25T12:05:00+01:00", "2027-03-25T12:10:00+01:00", "2027-03-25T12:15:00+01:00"]),
    ] {
        assert_eq!(times(&oxherd, &from, name), expected, "{name}");
        assert_eq!(times(&oxherd, &[&[name][..], &from].concat(), name), expected, "{name} alone");
    }
    let text = oxherd.run(&[&["schedule", "next", "weekly-digest"][..], &from].concat()).exits(0).stdout;
    assert_eq!(
        text,
        "weekly-digest  0 5 * * 0  Europe/Oslo  up to 10m later\n  Sun 2027-03-28 05:00:00 +02:00\n  \
         Sun 2027-04-04 05:00:00 +02:00\n  Sun 2027-04-11 05:00:00 +02:00\n"
    );
}

#[test]
fn times_that_a_change_of_the_clocks_touches_are_marked() {
    let oxherd = Oxherd::new();
    oxherd.file(
        "oxherd.toml",
        "[daemon]\ntimezone = \"Europe/Oslo\"\n[queues.q]\nhandler = \"l\"\n[handlers.l.log]\n\
         [schedules.night]\ncron = \"30 2 * * *\"\nqueue = \"q\"\n[schedules.often]\ncron = \"0,30 * * * *\"\nqueue = \"q\"\n",
    );
    let spring = ["night", "--from", "2027-03-28", "--count", "2"];
    assert_eq!(times(&oxherd, &spring, "night"), ["2027-03-28T03:30:00+02:00 skipped", "2027-03-29T02:30:00+02:00"]);
    let text = oxherd.run(&[&["schedule", "next"][..], &spring].concat()).exits(0).stdout;
    let lines = "night  30 2 * * *  Europe/Oslo\n  Sun 2027-03-28 03:30:00 +02:00  (clocks change)\n  Mon 2027-03-29 02:30:00 +02:00\n";
    assert_eq!(text, lines);
    let autumn = ["--from", "2027-10-31T01:30:00+02:00", "--count", "5"];
    assert_eq!(
        times(&oxherd, &autumn, "often"),
        [
            "2027-10-31T02:00:00+02:00 repeated",
            "2027-10-31T02:30:00+02:00 repeated",
            "2027-10-31T02:00:00+01:00 repeated",
            "2027-10-31T02:30:00+01:00 repeated",
            "2027-10-31T03:00:00+01:00"
        ]
    );
    assert_eq!(times(&oxherd, &autumn, "night")[0], "2027-10-31T02:30:00+02:00 repeated");
}

#[test]
fn bounds_intervals_and_disabled_schedules_are_shown_as_they_are() {
    let oxherd = Oxherd::new();
    oxherd.file(
        "oxherd.toml",
        "[queues.q]\nhandler = \"l\"\n[handlers.l.log]\n\
         [schedules.bounded]\ncron = \"0 0 * * *\"\ntimezone = \"Asia/Tokyo\"\nqueue = \"q\"\nstarts = 2027-01-01\nends = 2027-01-02\n\
         [schedules.off]\nevery = \"1h\"\nqueue = \"q\"\nenabled = false\n\
         [schedules.quarter]\nevery = \"15m\"\ntimezone = \"UTC+1\"\nqueue = \"q\"\nlimit = 2\n",
    );
    let from = ["--from", "2026-12-01T00:00:00Z"];
    assert_eq!(times(&oxherd, &from, "bounded"), ["2027-01-01T00:00:00+09:00", "2027-01-02T00:00:00+09:00"]);
    assert_eq!(times(&oxherd, &from, "off"), [""; 0]);
    assert_eq!(times(&oxherd, &from, "quarter"), ["2026-12-01T01:15:00+01:00", "2026-12-01T01:30:00+01:00"]);
    let text = oxherd.run(&["schedule", "next", "--from", "2028-01-01", "--count", "1"]).exits(0).stdout;
    for line in ["bounded  0 0 * * *  Asia/Tokyo\n  no further time\n", "off  every 1h", "\n  not enabled\n"] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    // from now on
    assert_eq!(times(&oxherd, &["quarter"], "quarter").len(), 2);
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let oxherd = example();
    let unknown = oxherd.run(&["schedule", "next", "weekly-digset"]).exits(1).stderr;
    assert!(unknown.contains("weekly-digset") && unknown.contains("weekly-digest"), "{unknown}");
    for from in ["yesterday", "2027-02-29", "2027-03-28T03:00:00"] {
        let wrong = oxherd.run(&["schedule", "next", "--from", from]).exits(2).stderr;
        assert!(wrong.contains("2027-03-28T03:00:00+02:00"), "{wrong}");
    }
    oxherd.run(&["schedule", "next", "--count", "0"]).exits(2);
    oxherd.file("oxherd.toml", "[queues.q]\nhandler = \"l\"\n[handlers.l.log]\n");
    assert_eq!(oxherd.run(&["schedule", "next"]).exits(0).stdout, "no schedule is configured\n");
    assert_eq!(oxherd.run(&["schedule", "next", "--json"]).exits(0).stdout, "{}\n");
}

#[test]
fn check_counts_schedules_and_tells_which_bullmq_cannot_carry() {
    let oxherd = example();
    let text = oxherd.run(&["check"]).exits(0).stdout;
    assert_eq!(text.lines().last(), Some("oxherd.toml: ok, 1 queue, 1 handler, 6 schedules"), "{text}");
    let line = "kept by oxherd alone, as BullMQ has no place for overlap, jitter: weekly-digest";
    assert!(text.lines().any(|found| found == line), "{text}");
    let json = oxherd.run(&["check", "--json"]).exits(0).json();
    assert_eq!(
        (&json["schedules"], &json["keptAlone"]["weekly-digest"]),
        (&6.into(), &serde_json::json!(["overlap", "jitter"]))
    );
}
