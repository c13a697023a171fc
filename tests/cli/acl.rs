//! `oxherd acl`: a whole life under the printed rule, and nothing in the rule that no life needs.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{Ended, Oxherd, Redis, eventually, text};
use crate::support::daemon::Daemon;
use crate::support::viewer::{ask, follow, free_port};

/// What jobs do, by their name.
const WORK: &str = r#"
import time
from oxherd import Defer, Key, UnrecoverableError, WaitForChildren

def work(job):
    if job.name == "report":
        job.update_progress(50)
        job.log("a row")
        job.update_data({"tenantId": "t1", "seen": True})
        return {"done": True}
    if job.name == "twice" and job.attempt == 1:
        raise ValueError("the first time")
    if job.name == "fail":
        raise UnrecoverableError("for good")
    if job.name == "later":
        if not job.get("put"):
            job.update_data({"put": True})
            raise Defer(0.2)
        return "put off"
    if job.name == "family":
        if not job.get("asked"):
            job.update_data({"asked": True})
            job.add_children([{"name": "child", "queueName": "native", "data": {}}])
            raise WaitForChildren()
        return "all there"
    if job.name == "hang":
        job.update_progress(1)
        job.wait_cancelled(60)
        job.raise_if_cancelled()
    if job.name == "app":
        beside(job.app)
    return None

def beside(app):
    key = Key("user", "profile", id=7)
    app.cache.set(key, {"a": 1}, ttl=60, tags=["team"])
    app.cache.get(key)
    app.cache.get_many([key, Key("user", "none")])
    app.cache.get_or_set(Key("user", "made", id=1), lambda: 1, ttl=60, tags=["team"])
    app.cache.delete(key)
    app.cache.delete_tag("team")
    one = app.sessions.create("ann", {"x": 1}, ttl=60, limit=5)
    two = app.sessions.create("ann", {"x": 2}, ttl=60, limit=1, at_limit="oldest")
    app.sessions.read(two["id"])
    app.sessions.touch(two["id"])
    app.sessions.update(two["id"], {"x": 3})
    app.sessions.list("ann")
    app.sessions.count("ann")
    app.sessions.revoke_device("ann", two["device"])
    app.sessions.revoke(two["id"])
    app.sessions.revoke_all("ann")
    app.limiter.check("ann", "login", 5, 60)
    app.limiter.check("ann", "login", 5, 60, kind="bucket")
    app.limiter.peek("ann", "login", 5, 60)
    app.limiter.reset("ann", "login", 5, 60)
    app.presence.beat("room", "ann", "tab", 30)
    app.presence.list("room")
    app.presence.count("room")
    app.presence.online("room", ["ann"])
    app.presence.leave("room", "ann", "tab")
"#;

