use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Oxherd, PATIENCE, Redis, eventually, text};

/// Two queues: jobs of `fast` end at once, jobs of `slow` take a minute.
const QUEUES: &str = r#"
[queues.fast]
handler = "quick"

[queues.slow]
handler = "sleeper"
timeout = "2m"

[queues.failing]
handler = "false"
attempts = 1

[handlers.quick.log]

[handlers.sleeper.log]
duration = "60s"

[handlers.false.command]
argv = ["false"]
"#;

/// A running daemon and what it logs.
struct Daemon {
    child: Child,
    lines: Receiver<Value>,
}

impl Daemon {
    fn start(oxherd: &Oxherd, arguments: &[&str]) -> Self {
        let log = ["run", "--log-format", "json", "--log-level", "debug"];
        let mut command = oxherd.command(&[&log, arguments].concat());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line));
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next log line with this message.
    #[track_caller]
    fn says(&self, message: &str) -> Value {
        let begin = Instant::now();
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
            if line["message"].as_str().is_some_and(|said| said.contains(message)) {
                return line;
            }
            seen.push(line.to_string());
        }
        panic!("the log never said {message:?}, but\n{}", seen.join("\n"));
    }

    fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    #[track_caller]
    fn ends_with(mut self, code: i32) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(code), "{:?}", self.lines.try_iter().collect::<Vec<_>>());
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "still running: {:?}", self.lines.try_iter().collect::<Vec<_>>());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn setting(redis: &Redis) -> Oxherd {
    let oxherd = Oxherd::with(redis);
    oxherd.file("oxherd.toml", QUEUES);
    oxherd
}

#[test]
fn a_drain_ends_by_itself_and_tells_whether_all_went_well() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    oxherd.run_with_input(&["job", "add", "fast", "n", "--from", "-"], "{}\n{}\n{}\n").exits(0);
    oxherd.run(&["run", "--drain"]).exits(0);
    assert_eq!(redis.call(&["ZCARD", "bull:fast:completed"]), "3");
    oxherd.run(&["job", "add", "failing", "n"]).exits(0);
    oxherd.run(&["run", "--drain"]).exits(1);
    oxherd.run(&["run", "--drain"]).exits(0);
}

#[test]
fn a_run_can_be_bounded_in_queues_jobs_and_time() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    oxherd.run_with_input(&["job", "add", "fast", "n", "--from", "-"], "{}\n{}\n{}\n").exits(0);
    oxherd.run(&["run", "--max-time", "300ms", "--queue", "failing"]).exits(0);
    assert_eq!(redis.call(&["LLEN", "bull:fast:wait"]), "3");
    oxherd.run(&["run", "--max-jobs", "2"]).exits(0);
    assert_eq!(redis.call(&["ZCARD", "bull:fast:completed"]), "2");
    let ended = oxherd.run(&["run", "--queue", "fats"]).exits(2);
    assert!(ended.stderr.contains("--queue fats") && ended.stderr.contains("fast"), "{}", ended.stderr);
}

#[test]
fn term_ends_an_idle_daemon_and_a_second_one_hands_back() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    for signal in ["TERM", "INT"] {
        let daemon = Daemon::start(&oxherd, &[]);
        daemon.says("working");
        daemon.signal(signal);
        daemon.ends_with(0);
    }
    oxherd.run(&["job", "add", "slow", "n"]).exits(0);
    let daemon = Daemon::start(&oxherd, &[]);
    daemon.says("started");
    daemon.signal("TERM");
    daemon.says("stopping");
    daemon.signal("TERM");
    daemon.ends_with(75);
    assert_eq!(redis.call(&["LLEN", "bull:slow:wait"]), "1");
    let daemon = Daemon::start(&oxherd, &[]);
    daemon.says("started");
    daemon.signal("QUIT");
    daemon.ends_with(75);
    let job = oxherd.run(&["job", "show", "slow", "1", "--json"]).exits(0).json();
    assert_eq!((&job["state"], &job["attemptsMade"]), (&"waiting".into(), &0.into()));
}

