use std::fmt::Write as _;

use serde_json::json;

use crate::harness::{Oxherd, Redis, text};

#[test]
fn what_is_added_is_listed_and_shown() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let data = r#"{"to":"a@example.org","n":1.50}"#;
    let id = oxherd.run(&["job", "add", "email", "welcome", data]).exits(0).stdout;
    assert_eq!(id, "1\n");
    let options = ["--job-id", "mine-1", "--delay", "10m", "--attempts", "5", "--backoff", "exponential:2s"];
    let added = oxherd.run(&[&["job", "add", "email", "later", "--json"][..], &options].concat()).exits(0).json();
    assert_eq!(added, json!({"id": "mine-1", "queue": "email"}));
    oxherd.run(&["job", "add", "email", "urgent", "--priority", "3"]).exits(0);

    let jobs = oxherd.run(&["job", "ls", "email", "--json"]).exits(0).json();
    let states: Vec<_> = jobs.as_array().unwrap().iter().map(|job| json!([job["name"], job["state"]])).collect();
    let expected = [json!(["welcome", "waiting"]), json!(["later", "delayed"]), json!(["urgent", "prioritized"])];
    assert_eq!(states, expected);
    let list = |flags: &[&str]| oxherd.run(&[&["job", "ls", "email", "--json"], flags].concat()).exits(0).json();
    assert_eq!(list(&["--name", "l*r"])[0]["id"], "mine-1");
    assert_eq!(list(&["--limit", "1", "--offset", "1"])[0]["id"], "mine-1");
    assert_eq!(list(&["--state", "failed"]), json!([]));
    let table = oxherd.run(&["job", "ls", "email", "--state", "delayed"]).exits(0).stdout;
    assert!(table.starts_with("ID      NAME   STATE    ATTEMPTS  AGE") && table.lines().count() == 2, "{table}");

    let job = oxherd.run(&["job", "show", "email", "1", "--json"]).exits(0);
    assert!(job.stdout.contains(r#""data":{"to":"a@example.org","n":1.50}"#), "data is kept: {}", job.stdout);
    let job = oxherd.run(&["job", "show", "email", "mine-1", "--json"]).exits(0).json();
    assert_eq!((&job["delay"], &job["opts"]["attempts"]), (&600_000.into(), &5.into()));
    assert_eq!(job["opts"]["backoff"], json!({"type": "exponential", "delay": 2000}));
    let shown = oxherd.run(&["job", "show", "email", "1"]).exits(0).stdout;
    assert!(shown.contains("a@example.org") && shown.contains("waiting"), "{shown}");

    let queue = oxherd.run(&["queue", "show", "email", "--json"]).exits(0).json();
    assert_eq!(queue["queue"], "email");
    assert_eq!((&queue["counts"]["waiting"], &queue["counts"]["delayed"]), (&1.into(), &1.into()));
    let queues = oxherd.run(&["queue", "ls", "--json"]).exits(0).json();
    assert_eq!((queues.as_array().unwrap().len(), &queues[0]["queue"]), (1, &"email".into()));
    assert!(oxherd.run(&["queue", "ls"]).exits(0).stdout.starts_with("QUEUE  PAUSED  WAITING"));
}

#[test]
fn data_comes_from_a_file_or_standard_input_too() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.file("data.json", "[1,2]\n");
    oxherd.run(&["job", "add", "q", "n", "@data.json"]).exits(0);
    oxherd.run_with_input(&["job", "add", "q", "n", "-"], "\"text\"\n").exits(0);
    oxherd.run(&["job", "add", "q", "n"]).exits(0);
    let data = |id| oxherd.run(&["job", "show", "q", id, "--json"]).exits(0).json()["data"].clone();
    assert_eq!([data("1"), data("2"), data("3")], [json!([1, 2]), json!("text"), json!({})]);
    let ended = oxherd.run(&["job", "add", "q", "n", "hello"]).exits(65);
    assert!(ended.stderr.contains("data:1:1: expected JSON"), "{}", ended.stderr);
    oxherd.run(&["job", "add", "q", "n", "@missing.json"]).exits(65);
}

#[test]
fn json_lines_are_added_in_order_and_a_bad_one_ends_it() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let mut good = String::new();
    for n in 0..1_200 {
        writeln!(good, "{{\"name\":\"n{n}\",\"data\":{n}}}").unwrap();
    }
    let ended = oxherd.run_with_input(&["job", "add", "bulk", "--from", "-"], &good).exits(0);
    assert_eq!(ended.stdout, "added 1200 jobs to bulk\n");
    assert!(ended.stderr.is_empty(), "a progress bar without a terminal: {}", ended.stderr);
    assert_eq!(redis.call(&["LLEN", "bull:bulk:wait"]), "1200");
    assert_eq!(redis.call(&["HGET", "bull:bulk:1", "data"]), "0");
    assert_eq!(redis.call(&["HGET", "bull:bulk:1200", "data"]), "1199");

    let path = oxherd.file("jobs.jsonl", "{\"name\":\"a\"}\n{\"name\":\"b\",\"data\":{]}\n{\"name\":\"c\"}\n");
    let ended = oxherd.run(&["job", "add", "bad", "--from", text(&path)]).exits(65);
    assert_eq!(ended.stdout, "added 1 job to bad\n");
    assert!(ended.stderr.contains("jobs.jsonl:2:21: key must be a string"), "{}", ended.stderr);
    assert_eq!(redis.call(&["LLEN", "bull:bad:wait"]), "1");

    let lines = "{\"data\":1,\"opts\":{\"attempts\":2}}\n{\"data\":2}\n";
    let arguments = ["job", "add", "named", "n", "--from", "-", "--attempts", "7", "--ids"];
    assert_eq!(oxherd.run_with_input(&arguments, lines).exits(0).stdout, "1\n2\n");
    let attempts = |id| oxherd.run(&["job", "show", "named", id, "--json"]).exits(0).json()["opts"]["attempts"].clone();
    assert_eq!([attempts("1"), attempts("2")], [2, 7]);
    oxherd.run(&["job", "add", "q", "--from", "missing.jsonl"]).exits(65);
}

