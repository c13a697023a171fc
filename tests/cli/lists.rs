//! The verbs on queues that are plain lists.

use serde_json::{Value, json};

use crate::harness::{Oxherd, Redis};

/// A list of ids, one of JSON, one of texts and one of bytes, and a queue that is none.
const LISTS: &str = r#"
[queues.imports]
list = { key = "job_queue" }
handler = "app"

[queues.orders]
list = { key = "shop:orders", take = "left", payload = "json", id = "/order/id", name = "/kind" }
handler = "app"

[queues.lines]
list = { key = "lines", payload = "text" }
handler = "app"

[queues.blobs]
list = { key = "blobs", payload = "base64" }
handler = "app"

[queues.broken]
list = { key = "broken" }
handler = "false"
attempts = 1

[queues.again]
list = { key = "again", payload = "json", id = "/id" }
handler = "false"
attempts = 2
backoff = { delay = "1h", jitter = 0 }

[queues.email]
handler = "app"

[handlers.app.log]

[handlers.false.command]
argv = ["false"]
"#;

fn with_lists(redis: &Redis) -> Oxherd {
    let oxherd = Oxherd::with(redis);
    oxherd.file("oxherd.toml", LISTS);
    oxherd
}

fn show(oxherd: &Oxherd, queue: &str) -> Value {
    oxherd.run(&["queue", "show", queue, "--json"]).exits(0).json()
}

/// Ids as `job ls` has them.
fn ids(oxherd: &Oxherd, queue: &str, state: &str) -> Vec<String> {
    let jobs = oxherd.run(&["job", "ls", queue, "--state", state, "--json"]).exits(0).json();
    jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

/// Lets the elements of these ids fail for good, the first one first.
fn dead(redis: &Redis, oxherd: &Oxherd, ids: &[&str]) {
    for id in ids {
        redis.call(&["LPUSH", "broken", id]);
        oxherd.run(&["run", "--queue", "broken", "--drain", "--log-level", "off"]).exits(1);
    }
}

#[test]
fn a_list_is_shown_with_its_length_and_among_the_other_queues() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    for id in ["1", "2", "3"] {
        redis.call(&["LPUSH", "job_queue", id]);
    }
    oxherd.run(&["job", "add", "email", "welcome"]).exits(0);
    let shown = show(&oxherd, "imports");
    assert_eq!(
        (&shown["queue"], &shown["list"], &shown["mode"]),
        (&"imports".into(), &"job_queue".into(), &"reliable".into())
    );
    assert_eq!(
        (&shown["payload"], &shown["paused"], &shown["counts"]["waiting"]),
        (&"id".into(), &false.into(), &3.into())
    );
    assert_eq!((&shown["oldestDead"], &shown["gates"], &shown["warnings"]), (&Value::Null, &json!([]), &json!([])));
    let text = oxherd.run(&["queue", "show", "imports"]).exits(0).stdout;
    for line in ["list     job_queue", "mode     reliable", "waiting  3", "active   0", "failed   0"] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    let all = oxherd.run(&["queue", "ls", "--json"]).exits(0).json();
    let names: Vec<_> = all.as_array().unwrap().iter().map(|queue| queue["queue"].as_str().unwrap()).collect();
    assert_eq!(names, ["again", "blobs", "broken", "email", "imports", "lines", "orders"]);
    assert_eq!((&all[4]["list"], &all[3]["list"]), (&"job_queue".into(), &Value::Null));
    let table = oxherd.run(&["queue", "ls"]).exits(0).stdout;
    let of = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(of("QUEUE").ends_with("LIST") && of("imports").ends_with("job_queue"), "{table}");
    // by its key, where no configuration knows it
    let elsewhere = Oxherd::with(&redis);
    elsewhere.run(&["queue", "show", "imports"]).exits(1);
    let by_key = elsewhere.run(&["queue", "show", "--list", "job_queue", "--json"]).exits(0).json();
    assert_eq!(by_key["counts"], shown["counts"]);
}

