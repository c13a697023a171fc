//! What a service manager is told over its socket, `sd_notify(3)`, by the real binary.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::harness::{Oxherd, PATIENCE, Redis, eventually};

const QUEUES: &str = r#"
[queues.quick]
handler = "env"
concurrency = 2

[queues.slow]
handler = "sleeper"
concurrency = 3
timeout = "2m"

[handlers.env.command]
argv = ["env"]

[handlers.sleeper.log]
duration = "60s"
"#;

/// Stands in for systemd.
struct Manager {
    socket: UnixDatagram,
    name: OsString,
    _directory: tempfile::TempDir,
}

impl Manager {
    /// At a path, as systemd itself.
    fn at_path() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        Self::on(UnixDatagram::bind(&path).unwrap(), path.into_os_string(), directory)
    }

    /// In no directory, as some containers have it.
    fn without_path() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // unique, as the directory is
        let name = format!("oxherd{}", directory.path().display());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Self::on(socket, format!("@{name}").into(), directory)
    }

    fn on(socket: UnixDatagram, name: OsString, directory: tempfile::TempDir) -> Self {
        Self { socket, name, _directory: directory }
    }

    /// The next message, its lines; none when there is none for this long.
    fn next(&self, patience: Duration) -> Option<Vec<String>> {
        let mut message = [0; 4096];
        self.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).unwrap();
        match self.socket.recv(&mut message) {
            Ok(length) => {
                let text = std::str::from_utf8(&message[..length]).unwrap();
                Some(text.lines().map(str::to_owned).collect())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// All up to a line that begins so, which is the last of them.
    #[track_caller]
    fn hears(&self, beginning: &str) -> Vec<String> {
        let begin = Instant::now();
        let mut heard = Vec::new();
        while let Some(message) = self.next(PATIENCE.saturating_sub(begin.elapsed())) {
            for line in message {
                let is_it = line.starts_with(beginning);
                heard.push(line);
                if is_it {
                    return heard;
                }
            }
        }
        panic!("never heard {beginning:?}, but {heard:?}");
    }

    /// Forgets what it was told up to now.
    fn forget(&self) {
        while self.next(Duration::ZERO).is_some() {}
    }
}

/// A daemon that a manager has started.
struct Daemon(Child);

impl Daemon {
    fn start(oxherd: &Oxherd, manager: &Manager, environment: &[(&str, &str)]) -> Self {
        let mut command = oxherd.command(&["run"]);
        command.env("NOTIFY_SOCKET", &manager.name).envs(environment.iter().copied());
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn setting(redis: &Redis) -> Oxherd {
    let oxherd = Oxherd::with(redis);
    oxherd.file("oxherd.toml", QUEUES);
    oxherd
}

fn count(heard: &[String], line: &str) -> usize {
    heard.iter().filter(|heard| *heard == line).count()
}

#[test]
fn the_manager_hears_when_the_queues_are_worked_and_how_they_are() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    for manager in [Manager::at_path(), Manager::without_path()] {
        let daemon = Daemon::start(&oxherd, &manager, &[]);
        let heard = manager.hears("READY=1");
        assert!(heard.contains(&"STATUS=working 2 queues, 0 of 5 slots busy".into()), "{heard:?}");
        oxherd.run(&["job", "add", "slow", "n"]).exits(0);
        let heard = manager.hears("STATUS=working 2 queues, 1 of 5 slots busy");
        // nothing but what has changed, and no ping for a watchdog there is not
        assert_eq!(heard.len(), 1, "{heard:?}");
        daemon.signal(Signal::SIGUSR1);
        manager.hears("STATUS=quiet: 1 job");
        daemon.signal(Signal::SIGQUIT);
        manager.hears("STOPPING=1");
        drop(daemon);
        oxherd.run(&["queue", "obliterate", "slow", "--yes", "--force"]).exits(0);
    }
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end_also_when_it_is_refused() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    let manager = Manager::at_path();
    let daemon = Daemon::start(&oxherd, &manager, &[]);
    manager.hears("READY=1");
    oxherd.file("oxherd.toml", &format!("{QUEUES}\n[queues.new]\nhandler = \"env\"\nconcurrency = 1\n"));
    daemon.signal(Signal::SIGHUP);
    let first = reloading(&manager);
    let heard = manager.hears("READY=1");
    assert_eq!(heard, ["STATUS=working 3 queues, 0 of 6 slots busy", "READY=1"]);
    oxherd.file("oxherd.toml", &QUEUES.replace("concurrency = 2", "concurrency = 0"));
    daemon.signal(Signal::SIGHUP);
    assert!(reloading(&manager) > first);
    let heard = manager.hears("READY=1");
    let refused =
        "STATUS=working 3 queues, 0 of 6 slots busy; configuration refused: oxherd.toml:4: concurrency must be";
    assert!(heard.iter().any(|line| line.starts_with(refused)), "{heard:?}");
    oxherd.file("oxherd.toml", QUEUES);
    daemon.signal(Signal::SIGHUP);
    manager.hears("RELOADING=1");
    manager.hears("STATUS=working 2 queues, 0 of 5 slots busy");
    manager.hears("READY=1");
}

/// When it was told to begin, in microseconds of the machine.
#[track_caller]
fn reloading(manager: &Manager) -> u64 {
    let heard = manager.hears("MONOTONIC_USEC=");
    let [.., reloading, since] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(reloading, "RELOADING=1");
    since["MONOTONIC_USEC=".len()..].parse().unwrap()
}

#[test]
fn the_end_asks_for_time_as_it_goes_along() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    oxherd.file("oxherd.toml", &format!("{QUEUES}\n[shutdown]\ndrain = \"5s\"\ncancel = \"1s\"\n"));
    oxherd.run(&["job", "add", "slow", "n"]).exits(0);
    let manager = Manager::at_path();
    let mut daemon = Daemon::start(&oxherd, &manager, &[]);
    manager.hears("STATUS=working 2 queues, 1 of 5 slots busy");
    daemon.signal(Signal::SIGTERM);
    let heard = manager.hears("STOPPING=1");
    assert!(heard.iter().any(|line| line.starts_with("STATUS=draining: 1 job, ")), "{heard:?}");
    let mut asked = 0;
    let begin = Instant::now();
    let status = loop {
        if let Some(message) = manager.next(Duration::from_millis(50)) {
            asked += message.iter().filter(|line| *line == "EXTEND_TIMEOUT_USEC=15000000").count();
            assert_eq!(count(&message, "READY=1"), 0, "{message:?}");
        }
        if let Some(status) = daemon.0.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < PATIENCE, "it does not end");
    };
    assert_eq!(status.code(), Some(75));
    assert!(asked >= 2, "asked {asked} times");
}