/// Everything a configuration can use in Redis.
fn everything(port: u16, work: &Path) -> String {
    let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helpers/oxherd.py");
    let pool =
        |app: &str| json!(["python3", helper, format!("{}:work", work.display()), "--slots", "4"]).to_string() + app;
    let sweep = |name: &str, rest: &str| {
        format!("[queues.{name}]\nhandler = \"{name}\"\nattempts = 1\n[handlers.{name}.redis]\n{rest}\n")
    };
    [
        "[defaults]\nlock = \"2s\"\nstalled_interval = \"500ms\"\nbackoff = { delay = \"50ms\" }\nattempts = 2\n".to_owned(),
        "global_concurrency = 50\nrate_limit = { max = 1000, per = \"1s\" }\nmetrics = 10\n".to_owned(),
        "[queues.native]\nhandler = \"native\"\nkeep_completed = { count = 3 }\nkeep_failed = { age = \"1h\" }\n".to_owned(),
        format!("[handlers.native.process]\napp = [\"cache\", \"session\", \"limit\", \"presence\"]\nargv = {}\n", pool("")),
        "[queues.native-list]\nlist = { key = \"job_queue\", payload = \"json\", lease = \"1s\" }\nhandler = \"native\"\n".into(),
        "[queues.pops]\nlist = { key = \"a pop\", mode = \"at-most-once\" }\nhandler = \"native\"\n".into(),
        sweep("deletes", "action = \"delete\"\nmatch = \"preview:*\""),
        sweep("expires", "action = \"expire\"\nmatch = \"page:*\"\nttl = \"1h\""),
        sweep("tags", "action = \"tag-delete\"\ntag = \"tag:{data.tag}\"\nmember = \"page:{member}\""),
        sweep("prunes", "action = \"set-prune\"\nmatch = \"index:*\"\nmember = \"page:{member}\"\ngrace = \"0s\""),
        sweep("trims", "action = \"trim\"\nmatch = \"history:*\"\ncount = 2"),
        "[shutdown]\ndrain = \"500ms\"\ncancel = \"2s\"\n[schedules.bullmqs]\nevery = \"1s\"\nqueue = \"native\"\n".into(),
        "[schedules.own]\nevery = \"1s\"\nqueue = \"native\"\noverlap = \"queue\"\njitter = \"10ms\"\n".into(),
        "[status]\nchannel = [\"job_updates\", \"jobs:{queue}:{tenant}\"]\nstream = { key = \"kept:updates\" }\n".into(),
        format!("[admin]\nlisten = \"127.0.0.1:{port}\"\ntoken = \"the-token-of-the-admin\"\n"),
    ]
    .concat()
}

/// What a user has used, by what MONITOR shows of the connections that come over TCP.
struct Used {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Used {
    fn watch(redis: &Redis) -> Self {
        let mut stream = UnixStream::connect(redis.socket()).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut ok = String::new();
        reader.read_line(&mut ok).unwrap();
        assert_eq!(ok, "+OK\r\n");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&lines);
        std::thread::spawn(move || {
            let mut is_ours = false;
            for line in reader.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let Some((head, words)) = line.split_once("] ") else { continue };
                // what a script calls stands behind the call of the script
                if !head.ends_with(" lua") {
                    is_ours = head.contains(" 127.0.0.1:");
                }
                if is_ours {
                    noted.lock().unwrap().push(words.to_owned());
                }
            }
        });
        Self { lines }
    }

    /// The same, with what MONITOR does not show, and nobody but the user sends.
    fn commands_of(&self, redis: &Redis) -> BTreeSet<String> {
        let stats = redis.call(&["INFO", "commandstats"]);
        let hidden = ["client|list", "client|unblock", "config|get", "latency|latest", "slowlog|get"];
        let counted = hidden.iter().filter(|name| stats.contains(&format!("cmdstat_{name}:")));
        self.commands().into_iter().chain(counted.map(ToString::to_string)).collect()
    }

    /// Names of commands in small letters, as rules spell them.
    fn commands(&self) -> BTreeSet<String> {
        let lines = self.lines.lock().unwrap();
        let name = |line: &String| {
            let mut words = line.split(' ').map(|word| word.trim().trim_matches('"').to_ascii_lowercase());
            let first = words.next()?;
            let is_container =
                ["client", "config", "latency", "object", "pubsub", "slowlog", "xinfo"].contains(&first.as_str());
            Some(if is_container { format!("{first}|{}", words.next()?) } else { first })
        };
        lines.iter().filter_map(name).collect()
    }

    fn touched(&self, start: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line.contains(&format!("\"{start}")))
    }
}

/// A Redis that can be reached over TCP, too.
fn on_tcp(redis: &Redis) -> u16 {
    let port = free_port();
    assert_eq!(redis.call(&["CONFIG", "SET", "port", &port.to_string()]), "OK");
    port
}