#[test]
fn elements_are_pushed_as_the_list_reads_them() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    assert_eq!(oxherd.run(&["job", "add", "imports", "1042"]).exits(0).stdout, "1042\n");
    let told = oxherd.run(&["job", "add", "imports", "1043", "--json"]).exits(0).json();
    assert_eq!(told, json!({"id": "1043", "queue": "imports", "waiting": 2}));
    assert_eq!(redis.list(&["LRANGE", "job_queue", "0", "-1"]), ["1043", "1042"]);
    assert_eq!(ids(&oxherd, "imports", "waiting"), ["1042", "1043"], "what is next in turn comes first");

    let order = r#"{"kind":"buy", "order":{"id":7}}"#;
    assert_eq!(oxherd.run(&["job", "add", "orders", order]).exits(0).stdout, "7\n");
    oxherd.file("order.json", "{\"order\":{\"id\":8}}\n");
    oxherd.run(&["job", "add", "orders", "@order.json"]).exits(0);
    assert_eq!(redis.list(&["LRANGE", "shop:orders", "0", "-1"]), [order, r#"{"order":{"id":8}}"#]);
    let job = oxherd.run(&["job", "show", "orders", "7", "--json"]).exits(0).json();
    assert_eq!(
        (&job["name"], &job["state"], &job["data"]["order"]["id"]),
        (&"buy".into(), &"waiting".into(), &7.into())
    );

    assert_eq!(oxherd.run(&["job", "add", "lines", "as it is"]).exits(0).stdout, "added 1 job to lines\n");
    oxherd.run_with_input(&["job", "add", "lines", "-"], " and this\n").exits(0);
    assert_eq!(redis.call(&["LINDEX", "lines", "1"]), "as it is");
    assert_eq!(redis.call(&["LINDEX", "lines", "0"]), " and this\n");

    oxherd.run(&["job", "add", "blobs", "AAH/"]).exits(0);
    std::fs::write(oxherd.directory.path().join("blob"), [0, 1, 254]).unwrap();
    oxherd.run(&["job", "add", "blobs", "@blob"]).exits(0);
    let blobs = oxherd.run(&["job", "ls", "blobs", "--json"]).exits(0).json();
    assert_eq!((&blobs[0]["data"], &blobs[1]["data"]), (&"AAH/".into(), &"AAH+".into()));
}

#[test]
fn many_elements_come_line_by_line() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    let many: Vec<String> = (1..=1500).map(|n| format!("job-{n}")).collect();
    oxherd.file("ids", &many.join("\n"));
    assert_eq!(oxherd.run(&["job", "add", "imports", "--from", "ids"]).exits(0).stdout, "added 1500 jobs to imports\n");
    assert_eq!(redis.call(&["LLEN", "job_queue"]), "1500");
    assert_eq!(redis.call(&["LINDEX", "job_queue", "-1"]), "job-1", "the first line is the first in turn");
    let lines = "{\"order\":{\"id\":1}}\n\n{\"order\":{\"id\":2}}\n{\"order\"\n{}\n";
    let ended = oxherd.run_with_input(&["job", "add", "orders", "--from", "-"], lines).exits(65);
    assert_eq!(ended.stdout, "added 2 jobs to orders\n");
    assert!(ended.stderr.contains("standard input:4:8: expected JSON"), "{}", ended.stderr);
    assert_eq!(redis.list(&["LRANGE", "shop:orders", "0", "-1"]), [r#"{"order":{"id":1}}"#, r#"{"order":{"id":2}}"#]);
    let told =
        oxherd.run_with_input(&["job", "add", "orders", "--from", "-", "--ids"], "{\"order\":{\"id\":3}}").exits(0);
    assert_eq!(told.stdout, "3\n");
}

#[test]
fn what_a_list_cannot_do_is_refused_with_the_reason() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    redis.call(&["LPUSH", "job_queue", "1"]);
    let flow = r#"{"name":"p","queueName":"email","children":[{"name":"c","queueName":"imports"}]}"#;
    oxherd.file("flow.json", flow);
    oxherd.file("jobs.jsonl", "");
    let refused: &[(&[&str], &str)] = &[
        (&["job", "add", "imports", "2", "--delay", "1m"], "carry no options"),
        (&["job", "add", "imports", "2", "--job-id", "two"], "leave out --job-id"),
        (&["job", "add", "imports", "name", "{}"], "expected oxherd job add QUEUE ELEMENT"),
        (&["job", "add", "--flow", "flow.json"], "neither children nor parents"),
        (&["job", "promote", "imports", "1"], "comes back when its time has come"),
        (&["job", "cancel", "imports", "1"], "not stopped one by one"),
        (&["job", "update", "imports", "1", "--priority", "1"], "remove the element and add another"),
        (&["job", "logs", "imports", "1"], "no log is kept"),
        (&["job", "export", "imports"], "oxherd job ls --json"),
        (&["job", "import", "imports", "jobs.jsonl"], "oxherd job add --from"),
        (&["job", "show", "imports", "1", "--tree"], "have no children"),
        (&["job", "ls", "imports", "--state", "active"], "as oxherd queue show does"),
        (&["job", "ls", "imports", "--state", "completed"], "expected --state waiting, delayed or failed"),
        (&["queue", "show", "imports", "--priorities"], "leave out --priorities"),
        (&["queue", "limit", "imports", "--rate-limit", "none"], "in its section of the configuration"),
        (&["queue", "orphans", "imports"], "no keys are left over"),
        (&["queue", "clean", "imports", "--state", "waiting", "--older", "1h", "--yes"], "without --older"),
        (&["schedule", "add", "s", "--queue", "imports", "--every", "1h"], "schedules feed queues without a list"),
    ];
    for (arguments, why) in refused {
        let ended = oxherd.run(arguments).exits(2);
        let says = ended.stderr.contains("queue imports is a plain list: ") && ended.stderr.contains(why);
        assert!(says, "{arguments:?}: {}", ended.stderr);
    }
    for (arguments, why) in [
        (["job", "add", "orders", "{"], "expected JSON"),
        (["job", "add", "blobs", "?"], "expected base64"),
        (["job", "add", "imports", ""], "the element is empty"),
    ] {
        let ended = oxherd.run(&arguments).exits(65);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
    assert_eq!(redis.list(&["KEYS", "*"]), ["job_queue"]);
    assert_eq!(redis.call(&["LLEN", "job_queue"]), "1");
}

#[test]
fn a_list_is_paused_and_resumed_beside_a_queue() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    oxherd.run(&["job", "add", "email", "welcome"]).exits(0);
    redis.call(&["LPUSH", "job_queue", "1"]);
    let pause = ["queue", "pause", "imports", "email"];
    assert_eq!(
        oxherd.run(&[&pause[..], &["--dry-run"]].concat()).exits(0).stdout,
        "would pause imports\nwould pause email\n"
    );
    assert_eq!(show(&oxherd, "imports")["paused"], false);
    assert_eq!(oxherd.run(&pause).exits(0).stdout, "paused imports\npaused email\n");
    assert_eq!(oxherd.run(&pause).exits(0).stdout.lines().next(), Some("paused imports, which was paused already"));
    assert_eq!((&show(&oxherd, "imports")["paused"], &show(&oxherd, "email")["paused"]), (&true.into(), &true.into()));
    oxherd.run(&["run", "--queue", "imports", "--max-time", "300ms"]).exits(0);
    assert_eq!(redis.call(&["LLEN", "job_queue"]), "1", "nothing is taken");
    assert_eq!(oxherd.run(&["queue", "resume", "imports"]).exits(0).stdout, "resumed imports\n");
    oxherd.run(&["run", "--queue", "imports", "--drain"]).exits(0);
    assert_eq!(redis.call(&["LLEN", "job_queue"]), "0");
}

#[test]
fn a_run_ends_with_the_list_or_after_so_many_elements() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    redis.call(&["RPUSH", "job_queue", "1", "2", "3", "4", "5"]);
    oxherd.run(&["run", "--queue", "imports", "--max-jobs", "2", "--set", "queues.imports.concurrency=1"]).exits(0);
    assert_eq!(redis.list(&["LRANGE", "job_queue", "0", "-1"]), ["1", "2", "3"]);
    oxherd.run(&["run", "--queue", "imports", "--drain"]).exits(0);
    assert_eq!(redis.call(&["LLEN", "job_queue"]), "0");
    oxherd.file("job.json", r#"{"id": "1042", "data": null}"#);
    let tried = oxherd.run(&["exec", "--queue", "imports", "--job", "job.json", "--json"]).exits(0).json();
    assert_eq!(tried["outcome"], "complete");
}

#[test]
fn dead_elements_are_shown_put_back_and_removed() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    dead(&redis, &oxherd, &["a", "b", "c", "d", "e"]);
    let shown = show(&oxherd, "broken");
    assert_eq!((&shown["counts"]["failed"], &shown["oldestDead"]["id"]), (&5.into(), &"a".into()));
    assert_eq!(ids(&oxherd, "broken", "failed"), ["e", "d", "c", "b", "a"], "the newest first");
    let text = oxherd.run(&["queue", "show", "broken"]).exits(0).stdout;
    assert!(text.contains("oldest failed  a, for ") && text.contains("exit code 1"), "{text}");
    let job = oxherd.run(&["job", "show", "broken", "b", "--json"]).exits(0).json();
    assert_eq!((&job["state"], &job["attemptsMade"]), (&"failed".into(), &1.into()));
    assert!(job["failedReason"].as_str().unwrap().contains("exit code 1") && job["finishedOn"].is_u64(), "{job}");

    let dry = oxherd.run(&["job", "retry", "broken", "--state", "failed", "--limit", "2", "--dry-run", "--json"]);
    assert_eq!(dry.exits(0).json()["ids"], json!(["a", "b"]), "the oldest first");
    let ended = oxherd.run(&["job", "retry", "broken", "c", "nobody", "--json"]).exits(1).json();
    let refused = json!([{"id": "nobody", "reason": "not among the failed"}]);
    assert_eq!(ended, json!({"queue": "broken", "done": 1, "refused": refused}));
    assert_eq!(redis.list(&["LRANGE", "broken", "0", "-1"]), ["c"]);
    let by_reason = ["job", "retry", "broken", "--state", "failed", "--reason"];
    assert_eq!(oxherd.run(&[&by_reason[..], &["exit code 2"]].concat()).exits(0).stdout, "retried 0 jobs in broken\n");
    let some = [&by_reason[..], &["exit code 1", "--limit", "1"]].concat();
    assert_eq!(oxherd.run(&some).exits(0).stdout, "retried 1 job in broken\n");
    assert_eq!(ids(&oxherd, "broken", "waiting"), ["c", "a"]);

    assert_eq!(oxherd.run(&["job", "remove", "broken", "a", "b"]).exits(0).stdout, "removed 2 jobs from broken\n");
    oxherd.run(&["job", "remove", "broken", "--state", "failed"]).exits(2);
    let all = ["job", "remove", "broken", "--state", "failed", "--yes"];
    assert_eq!(oxherd.run(&all).exits(0).stdout, "removed 2 jobs from broken\n");
    assert_eq!((ids(&oxherd, "broken", "failed").len(), ids(&oxherd, "broken", "waiting")), (0, vec!["c".to_owned()]));
    oxherd.run(&["job", "show", "broken", "e"]).exits(1);
}

