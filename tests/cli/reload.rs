//! `oxherd reload`: what it prints, and with which exit code it ends.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::harness::{Ended, Redis};
use crate::support::daemon::Daemon;

const QUEUES: &str = "[queues.a]\nhandler = \"h\"\n[handlers.h.log]\n";
const STATE: &str = "[daemon]\nstate_dir = \"state\"\n";

fn start(redis: &Redis) -> Daemon {
    let daemon = Daemon::start(redis, &format!("{QUEUES}{STATE}"));
    daemon.says("\"message\":\"working\"");
    daemon
}

/// In the daemon's directory, which is how it finds the same configuration.
fn command(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxherd"));
    command.arg("reload").args(arguments).current_dir(daemon.directory()).stdin(Stdio::null());
    command
}

fn reload(daemon: &Daemon, arguments: &[&str]) -> Ended {
    Ended::new(&command(daemon, arguments).output().unwrap())
}

#[test]
fn it_says_what_was_taken_over_and_what_waits_for_a_start() {
    let redis = Redis::start();
    let mut daemon = start(&redis);
    let pid = daemon.id();
    assert_eq!(reload(&daemon, &[]).exits(0).stdout, format!("reloaded: process {pid} goes by these files already\n"));
    let other = "[queues.a]\nhandler = \"h\"\nconcurrency = 9\n[queues.b]\nhandler = \"h\"\n[handlers.h.log]\n\
        [schedules.s]\nevery = \"1h\"\nqueue = \"b\"\n[shutdown]\ndrain = \"1s\"\n";
    daemon.write_config(&redis, &format!("{other}{STATE}name = \"other\"\n"));
    let told = reload(&daemon, &[]).exits(0).stdout;
    let rows = [
        ("queues added", "b"),
        ("queues changed", "a"),
        ("schedules added", "s"),
        ("sections", "shutdown"),
        ("at the next start", "daemon.name"),
    ];
    let rows: String = rows.map(|(what, names)| format!("  {what:17}  {names}\n")).concat();
    assert_eq!(told, format!("reloaded: process {pid} has taken over\n{rows}"));
    let json = reload(&daemon, &["--json"]).exits(0).json();
    assert_eq!((&json["ok"], &json["pid"]), (&true.into(), &pid.into()));
    assert_eq!(json["changes"]["restartNeeded"], serde_json::json!(["daemon.name"]));
    assert_eq!(json["changes"]["added"], serde_json::json!([]));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn f131_a_mistake_is_told_as_check_tells_it_and_the_daemon_is_not_disturbed() {
    let redis = Redis::start();
    let daemon = start(&redis);
    daemon.write_config(&redis, &format!("{}{STATE}", QUEUES.replace("\"h\"\n", "\"nobody\"\n")));
    let ended = reload(&daemon, &[]).exits(78);
    let check =
        Command::new(env!("CARGO_BIN_EXE_oxherd")).arg("check").current_dir(daemon.directory()).output().unwrap();
    let check = Ended::new(&check).exits(78).stdout;
    let problems = check.rsplit_once("\n\n").unwrap().0;
    assert_eq!(ended.stderr.trim_end(), problems);
    let json = reload(&daemon, &["--json"]).exits(78).json();
    assert_eq!(json["ok"], false);
    assert!(json["problems"][0]["message"].as_str().unwrap().contains("nobody"), "{json}");
    assert!(!daemon.log().contains("configuration"), "{}", daemon.log());
}

#[test]
fn what_the_daemon_itself_refuses_is_told_with_its_reason() {
    let redis = Redis::start();
    let gated = "[queues.a]\nhandler = \"h\"\n[handlers.h.command]\ndirectory = \".\"\n\
        argv = [\"sh\", \"-c\", \"touch begun; until [ -e go ]; do sleep 0.05; done\"]\n";
    let mut daemon = Daemon::start(&redis, &format!("{gated}{STATE}"));
    redis.call(&[
        "HSET",
        "bull:a:1",
        "name",
        "n",
        "data",
        "{}",
        "opts",
        "{}",
        "timestamp",
        "1",
        "delay",
        "0",
        "priority",
        "0",
    ]);
    redis.call(&["LPUSH", "bull:a:wait", "1"]);
    redis.call(&["ZADD", "bull:a:marker", "0", "0"]);
    crate::harness::eventually("it runs", || daemon.directory().join("begun").exists());
    daemon.signal(Signal::SIGTERM);
    daemon.says("\"phase\":\"draining\"");
    let ended = reload(&daemon, &[]).exits(1);
    assert!(
        ended.stderr.contains("refuses the configuration") && ended.stderr.contains("stopping"),
        "{}",
        ended.stderr
    );
    let json = reload(&daemon, &["--json"]).exits(1).json();
    assert!(json["problems"][0]["message"].as_str().unwrap().contains("stopping"), "{json}");
    fs::write(daemon.directory().join("go"), "").unwrap();
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn without_a_daemon_to_be_found_it_says_how_to_find_one() {
    let redis = Redis::start();
    let mut daemon = start(&redis);
    assert_eq!(daemon.stop(), Some(0));
    let ended = reload(&daemon, &[]).exits(69);
    assert!(ended.stderr.contains("no daemon runs with state directory"), "{}", ended.stderr);
    daemon.write_config(&redis, QUEUES);
    let ended = reload(&daemon, &[]).exits(2);
    assert!(ended.stderr.contains("daemon.state_dir") && ended.stderr.contains("--pid"), "{}", ended.stderr);
    daemon.again();
    crate::harness::eventually("it works again", || daemon.log().matches("\"message\":\"working\"").count() == 2);
    let pid = daemon.id().to_string();
    let ended = reload(&daemon, &["--pid", &pid]).exits(0);
    assert!(ended.stdout.contains("its log says"), "{}", ended.stdout);
    daemon.says("configuration reloaded");
    // nobody is killed by mistake
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    let ended = reload(&daemon, &["--pid", &other.id().to_string()]).exits(69);
    assert!(ended.stderr.contains("no running oxherd"), "{}", ended.stderr);
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_daemon_that_does_not_answer_or_dies_meanwhile_is_told_apart() {
    let redis = Redis::start();
    let mut daemon = start(&redis);
    daemon.signal(Signal::SIGSTOP);
    let ended = reload(&daemon, &["--timeout", "200ms"]).exits(69);
    assert!(ended.stderr.contains("has not answered in time"), "{}", ended.stderr);
    let waiting = command(&daemon, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    daemon.kill();
    let ended = Ended::new(&waiting.wait_with_output().unwrap()).exits(69);
    // killed before it was looked for, or after
    assert!(ended.stderr.contains("has ended") || ended.stderr.contains("no daemon runs"), "{}", ended.stderr);
}

#[test]
fn somebody_elses_daemon_is_not_ours_to_tell() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let redis = Redis::start();
    let daemon = start(&redis);
    let directory = daemon.directory();
    let program = directory.join("oxherd");
    fs::copy(env!("CARGO_BIN_EXE_oxherd"), &program).unwrap();
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let pid = daemon.id().to_string();
    for arguments in [&[][..], &["--pid", &pid]] {
        let mut command = Command::new(&program);
        command.arg("reload").args(arguments).current_dir(directory).uid(65534).gid(65534);
        let ended = Ended::new(&command.output().unwrap()).exits(77);
        assert!(!ended.stderr.is_empty());
    }
    assert!(!daemon.log().contains("configuration reloaded"));
}
