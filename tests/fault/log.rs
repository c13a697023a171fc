//! What the log says while Redis is in trouble, and what it never says: each state once whatever the number of queues and
//! calls, no secret, and nothing of a job that breaks a line.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::receiver::Receiver;
use super::support::redis::Redis;

/// Some queues that are worked, one with a schedule that fires all the time.
fn busy() -> String {
    let mut toml = "[handlers.log.log]\n[schedules.tick]\nevery = \"1s\"\nqueue = \"one\"\n".to_owned();
    for queue in ["one", "two", "three", "four"] {
        writeln!(toml, "[queues.{queue}]\nhandler = \"log\"").unwrap();
    }
    toml
}

/// What the log says that is graver than lifecycle, or lifecycle that has to do with Redis, from its line `from` on.
fn said(daemon: &Daemon, from: usize) -> Vec<String> {
    let log = daemon.log();
    let lines = log.lines().skip(from).map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let matters = |line: &Value| line["level"] != "info" || line["message"].as_str().unwrap().contains("redis");
    lines.filter(matters).map(|line| format!("{} {}", line["message"].as_str().unwrap(), line["code"])).collect()
}

fn lines(daemon: &Daemon) -> usize {
    daemon.log().lines().count()
}

/// Strikes a running daemon, lets it feel that for a while, and mends it; answers what was said from the blow on.
fn through(strike: impl Fn(&mut Redis), mend: impl Fn(&mut Redis), over: &str) -> Vec<String> {
    let mut redis = Redis::start();
    let mut daemon = Daemon::start(&redis, &busy());
    eventually("it works", || redis.number(&["ZCARD", "bull:one:completed"]) > 0);
    let from = lines(&daemon);
    strike(&mut redis);
    eventually("something is said", || !said(&daemon, from).is_empty());
    // long enough for each queue to try more than once
    std::thread::sleep(Duration::from_secs(3));
    mend(&mut redis);
    daemon.says(over);
    let done = redis.number(&["ZCARD", "bull:one:completed"]);
    eventually("it works again", || redis.number(&["ZCARD", "bull:one:completed"]) > done);
    let said = said(&daemon, from);
    assert_eq!(daemon.stop(), Some(0));
    said
}

const AWAY: [&str; 2] = ["redis is away null", "redis is back null"];

fn refused(code: &str) -> [String; 2] {
    [format!("redis refuses calls; jobs wait \"{code}\""), format!("redis refuses calls no more \"{code}\"")]
}

#[test]
fn f27_a_redis_that_is_gone_is_said_once_and_its_return_once() {
    assert_eq!(through(Redis::stop, Redis::again, "redis is back"), AWAY);
}

#[test]
fn f35_a_redis_that_is_frozen_is_said_once_and_its_return_once() {
    let freeze = |redis: &mut Redis| redis.signal(Signal::SIGSTOP);
    assert_eq!(through(freeze, |redis| redis.signal(Signal::SIGCONT), "redis is back"), AWAY);
}

#[test]
fn f29_a_full_memory_is_said_once_and_its_end_once() {
    let fill = |redis: &mut Redis| drop(redis.call(&["CONFIG", "SET", "maxmemory", "1"]));
    let empty = |redis: &mut Redis| drop(redis.call(&["CONFIG", "SET", "maxmemory", "0"]));
    assert_eq!(through(fill, empty, "redis refuses calls no more"), refused("OOM"));
}

#[test]
fn replicas_that_are_missing_are_said_once_and_their_return_once() {
    let set =
        |to: &'static str| move |redis: &mut Redis| drop(redis.call(&["CONFIG", "SET", "min-replicas-to-write", to]));
    assert_eq!(through(set("1"), set("0"), "redis refuses calls no more"), refused("NOREPLICAS"));
}

#[test]
fn f31_a_disk_that_takes_nothing_is_said_once_and_its_end_once() {
    let strike = |redis: &mut Redis| {
        redis.call(&["CONFIG", "SET", "appendonly", "no"]);
        redis.call(&["CONFIG", "SET", "save", "3600 1"]);
        // its child cannot write its file
        let info = redis.call(&["INFO", "server"]);
        let id = info.lines().find_map(|line| line.trim().strip_prefix("process_id:")).unwrap();
        assert!(Command::new("prlimit").args(["--pid", id, "--fsize=1"]).status().unwrap().success());
        redis.call(&["BGSAVE"]);
    };
    let mend = |redis: &mut Redis| drop(redis.call(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]));
    assert_eq!(through(strike, mend, "redis refuses calls no more"), refused("MISCONF"));
}