#[test]
fn what_waits_for_its_next_attempt_can_be_seen_and_removed() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    redis.call(&["LPUSH", "again", r#"{"id":"x"}"#, r#"{"id":"y"}"#]);
    oxherd.run(&["run", "--queue", "again", "--max-jobs", "2", "--log-level", "off"]).exits(0);
    assert_eq!(show(&oxherd, "again")["counts"]["delayed"], 2);
    let job = oxherd.run(&["job", "show", "again", "x", "--json"]).exits(0).json();
    assert_eq!((&job["state"], &job["attemptsMade"], &job["data"]["id"]), (&"delayed".into(), &1.into(), &"x".into()));
    assert!(job["delay"].as_u64().is_some_and(|ms| ms > 0), "{job}");
    oxherd.run(&["job", "remove", "again", "x"]).exits(0);
    assert_eq!(ids(&oxherd, "again", "delayed"), ["y"]);
}

#[test]
fn a_list_is_emptied_only_when_that_is_meant() {
    let redis = Redis::start();
    let oxherd = with_lists(&redis);
    let fill = || redis.call(&["LPUSH", "broken", "1", "2", "3", "3", "4"]);
    dead(&redis, &oxherd, &["a", "b"]);
    fill();
    for verb in [&["drain", "broken"][..], &["clean", "broken", "--state", "waiting"], &["obliterate", "broken"]] {
        let ended = oxherd.run(&[&["queue"], verb].concat()).exits(2);
        assert!(ended.stderr.contains("say --yes"), "{}", ended.stderr);
        let dry = oxherd.run(&[&["queue"], verb, &["--dry-run", "--json"]].concat()).exits(0).json();
        assert_eq!(dry["count"], if verb[0] == "obliterate" { 7 } else { 5 }, "{dry}");
    }
    let clean = ["queue", "clean", "broken", "--yes", "--state"];
    assert_eq!(
        oxherd.run(&[&clean[..], &["waiting", "--limit", "2"]].concat()).exits(0).stdout,
        "removed 2 jobs from broken\n"
    );
    assert_eq!(redis.list(&["LRANGE", "broken", "0", "-1"]), ["4", "3", "3"]);
    oxherd.run(&["job", "remove", "broken", "3"]).exits(0);
    assert_eq!(redis.list(&["LRANGE", "broken", "0", "-1"]), ["4", "3"], "of equal ones one goes");
    assert_eq!(
        oxherd.run(&[&clean[..], &["failed", "--older", "1h"]].concat()).exits(0).stdout,
        "removed 0 jobs from broken\n"
    );
    assert_eq!(
        oxherd.run(&[&clean[..], &["failed", "--limit", "1"]].concat()).exits(0).stdout,
        "removed 1 job from broken\n"
    );
    assert_eq!(ids(&oxherd, "broken", "failed"), ["b"], "the oldest goes first");
    let drained = oxherd.run(&["queue", "drain", "broken", "--yes", "--json"]).exits(0).json();
    assert_eq!(drained, json!({"queue": "broken", "done": 2, "refused": []}));
    fill();
    oxherd.run(&["queue", "pause", "broken"]).exits(0);
    assert_eq!(oxherd.run(&["queue", "obliterate", "broken", "--yes"]).exits(0).stdout, "removed 6 jobs from broken\n");
    let shown = show(&oxherd, "broken");
    assert_eq!((&shown["paused"], &shown["counts"]["failed"]), (&false.into(), &0.into()));
}