#[test]
fn what_is_not_there_is_1_with_a_message() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.run(&["job", "add", "email", "n"]).exits(0);
    for (arguments, part) in [
        (&["queue", "show", "emial"][..], "there are email"),
        (&["job", "ls", "emial"], "no queue emial"),
        (&["job", "show", "emial", "1"], "no queue emial"),
        (&["job", "show", "email", "7"], "no job \"7\" in queue email"),
        (&["job", "show", "email", "7", "--tree"], "no job \"7\" in queue email"),
        (&["job", "show", "emial", "7", "--tree"], "no queue emial"),
        (&["job", "logs", "email", "7"], "no job \"7\" in queue email"),
        (&["job", "logs", "emial", "7"], "no queue emial"),
    ] {
        let ended = oxherd.run(arguments).exits(1);
        assert!(ended.stderr.contains(part) && ended.stdout.is_empty(), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_flow_is_shown_as_a_tree() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    for command in [
        "HSET bull:report:p name report data {} opts {}",
        "ZADD bull:report:waiting-children 1 p",
        "HSET bull:report:p:processed bull:pages:c1 1",
        "SADD bull:report:p:dependencies bull:pages:c2 bull:pages:gone",
        "HSET bull:pages:c1 name page data {} opts {}",
        "ZADD bull:pages:completed 1 c1",
        "HSET bull:pages:c2 name page data {} opts {}",
        "ZADD bull:pages:waiting-children 1 c2",
        "ZADD bull:pages:c2:unsuccessful 1 bull:fetch:g",
        "HSET bull:fetch:g name fetch data {} opts {} failedReason timeout",
        "ZADD bull:fetch:failed 1 g",
    ] {
        redis.call(&command.split(' ').collect::<Vec<_>>());
    }
    let expected = "\
report  report p  waiting-children
├─ page  pages c1  completed
├─ page  pages c2  waiting-children
│  └─ fetch  fetch g  failed  timeout
└─ 1 more, gone or not shown
";
    assert_eq!(oxherd.run(&["job", "show", "report", "p", "--tree"]).exits(0).stdout, expected);
    let tree = oxherd.run(&["job", "show", "report", "p", "--tree", "--json"]).exits(0).json();
    assert_eq!((&tree["job"]["id"], &tree["more"]), (&"p".into(), &1.into()));
    let child = &tree["children"][1];
    assert_eq!((&child["job"]["queue"], &child["children"][0]["job"]["state"]), (&"pages".into(), &"failed".into()));
    let one = oxherd.run(&["job", "show", "fetch", "g", "--tree"]).exits(0).stdout;
    assert_eq!(one, "fetch  fetch g  failed  timeout\n");
}

#[test]
fn logs_are_the_newest_rows_in_the_order_they_were_written() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    oxherd.run(&["job", "add", "email", "n"]).exits(0);
    assert_eq!(oxherd.run(&["job", "logs", "email", "1"]).exits(0).stdout, "");
    let rows: Vec<String> = (0..2_100).map(|n| format!("row {n}")).collect();
    for rows in rows.chunks(700) {
        redis.call(
            &[&["RPUSH", "bull:email:1:logs"], &rows.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat(),
        );
    }
    redis.call(&["RPUSH", "bull:email:1:logs", "end\u{1b}[2J"]);
    let logs = oxherd.run(&["job", "logs", "email", "1", "--limit", "2050"]).exits(0).stdout;
    assert_eq!(
        (logs.lines().count(), logs.lines().next(), logs.lines().last()),
        (2_050, Some("row 51"), Some("end\\u001b[2J"))
    );
    let logs = oxherd.run(&["job", "logs", "email", "1", "--limit", "2", "--json"]).exits(0).json();
    assert_eq!(logs, json!({"queue": "email", "id": "1", "count": 2_101, "logs": ["row 2099", "end\u{1b}[2J"]}));
}

#[test]
fn hostile_job_data_gives_the_terminal_no_orders() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let hostile = "x\u{1b}[2J\r\n\u{9b}31m\u{202e}y";
    let fields = ["name", hostile, "data", "\"\u{202e}\"", "failedReason", hostile, "opts", "{}"];
    redis.call(&[&["HSET", "bull:q:evil"][..], &fields].concat());
    redis.call(&["ZADD", "bull:q:failed", "1", "evil"]);
    redis.call(&["HSET", "bull:q:meta", "version", hostile]);
    for arguments in [
        &["job", "ls", "q"][..],
        &["job", "ls", "q", "--json"],
        &["job", "show", "q", "evil"],
        &["job", "show", "q", "evil", "--json"],
        &["queue", "show", "q"],
    ] {
        let ended = oxherd.run(arguments).exits(0);
        let is_bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ended.stdout.contains(is_bad), "{arguments:?}: {:?}", ended.stdout);
        assert!(ended.stdout.contains("\\u202e"), "{arguments:?}: {:?}", ended.stdout);
    }
}