#[test]
fn f39_a_fail_over_is_said_once_and_its_end_once() {
    let demote = |redis: &mut Redis| drop(redis.call(&["REPLICAOF", "127.0.0.1", "1"]));
    let promote = |redis: &mut Redis| drop(redis.call(&["REPLICAOF", "NO", "ONE"]));
    let said = through(demote, promote, "redis refuses calls no more");
    let about = |what: &str| said.iter().filter(|line| line.contains(what)).count();
    // the link is made anew while it lasts, since another server may be behind the address by then
    assert_eq!((about("READONLY"), said.len() <= 4), (2, true), "{said:?}");
}

#[test]
fn f33_a_script_that_runs_for_ever_is_said_once_and_its_end_once() {
    let block = |redis: &mut Redis| {
        redis.call(&["CONFIG", "SET", "lua-time-limit", "100"]);
        let socket = redis.socket();
        std::thread::spawn(move || {
            let words = ["redis-cli", "-s", socket.to_str().unwrap(), "EVAL", "while true do end", "0"];
            Command::new(words[0]).args(&words[1..]).output()
        });
    };
    let kill = |redis: &mut Redis| {
        eventually("the script is ended", || {
            let _ = redis.ask(&["SCRIPT", "KILL"]);
            redis.ask(&["PING"]).is_ok()
        });
    };
    let said = through(block, kill, "no more");
    let about = |what: &str| said.iter().filter(|line| line.contains(what)).count();
    assert_eq!((about("BUSY"), said.len() <= 4), (2, true), "{said:?}");
}

/// Texts that are nowhere else, one for each place that can hold a secret.
fn secret(place: &str) -> String {
    format!("s3cr3t-of-{place}-0123456789abcdefghij")
}