#[test]
fn a_reload_takes_over_numbers_and_refuses_a_bad_file() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    let daemon = Daemon::start(&oxherd, &[]);
    daemon.says("working");
    oxherd.file("oxherd.toml", &QUEUES.replace("[queues.fast]", "[queues.fast]\nconcurrency = 0"));
    daemon.signal("HUP");
    let problem = daemon.says("concurrency must be at least 1");
    assert!(problem["place"].as_str().unwrap().starts_with("oxherd.toml:3:"), "{problem}");
    daemon.says("nothing changed");
    oxherd.file("oxherd.toml", &format!("{QUEUES}\n[queues.new]\nhandler = \"quick\"\nconcurrency = 3\n"));
    daemon.signal("HUP");
    assert_eq!(daemon.says("configuration reloaded")["added"], "new");
    oxherd.run(&["job", "add", "new", "n"]).exits(0);
    eventually("the new queue is worked", || redis.call(&["ZCARD", "bull:new:completed"]) == "1");
    daemon.signal("USR2");
    let report = daemon.says("report");
    assert_eq!((&report["queue"], &report["slots"]), (&"failing".into(), &5.into()));
}

#[test]
fn reports_name_what_runs_and_quiet_takes_nothing_new() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    oxherd.run(&["job", "add", "slow", "first"]).exits(0);
    let daemon = Daemon::start(&oxherd, &[]);
    daemon.says("started");
    daemon.signal("USR1");
    daemon.says("quiet");
    daemon.signal("USR2");
    let running = daemon.says("running");
    assert_eq!(
        (&running["queue"], &running["name"], &running["attempt"]),
        (&"slow".into(), &"first".into(), &1.into())
    );
    oxherd.run(&["job", "add", "fast", "n"]).exits(0);
    // a report comes after the add, and nothing was taken
    daemon.signal("USR2");
    daemon.says("running");
    assert_eq!(redis.call(&["LLEN", "bull:fast:wait"]), "1");
}

#[test]
fn one_state_directory_has_one_daemon() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    oxherd.file("oxherd.toml", &format!("{QUEUES}\n[daemon]\nstate_dir = \"state\"\n"));
    let daemon = Daemon::start(&oxherd, &[]);
    daemon.says("working");
    let ended = oxherd.run(&["run"]).exits(70);
    let pid = daemon.child.id().to_string();
    assert!(ended.stderr.contains("is held by the process") && ended.stderr.contains(&pid), "{}", ended.stderr);
    daemon.signal("TERM");
    daemon.ends_with(0);
}

#[test]
fn a_restart_in_place_has_its_jobs_back_at_once() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    oxherd.file("oxherd.toml", &format!("{QUEUES}\n[daemon]\nstate_dir = \"state\"\n"));
    oxherd.run(&["job", "add", "slow", "n"]).exits(0);
    let mut daemon = Daemon::start(&oxherd, &[]);
    daemon.says("started");
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    // the lock would stand for another 15 seconds
    let begin = Instant::now();
    let daemon = Daemon::start(&oxherd, &[]);
    daemon.says("started");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[test]
fn a_log_nobody_reads_stops_nothing() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    let mut command = oxherd.command(&["run", "--log-level", "debug"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let data = format!("{{\"data\":\"{}\"}}\n", "x".repeat(1000)).repeat(200);
    oxherd.run_with_input(&["job", "add", "fast", "n", "--from", "-"], &data).exits(0);
    eventually("all jobs are done", || {
        oxherd.run(&["queue", "show", "fast", "--json"]).exits(0).json()["counts"]["completed"] == 100
            && redis.call(&["LLEN", "bull:fast:wait"]) == "0"
    });
    assert!(child.try_wait().unwrap().is_none(), "the daemon has ended");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn waiting_for_redis_can_be_ended_or_forbidden() {
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", QUEUES);
    let socket = oxherd.directory.path().join("none.sock");
    let url = format!("redis+unix://{}", text(&socket));
    let daemon = Daemon::start(&oxherd, &["--redis", &url]);
    daemon.says("waiting for redis");
    daemon.signal("TERM");
    daemon.ends_with(0);
    let ended = oxherd.run(&["run", "--redis", &url, "--set", "redis.at_start=fail"]).exits(69);
    assert!(ended.stderr.contains("none.sock"), "{}", ended.stderr);
}