/// Makes a user of the rule that is printed for this configuration; what the rule grants.
fn user(oxherd: &Oxherd, redis: &Redis, file: &Path, name: &str, bearer: &str) -> Vec<String> {
    let arguments = ["acl", "-c", text(file), "--user", name, "--for", bearer];
    let printed = oxherd.run(&arguments).exits(0).stdout;
    // redis-cli takes the line as it is
    let mut child = std::process::Command::new("redis-cli");
    let rule = printed.replace(">PASSWORD", ">secret");
    let mut child = child
        .args(["-s", text(&redis.socket())])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(rule.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "OK", "{rule}");
    rule.split_whitespace().filter_map(|word| word.strip_prefix('+')).map(str::to_owned).collect()
}

/// What has been denied so far.
fn denied(redis: &Redis) -> Vec<String> {
    let log = redis.list(&["ACL", "LOG"]);
    let field = |entry: &[String], name: &str| {
        entry.iter().position(|word| word == name).and_then(|at| entry.get(at + 1)).cloned().unwrap_or_default()
    };
    log.split(|word| word == "count")
        .skip(1)
        .map(|entry| format!("{} {} of {}", field(entry, "reason"), field(entry, "object"), field(entry, "username")))
        .collect()
}

/// What is granted and was not used must be explained. Some of that is used on a slow machine alone.
#[track_caller]
fn is_smallest(granted: &[String], used: &BTreeSet<String>, explained: &[(&str, &str)]) {
    let unused: Vec<_> = granted
        .iter()
        .filter(|command| !used.contains(*command))
        .filter(|command| !explained.iter().any(|(name, _)| name == command))
        .collect();
    assert!(unused.is_empty(), "granted, but neither used nor explained: {unused:?}");
}