#[test]
fn f142_no_secret_is_shown_anywhere_at_any_level() {
    let redis = Redis::start();
    // endpoints and programs that tell all they know
    let echo = Receiver::start(|envelope| {
        (500, format!("{{\"error\":\"{}\"}}", envelope["data"]["say"].as_str().unwrap_or("")))
    });
    let address = echo.url.strip_prefix("http://").unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let file = |place: &str| {
        let path = directory.path().join(place);
        std::fs::write(&path, format!("{}\n", secret(place))).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        format!("{{ file = \"{}\" }}", path.display())
    };
    let places = [
        "redis",
        "url",
        "header",
        "plain-header",
        "signing",
        "env",
        "plain-env",
        "smtp",
        "mail-url",
        "token",
        "events",
        "collector",
    ];
    let toml = format!(
        r#"
        [redis]
        url = "{redis_url}"
        password = {redis}
        [log]
        level = "trace"
        [admin]
        listen = "127.0.0.1:0"
        token = {token}
        events = {{ secrets = [{events}] }}
        [traces]
        endpoint = "http://127.0.0.1:1"
        headers = {{ X-Team = {collector} }}
        [defaults]
        attempts = 1
        [queues.call]
        handler = "call"
        [queues.run]
        handler = "run"
        [queues.mail]
        handler = "mail"
        [queues.post]
        handler = "post"
        [handlers.call.http]
        url = "http://user:{url}@{address}/"
        headers = {{ X-Custom = {header}, Authorization = "{plain_header}" }}
        signing_secrets = {signing}
        [handlers.run.command]
        argv = ["sh", "-c", "env >&2; env; exit 1"]
        env = {{ HARMLESS = {env}, API_TOKEN = "{plain_env}" }}
        [handlers.mail.smtp]
        url = "smtps://127.0.0.1:1"
        username = "u"
        password = {smtp}
        from = "a@example.org"
        [handlers.post.smtp]
        url = "smtps://u:{mail_url}@127.0.0.1:1"
        from = "a@example.org"
        "#,
        redis_url = redis.url(),
        redis = file("redis"),
        token = file("token"),
        events = file("events"),
        collector = file("collector"),
        url = secret("url"),
        header = file("header"),
        plain_header = secret("plain-header"),
        signing = file("signing"),
        env = file("env"),
        plain_env = secret("plain-env"),
        smtp = file("smtp"),
        mail_url = secret("mail-url"),
    );
    redis.call(&["CONFIG", "SET", "requirepass", &secret("redis")]);
    std::fs::write(directory.path().join("oxherd.toml"), toml).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxherd"));
        command.args(arguments).args(["-c", "oxherd.toml"]).current_dir(directory.path());
        command
    };
    let log = directory.path().join("log");
    let out = std::fs::File::create(&log).unwrap();
    let err = out.try_clone().unwrap();
    let mut daemon = run(&["run", "--log-level", "trace"]).stdout(out).stderr(err).spawn().unwrap();
    let text = || std::fs::read_to_string(&log).unwrap();
    eventually("it works", || {
        assert!(daemon.try_wait().unwrap().is_none(), "{}", text());
        text().contains("\"working\"")
    });
    for (queue, data) in [
        ("call", format!("{{\"say\":\"{}\"}}", secret("plain-header"))),
        ("run", "{}".into()),
        ("mail", "{\"to\":\"b@example.org\",\"subject\":\"s\",\"text\":\"t\"}".into()),
        ("post", "{\"to\":\"b@example.org\",\"subject\":\"s\",\"text\":\"t\"}".into()),
    ] {
        assert!(run(&["job", "add", queue, "n", &data]).output().unwrap().status.success());
    }
    eventually("each kind of failure is told", || {
        text().matches("\"message\":\"failed\"").count() + text().matches("shut: no jobs").count() >= 4
    });
    // a server that knows us no more
    let pass = secret("redis");
    let cli = |words: &[&str]| {
        Command::new("redis-cli")
            .args(["-s", redis.socket().to_str().unwrap(), "-a", &pass, "--no-auth-warning"])
            .args(words)
            .output()
            .unwrap()
    };
    cli(&["CONFIG", "SET", "requirepass", "another"]);
    let cli = |words: &[&str]| {
        Command::new("redis-cli")
            .args(["-s", redis.socket().to_str().unwrap(), "-a", "another", "--no-auth-warning"])
            .args(words)
            .output()
            .unwrap()
    };
    cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually("the loss is told", || text().contains("redis is away"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    daemon.wait().unwrap();

    let mut shown = text();
    assert!(shown.contains("***"), "nothing had to be covered: the endpoint and the program told nothing");
    for arguments in [
        &["check"][..],
        &["config", "show"],
        &["config", "show", "--json"],
        &["doctor"],
        &["healthcheck", "--log-level", "trace"],
        &["queue", "ls", "--log-level", "trace"],
        &["run", "--set", "queues.call.concurrency=0"],
        &["run", "--set", "handlers.call.http.url=3"],
    ] {
        let output = run(arguments).output().unwrap();
        shown += &String::from_utf8_lossy(&output.stdout);
        shown += &String::from_utf8_lossy(&output.stderr);
    }
    assert!(shown.contains("\"level\":\"trace\"") && shown.contains("***"), "nothing of it was traced");
    for place in places {
        let secret = secret(place);
        if let Some(line) = shown.lines().find(|line| line.contains(&secret)) {
            panic!("{place}: {line}");
        }
    }
}

#[test]
fn f141_nothing_of_a_job_breaks_a_line_or_orders_a_terminal_about() {
    const EVIL: &str = "\n{\"level\":\"error\"}\r\u{1b}[2J\u{202e}\u{9b}31m\u{2028}";
    let redis = Redis::start();
    let endpoint = Receiver::start(|_| (500, format!("no\r\n{EVIL}")));
    let mut toml =
        format!("[defaults]\nattempts = 1\n[handlers.call.http]\nurl = \"{}\"\n[handlers.log.log]\n", endpoint.url);
    toml += "[handlers.run.command]\nargv = [\"sh\", \"-c\", \"printf 'a\\\\033[31m\\\\rb\\\\n' >&2; exit 1\"]\n";
    for (queue, handler) in [("called", "call"), ("logged", "log"), ("run", "run")] {
        writeln!(toml, "[queues.{queue}]\nhandler = \"{handler}\"").unwrap();
    }
    for format in ["json", "pretty"] {
        let mut daemon = Daemon::start_with(&redis, &toml, &["--log-format", format, "--log-level", "trace"]);
        let data = serde_json::json!({ "evil": EVIL }).to_string();
        for queue in ["called", "logged", "run"] {
            // BullMQ refuses no name
            redis.call(&[
                "HSET",
                &format!("bull:{queue}:x-{format}"),
                "name",
                EVIL,
                "data",
                &data,
                "opts",
                "{}",
                "timestamp",
                "1",
            ]);
            redis.call(&["LPUSH", &format!("bull:{queue}:wait"), &format!("x-{format}")]);
            redis.call(&["ZADD", &format!("bull:{queue}:marker"), "0", "0"]);
            oxherd(&redis, &["job", "add", queue, "plain", &data]);
        }
        eventually("all have ended", || {
            ["called", "logged", "run"].iter().all(|queue| {
                let ended = |state: &str| redis.number(&["ZCARD", &format!("bull:{queue}:{state}")]);
                ended("failed") + ended("completed") >= if format == "json" { 2 } else { 4 }
            })
        });
        assert_eq!(daemon.stop(), Some(0));
        let log = daemon.log();
        assert!(log.contains("31m"), "nothing of it was told: {log}");
        for line in log.split('\n').filter(|line| !line.is_empty()) {
            let odd = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}');
            assert!(!line.contains(odd), "{format}: {line:?}");
            let is_ours = match format {
                "json" => serde_json::from_str::<Value>(line).is_ok_and(|line| line["time"].is_string()),
                _ => line.starts_with("20") && line.as_bytes()[10] == b'T',
            };
            assert!(is_ours, "{format}: {line:?}");
        }
    }
}