#[test]
fn the_watchdog_is_fed_twice_as_often_as_it_wants_until_the_daemon_stands_still() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    let manager = Manager::at_path();
    let daemon = Daemon::start(&oxherd, &manager, &[("WATCHDOG_USEC", "400000")]);
    manager.hears("WATCHDOG=1");
    let begin = Instant::now();
    for _ in 0..10 {
        manager.hears("WATCHDOG=1");
    }
    let took = begin.elapsed();
    // the first may have been on its way already
    assert!(took >= Duration::from_millis(1700), "ten meals within {took:?}");
    daemon.signal(Signal::SIGSTOP);
    eventually("it stands still", || {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", daemon.0.id())).unwrap();
        state.rsplit(')').next().unwrap().trim_start().starts_with('T')
    });
    manager.forget();
    assert_eq!(manager.next(Duration::from_secs(1)), None);
    daemon.signal(Signal::SIGCONT);
    manager.hears("WATCHDOG=1");
}

/// The engine's thread is held; the one that keeps the locks of its jobs goes on, so that nobody else would ever take them.
#[test]
fn the_watchdog_starves_when_the_engine_stands_still_and_the_rest_does_not() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    oxherd.file("oxherd.toml", &QUEUES.replace("[queues.slow]", "[queues.slow]\nlock = \"1s\""));
    oxherd.run(&["job", "add", "slow", "n"]).exits(0);
    let manager = Manager::at_path();
    let daemon = oxherd.command(&["run"]);
    let mut holder = Command::new("python3");
    holder
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/hold.py"))
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .current_dir(oxherd.directory.path())
        .env_clear()
        .envs(daemon.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .envs([("NOTIFY_SOCKET", manager.name.as_os_str()), ("WATCHDOG_USEC", "400000".as_ref())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut holder = holder.spawn().unwrap();
    let mut orders = holder.stdin.take().unwrap();
    let mut answers = BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut order = |answer: &str| {
        writeln!(orders).unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), answer);
    };
    manager.hears("STATUS=working 2 queues, 1 of 5 slots busy");
    manager.hears("WATCHDOG=1");
    order("held");
    manager.forget();
    assert_eq!(manager.next(Duration::from_secs(3)), None);
    assert_eq!(redis.call(&["EXISTS", "bull:slow:1:lock"]), "1", "the lock would have run out after a second");
    order("free");
    manager.hears("WATCHDOG=1");
    // ends with its input
    drop(orders);
    assert!(holder.wait().unwrap().success());
}