#[test]
fn a_daemon_lives_its_whole_life_under_its_rule() {
    let redis = Redis::start();
    let oxherd = Oxherd::new();
    let work = oxherd.file("work.py", WORK);
    let port = free_port();
    let toml = everything(port, &work);
    let file = oxherd.file("oxherd.toml", &toml);
    let granted = user(&oxherd, &redis, &file, "worker", "daemon");
    let used = Used::watch(&redis);
    let url = format!("redis://worker:secret@127.0.0.1:{}", on_tcp(&redis));
    for n in 0..3 {
        redis.call(&["SET", &format!("preview:{n}"), "x"]);
        redis.call(&["SET", &format!("page:{n}"), "x"]);
        redis.call(&["SADD", "tag:a", &n.to_string()]);
        redis.call(&["SADD", "index:a", &n.to_string()]);
        redis.call(&["ZADD", "index:z", "1", &format!("gone-{n}")]);
        redis.call(&["RPUSH", "history:a", &n.to_string()]);
    }
    let mut daemon = Daemon::start_at(&url, &toml);
    daemon.says("\"working\"");
    let mut seen = follow(port, "token=the-token-of-the-admin");
    let add = |words: &[&str]| {
        let url = redis.url();
        oxherd.run(&[&["job", "add"], words, &["--redis", &url]].concat()).exits(0).stdout.trim().to_owned()
    };
    for name in ["report", "twice", "fail", "later", "family", "app"] {
        add(&["native", name, "{\"tenantId\":\"t1\"}", "--job-id", name, "--attempts", "2", "--backoff", "fixed:50ms"]);
        redis.call(&["LPUSH", "job_queue", &json!({"id": name, "name": name}).to_string()]);
    }
    redis.call(&["LPUSH", "a pop", "1"]);
    for (name, data) in
        [("deletes", "{}"), ("expires", "{}"), ("tags", "{\"tag\":\"a\"}"), ("prunes", "{}"), ("trims", "{}")]
    {
        add(&[name, "n", data, "--job-id", "one"]);
        eventually(&format!("{name} is done"), || {
            let reason = redis.call(&["HGET", &format!("bull:{name}:one"), "failedReason"]);
            assert_eq!(reason, "", "{name}");
            !redis.call(&["ZSCORE", &format!("bull:{name}:completed"), "one"]).is_empty()
        });
    }
    for (name, state) in [
        ("report", "completed"),
        ("twice", "completed"),
        ("fail", "failed"),
        ("later", "completed"),
        ("family", "completed"),
    ] {
        let field = if state == "failed" { "failedReason" } else { "returnvalue" };
        eventually(&format!("{name} is {state}"), || {
            // of completed ones three are kept
            !redis.call(&["HGET", &format!("bull:native:{name}"), field]).is_empty() || seen_end(&redis, name, state)
        });
    }
    eventually("the list is done", || redis.number(&["LLEN", "job_queue"]) + redis.number(&["LLEN", "a pop"]) == 0);
    let first = seen.expect("status");
    seen.leave();
    let metrics = [("authorization", "Bearer the-token-of-the-admin")];
    assert_eq!(ask(port, "GET", "/metrics", &metrics).status, 200);
    // who comes back has missed nothing: it is read from the stream
    let path = "/v1/events?token=the-token-of-the-admin";
    let mut again = ask(port, "GET", path, &[("last-event-id", "1-0")]);
    eventually("the first is told again", || again.next().is_some_and(|event| event.data["jobId"] == first["jobId"]));
    again.leave();

    // one that hangs is cancelled; the next outlives its daemon and is found stalled
    add(&["native", "hang", "--job-id", "cancelled"]);
    eventually("it hangs", || redis.call(&["HGET", "bull:native:cancelled", "progress"]) == "1");
    oxherd.run(&["job", "cancel", "native", "cancelled", "--redis", &redis.url()]).exits(0);
    add(&["native", "hang", "--job-id", "left"]);
    eventually("it hangs", || redis.call(&["HGET", "bull:native:left", "progress"]) == "1");
    for verb in ["pause", "resume"] {
        oxherd.run(&["queue", verb, "native", "--redis", &redis.url()]).exits(0);
    }
    daemon.kill();
    daemon.again();
    eventually("it is put back", || redis.call(&["HGET", "bull:native:left", "stc"]) == "1");
    assert_eq!(daemon.stop(), Some(75));

    assert_eq!(denied(&redis), [""; 0]);
    is_smallest(&granted, &used.commands_of(&redis), DAEMON);
    for start in
        ["bull:native:", "job_queue", "{job_queue}:oxherd:", "a pop", "kept:updates", "jobs:native:", "app:session:"]
    {
        assert!(used.touched(start), "{start} is granted and not touched");
    }
}

/// Whether the event stream tells that a job has ended.
fn seen_end(redis: &Redis, id: &str, state: &str) -> bool {
    let events = redis.list(&["XRANGE", "bull:native:events", "-", "+"]);
    events.windows(4).any(|words| words[0] == "event" && words[1] == state && words[3] == id)
}

/// What the daemon's rule grants and its life above does not use.
const DAEMON: &[(&str, &str)] = &[
    ("lpop", "lists that are taken from the left"),
    ("lpos", "a take whose answer was lost, and whose jobs are looked for"),
    ("lset", "an element that its process died of, set aside in the middle of a take"),
    ("persist", "children with a window of deduplication that is to have no end"),
    ("pubsub|numpat", "whether anybody listens, where one channel is told alone and nothing is kept"),
    ("pubsub|numsub", "the same"),
    ("rename", "a queue paused in the manner of 5.x; a hash that cannot be read, put aside"),
    ("setrange", "a window of a limit that an earlier request began"),
    ("xlen", "streams that are shortened"),
];

#[test]
fn people_type_the_whole_page_on_administration_under_their_rule() {
    let redis = Redis::start();
    let oxherd = Oxherd::new();
    let list = "[queues.imports]\nlist = { key = \"job_queue\" }\nhandler = \"app\"\n[handlers.app.log]\n";
    let file = oxherd.file("people.toml", list);
    let granted = user(&oxherd, &redis, &file, "people", "cli");
    let used = Used::watch(&redis);
    let url = format!("redis://people:secret@127.0.0.1:{}", on_tcp(&redis));
    crate::docs::type_the_page(&redis, &url);
    Ended::new(&oxherd.command(&["doctor", "--redis", &url]).output().unwrap()).exits(0);
    assert_eq!(denied(&redis), [""; 0]);
    is_smallest(&granted, &used.commands_of(&redis), PEOPLE);
}

