//! bull-board, over a BullMQ client of either release, on queues that oxherd works: what it shows and what it presses.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::oxherd::Oxherd;
use super::support::eventually;
use super::support::program::{Program, node};
use super::support::redis::Redis;

/// The board's own HTTP API, at an address and a path.
struct Board {
    address: String,
    path: String,
    _program: Program,
}

impl Board {
    fn start(version: u8, redis: &Redis) -> Self {
        let mut program = node("board.mjs", version, redis, &["--queues", "email,children,commands"]);
        let ready = program.wait_for("ready", |line| line["event"] == "ready");
        let (address, path) = ready["url"].as_str().unwrap().strip_prefix("http://").unwrap().split_once('/').unwrap();
        Self { address: address.into(), path: path.into(), _program: program }
    }

    /// The body of the answer, which has to be a good one.
    fn call(&self, method: &str, path: &str, body: &Value) -> String {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        // of the old version: the answer is not in chunks and ends with the connection
        let request = format!(
            "{method} /{}{path} HTTP/1.0\r\nHost: board\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.path,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {head}\n{body}");
        body.to_owned()
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.call("GET", path, &Value::Null)).unwrap()
    }

    fn put(&self, path: &str) {
        self.call("PUT", path, &Value::Null);
    }

    /// What the board shows of a queue with this list open.
    fn queue(&self, name: &str, status: &str) -> Value {
        let shown = self.get(&format!("/api/queues?activeQueue={name}&status={status}&page=1&jobsPerPage=50"));
        shown["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == name).unwrap().clone()
    }

    fn counts(&self, name: &str) -> Value {
        self.queue(name, "latest")["counts"].clone()
    }

    /// Ids of the jobs it lists under a status.
    fn listed(&self, status: &str) -> Vec<String> {
        let queue = self.queue("email", status);
        let mut ids: Vec<_> = queue["jobs"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect();
        ids.sort();
        ids
    }

    fn job(&self, queue: &str, id: &str) -> Value {
        self.get(&format!("/api/queues/{queue}/{id}"))
    }

    #[track_caller]
    fn wait_for(&self, queue: &str, id: &str, status: &str) -> Value {
        eventually(&format!("{id} is {status}"), || self.job(queue, id)["status"] == status);
        self.job(queue, id)["job"].clone()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn add(control: &mut Program, id: &str, data: &Value, mut opts: Value) {
    opts["jobId"] = id.into();
    control.press(&["add", id, &data.to_string(), &opts.to_string()]);
}

/// The queue `commands` runs a program that logs and fails once.
fn oxherd_at_work(redis: &Redis) -> Oxherd {
    let commands = "[handlers.script.command]\nargv = [\"sh\", \"-c\", \"echo step one >&2; echo step two >&2; test $OXHERD_ATTEMPT = 2\"]\n\
                    [queues.commands]\nhandler = \"script\"\nattempts = 1\n";
    Oxherd::start_with(redis, &["email", "children"], "concurrency = 2\nmetrics = 60", commands)
}

fn shows_and_presses(version: u8) {
    let redis = Redis::start();
    let board = Board::start(version, &redis);
    let mut control = node("control.mjs", version, &redis, &["serve"]).ready();
    let mut commands = node("control.mjs", version, &redis, &["serve", "--queue", "commands"]).ready();
    let _oxherd = oxherd_at_work(&redis);

    // jobs in each state; two that are held fill all slots, so that the rest stays where it is
    add(&mut control, "good", &json!({"n": 1}), json!({}));
    add(&mut control, "bad", &json!({"n": 2, "failures": 1}), json!({}));
    board.wait_for("email", "good", "completed");
    board.wait_for("email", "bad", "failed");
    add(&mut commands, "logged", &json!({}), json!({}));
    board.wait_for("commands", "logged", "failed");
    let child = |id: &str, failures: u8| json!({"name": "child", "queueName": "children", "data": {"n": 5, "failures": failures}, "opts": {"jobId": id}});
    let tree = json!({"name": "root", "queueName": "email", "data": {"n": 6}, "opts": {"jobId": "root"},
                      "children": [child("child-1", 0), child("child-2", 1)]});
    control.press(&["add-flow", &tree.to_string()]);
    board.wait_for("children", "child-2", "failed");
    add(&mut control, "later", &json!({"n": 7}), json!({"delay": 3_600_000}));
    add(&mut control, "never", &json!({"n": 8}), json!({"delay": 3_600_000}));
    let directory = tempfile::tempdir().unwrap();
    let released = directory.path().join("released");
    for held in ["held-1", "held-2"] {
        add(&mut control, held, &json!({"until": released}), json!({}));
        board.wait_for("email", held, "active");
    }
    add(&mut control, "next", &json!({"n": 9}), json!({}));
    add(&mut control, "urgent", &json!({"n": 10}), json!({"priority": 1}));

    for (status, ids) in [
        ("completed", &["good"][..]),
        ("failed", &["bad"]),
        ("waiting-children", &["root"]),
        ("delayed", &["later", "never"]),
        ("active", &["held-1", "held-2"]),
        ("waiting", &["next"]),
        ("prioritized", &["urgent"]),
    ] {
        assert_eq!(board.listed(status), ids, "{status}");
        assert_eq!(board.counts("email")[status], ids.len(), "{status}");
    }
    assert_eq!(board.listed("latest").len(), 9);

    shown_fields(&board);
    pressed_jobs(&board, &redis, || drop(std::fs::File::create(&released).unwrap()));
    pressed_queues(&board, &redis, &mut control);
}

/// What is shown of a job is what oxherd made of it.
fn shown_fields(board: &Board) {
    let good = board.job("email", "good")["job"].clone();
    assert_eq!((&good["returnValue"], &good["isFailed"]), (&json!({"by": "node", "n": 1}), &json!(false)));
    assert_eq!((&good["attempts"], &good["data"]), (&json!(1), &json!({"n": 1})));
    assert!(good["processedOn"].is_u64() && good["finishedOn"].as_u64() >= good["processedOn"].as_u64(), "{good}");
    let bad = board.job("email", "bad")["job"].clone();
    assert!(text(&bad["failedReason"]).contains("told to fail attempt 1"), "{bad}");
    assert_eq!((&bad["isFailed"], bad["stacktrace"].as_array().unwrap().len()), (&json!(true), 1), "{bad}");
    assert_eq!(board.get("/api/queues/commands/logged/logs"), json!(["step one", "step two"]));

    let flow = board.get("/api/queues/email/root/flow");
    let root = if flow["flowRoot"].is_object() { &flow["flowRoot"] } else { &flow };
    assert_eq!((&root["id"], &root["state"]), (&json!("root"), &json!("waiting-children")), "{flow}");
    let mut children: Vec<(String, String)> =
        root["children"].as_array().unwrap().iter().map(|child| (text(&child["id"]), text(&child["state"]))).collect();
    children.sort();
    let expected =
        [("child-1", "completed"), ("child-2", "failed")].map(|(id, state)| (id.to_owned(), state.to_owned()));
    assert_eq!(children, expected, "{flow}");

    let workers = board.get("/api/queues/email/workers");
    assert_eq!(workers["workers"].as_array().unwrap().len(), 1, "{workers}");
    let metrics = board.get("/api/queues/email/metrics");
    assert_eq!((&metrics["completed"]["meta"]["count"], &metrics["failed"]["meta"]["count"]), (&json!(1), &json!(1)));
    assert!(board.get("/api/redis/stats").is_object());
    assert!(board.call("GET", "", &Value::Null).contains("<title>Bull Dashboard</title>"));
}

/// What is pressed on a job, oxherd goes by. `release` ends the jobs that are held.
fn pressed_jobs(board: &Board, redis: &Redis, release: impl FnOnce()) {
    board.call("PATCH", "/api/queues/email/next/update-data", &json!({"jobData": {"n": 90}}));
    board.call("PATCH", "/api/queues/email/next/priority", &json!({"priority": 7}));
    board.put("/api/queues/email/never/clean");
    board.put("/api/queues/email/bad/retry");
    board.put("/api/queues/email/later/promote");
    release();
    for id in ["held-1", "held-2", "bad", "later", "next", "urgent"] {
        board.wait_for("email", id, "completed");
    }
    assert_eq!(board.job("email", "bad")["job"]["attempts"], 2);
    assert_eq!(board.job("email", "next")["job"]["returnValue"]["n"], 90);
    assert_eq!(redis.number(&["EXISTS", "bull:email:never"]), 0);

    // the child that blocked its parent does well the second time
    board.put("/api/queues/children/retry/failed");
    board.wait_for("email", "root", "completed");
    board.put("/api/queues/commands/logged/retry");
    board.wait_for("commands", "logged", "completed");
    assert_eq!(board.get("/api/queues/commands/logged/logs").as_array().unwrap().len(), 4);
}

/// What is pressed on a queue, oxherd goes by.
fn pressed_queues(board: &Board, redis: &Redis, control: &mut Program) {
    // of those that ended over 5 s ago, which one did now
    redis.call(&["ZADD", "bull:email:completed", "1", "good"]);
    board.put("/api/queues/email/clean/completed");
    assert!(!board.listed("completed").contains(&"good".to_owned()));

    board.put("/api/queues/email/pause");
    assert_eq!(board.queue("email", "latest")["isPaused"], true);
    add(control, "patient", &json!({}), json!({}));
    add(control, "patient-2", &json!({}), json!({"delay": 3_600_000}));
    board.put("/api/queues/email/promote");
    std::thread::sleep(std::time::Duration::from_millis(150));
    let held = ["waiting", "paused"].map(|status| board.counts("email")[status].as_u64().unwrap_or(0));
    assert_eq!(held.iter().sum::<u64>(), 2, "{}", board.counts("email"));
    board.put("/api/queues/email/resume");
    board.wait_for("email", "patient", "completed");
    board.wait_for("email", "patient-2", "completed");

    // one at a time, whatever slots there are
    board.call("PUT", "/api/queues/email/concurrency", &json!({"concurrency": 1}));
    for id in ["one", "two"] {
        add(control, id, &json!({"work": 300}), json!({}));
    }
    board.wait_for("email", "one", "active");
    assert_eq!(board.counts("email")["active"], 1);
    board.wait_for("email", "two", "completed");
    assert_eq!(board.queue("email", "latest")["globalConcurrency"], 1);

    board.put("/api/queues/email/pause");
    add(control, "unwanted", &json!({}), json!({}));
    board.put("/api/queues/email/empty");
    board.put("/api/queues/email/resume");
    assert_eq!(redis.number(&["EXISTS", "bull:email:unwanted"]), 0);
}

#[test]
fn bull_board_over_bullmq_6_shows_and_presses_what_oxherd_works() {
    shows_and_presses(6);
}

#[test]
fn bull_board_over_bullmq_5_shows_and_presses_what_oxherd_works() {
    shows_and_presses(5);
}