#[test]
fn redis_going_away_is_said_and_no_reason_to_be_ended() {
    let mut redis = Redis::start();
    let oxherd = setting(&redis);
    let manager = Manager::at_path();
    let _daemon = Daemon::start(&oxherd, &manager, &[("WATCHDOG_USEC", "400000")]);
    manager.hears("READY=1");
    redis.stop();
    manager.hears("STATUS=Redis away for ");
    for _ in 0..10 {
        manager.hears("WATCHDOG=1");
    }
    redis.again();
    manager.hears("STATUS=working 2 queues, 0 of 5 slots busy");
}

#[test]
fn a_start_without_redis_is_no_failure_and_ends_within_seconds() {
    let mut redis = Redis::start();
    let oxherd = setting(&redis);
    redis.stop();
    let manager = Manager::at_path();
    let _daemon = Daemon::start(&oxherd, &manager, &[("WATCHDOG_USEC", "400000")]);
    let heard = manager.hears("STATUS=waiting for Redis: ");
    assert_eq!(count(&heard, "READY=1"), 0, "{heard:?}");
    let begin = Instant::now();
    let heard = manager.hears("READY=1");
    assert!(begin.elapsed() > Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(count(&heard, "WATCHDOG=1") > 1, "{heard:?}");
    redis.again();
    let heard = manager.hears("STATUS=working 2 queues, 0 of 5 slots busy");
    assert_eq!(count(&heard, "READY=1"), 0, "{heard:?}");
}

#[test]
fn a_watchdog_of_somebody_else_is_left_alone() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    for environment in [[("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")], [("WATCHDOG_USEC", "0"), ("TZ", "UTC")]] {
        let manager = Manager::at_path();
        let daemon = Daemon::start(&oxherd, &manager, &environment);
        let mut heard = manager.hears("READY=1");
        oxherd.run(&["job", "add", "slow", "n"]).exits(0);
        heard.extend(manager.hears("STATUS=working 2 queues, 1 of 5 slots busy"));
        assert_eq!(count(&heard, "WATCHDOG=1"), 0, "{heard:?}");
        drop(daemon);
        oxherd.run(&["queue", "obliterate", "slow", "--yes", "--force"]).exits(0);
    }
}

#[test]
fn programs_of_jobs_cannot_speak_for_the_daemon() {
    let redis = Redis::start();
    let oxherd = setting(&redis);
    let manager = Manager::at_path();
    let _daemon = Daemon::start(&oxherd, &manager, &[("WATCHDOG_USEC", "30000000")]);
    manager.hears("READY=1");
    oxherd.run(&["job", "add", "quick", "n"]).exits(0);
    eventually("the job is done", || redis.call(&["ZCARD", "bull:quick:completed"]) == "1");
    let environment = redis.call(&["HGET", "bull:quick:1", "returnvalue"]);
    assert!(environment.contains("OXHERD_JOB_ID=1"), "{environment}");
    assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG"), "{environment}");
}