/// What the rule of people grants and the page does not use.
const PEOPLE: &[(&str, &str)] = &[
    ("decrby", "ids that were drawn for jobs which are duplicates"),
    ("hscan", "children that have ended"),
    ("lpop", "jobs that wait in both lists of a paused queue"),
    ("lset", "jobs cleaned out of a long list"),
    ("mget", "many jobs moved at once"),
    ("persist", "windows of deduplication that are to have no end"),
    ("publish", "orders and messages, where the job runs or somebody listens"),
    ("rename", "a queue paused in the manner of 5.x"),
    ("srem", "children of jobs that are removed"),
    ("sscan", "children that have not ended"),
    ("subscribe", "`oxherd watch`, which has no end"),
    ("xrevrange", "how a job that is gone has ended"),
    ("zremrangebyscore", "finished jobs past their keeping"),
];

#[test]
fn a_rule_says_who_and_for_what() {
    let oxherd = Oxherd::new();
    let file = oxherd.file("oxherd.toml", "[redis]\nusername = \"worker\"\npassword = \"hunter2\"\n[queues.email]\nhandler = \"app\"\n[handlers.app.log]\n");
    let ended = oxherd.run(&["acl"]).exits(0);
    assert!(
        ended.stdout.starts_with("ACL SETUSER worker reset on >PASSWORD resetchannels ~bull:email:* &"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("hunter2") && !ended.stdout.contains("+@") && !ended.stdout.contains("+xread"));
    assert!(ended.stderr.contains("# working BullMQ queues: ~bull:email:* "), "{}", ended.stderr);
    let line = oxherd.run(&["acl", "--format", "file", "--user", "w", "--with-password"]).exits(0).stdout;
    let hash = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
    assert!(line.starts_with(&format!("user w on #{hash} resetchannels ~bull:email:* ")), "{line}");
    let shown: Value = oxherd.run(&["acl", "--json", "--for", "producer", "--queue", "other"]).exits(0).json();
    assert_eq!(shown["parts"][1]["for"], "adding jobs");
    assert_eq!(shown["parts"][1]["keys"], json!(["bull:email:*", "bull:other:*"]));
    std::fs::remove_file(file).unwrap();
    assert!(oxherd.run(&["acl"]).exits(2).stderr.contains("no queues"));
    oxherd.run(&["acl", "--for", "viewer"]).exits(0);
}

#[test]
fn f48_a_daemon_names_what_it_may_not_do() {
    let redis = Redis::start();
    let oxherd = Oxherd::new();
    let toml = "[queues.email]\nhandler = \"app\"\n[handlers.app.log]\n";
    let file = oxherd.file("oxherd.toml", toml);
    user(&oxherd, &redis, &file, "worker", "daemon");
    redis.call(&["ACL", "SETUSER", "worker", "-client|unblock", "-zrem"]);
    let url = format!("redis+unix://worker:secret@{}", redis.socket().display());
    let mut daemon = Daemon::start_at(&url, toml);
    daemon.says("not allowed: +client|unblock +zrem");
    assert!(!daemon.log().contains("secret"), "{}", daemon.log());
    daemon.stop();
    let found = oxherd.run(&["doctor", "--json", "-c", text(&file), "--redis", &url]).exits(1).json();
    let rights = found["findings"].as_array().unwrap().iter().find(|found| found["code"] == "rights-missing").unwrap();
    assert_eq!(rights["severity"], "error");
    assert_eq!(rights["seen"], "not allowed: +client|unblock +zrem");
}
