mod admin;
mod app;
mod callbacks;
mod housekeeping;
mod http;
mod lists;
mod origins;
mod schedules;
mod smtp;
mod status;
mod traces;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::{AtStart, Endpoint, Handler, Placement, Severity, Unmatched};
use crate::job::{BackoffKind, Keep};

const SMALL: &str = "[queues.email]\nhandler = \"app\"\n[handlers.app.http]\nurl = \"http://localhost:3000/jobs\"\n";

/// A directory with files in it, and what is loaded from there.
struct Files {
    directory: tempfile::TempDir,
    options: LoadOptions,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let options = LoadOptions { directory: directory.path().to_owned(), ..LoadOptions::default() };
        Self { directory, options }
    }

    fn one(text: &str) -> Self {
        Self::new(&[("oxherd.toml", text)])
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.options.env.push((name.into(), value.into()));
        self
    }

    fn set(mut self, text: &str) -> Self {
        self.options.set.push(text.into());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn load(&self) -> Config {
        let (config, warnings) = self.try_load().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(warnings, []);
        config
    }

    fn try_load(&self) -> Result<(Config, Vec<Problem>), Error> {
        load(&self.options)
    }

    /// The problems, each rendered, directory names shortened.
    fn problems(&self) -> Vec<String> {
        let problems = match self.try_load() {
            Ok((_, warnings)) => warnings,
            Err(e) => e.problems,
        };
        let directory = format!("{}/", self.directory.path().display());
        problems.iter().map(|problem| problem.render(false).replace(&directory, "")).collect()
    }

    #[track_caller]
    fn one_problem(&self) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{}", problems.join("\n\n"));
        problems.concat()
    }
}

/// The problems of a small configuration with more text behind it.
#[track_caller]
fn problem_with(more: &str) -> String {
    Files::one(&format!("{SMALL}{more}")).one_problem()
}

/// Message and help of a problem.
fn short(rendered: &str) -> (&str, &str) {
    let message = rendered.lines().next().unwrap();
    let help = rendered.lines().last().filter(|line| line.contains("= help: ")).unwrap_or("");
    (message, help.split_once("= help: ").map_or("", |(_, help)| help))
}

#[test]
fn a_small_file_gets_every_default() {
    let config = Files::one(SMALL).load();
    let queue = &config.queues["email"];
    assert_eq!(queue, &Queue { handler: Some("app".into()), ..Queue::new(QueueName::new("email").unwrap()) });
    assert_eq!(config.redis, crate::config::Redis::default());
    assert!(matches!(&config.handlers["app"], Handler::Http(http) if http.url == "http://localhost:3000/jobs"));
}

#[test]
fn every_key_is_read() {
    let text = r#"
        [redis]
        url = "rediss://me@cache:7000/2"
        password = "x"
        prefix = "{bull}"
        at_start = "fail"
        announce_workers = false
        [defaults]
        attempts = 7
        backoff = { type = "fixed", delay = "2s" }
        handler = "app"
        [queues.email]
        concurrency = 10
        attempts = 4
        backoff = { delay = "3s", max = false, jitter = 0.5 }
        timeout = "2m"
        lock = "1500ms"
        stalled_interval = "500ms"
        max_stalled = 2
        keep_completed = { count = 5, age = "1h", limit = 9 }
        keep_failed = true
        global_concurrency = 40
        rate_limit = { max = 100, per = "60s" }
        expires_after = "6h"
        max_payload = "1MiB"
        metrics = 60
        routes = { "digest-*" = "cmd", "x" = "log" }
        unmatched = "fail"
        placement = "v5"
        [queues.plain]
        keep_completed = false
        keep_failed = 9
        [handlers.app.http]
        url = "https://api:3000/jobs/{queue}/{name}?x={data.a.b}"
        headers = { Authorization = "Bearer x" }
        connect_timeout = "1s"
        max_response = "2KiB"
        max_defer = "10m"
        status = { "418" = "retry" }
        [handlers.cmd.command]
        argv = ["/bin/echo", "{data.id}", "{print $1}"]
        directory = "work"
        env = { A = "b" }
        env_allow = ["LANGUAGE"]
        kill_after = "2s"
        max_output = "1KB"
        [handlers.log.log]
        duration = "10ms"
        [status]
        enabled = false
        channel = ["a", "b:{queue}:{tenant}"]
        tenant = "/t"
        format = "simple"
        names = { active = "BUSY" }
        [daemon]
        name = "worker"
        state_dir = "/var/lib/oxherd"
        [shutdown]
        drain = "1s"
        cancel = "0s"
        [log]
        level = "info,oxherd::store=debug"
        format = "json"
    "#;
    let files = Files::one(text);
    let config = files.load();
    assert_eq!(config.redis.endpoint, Endpoint::Tcp { host: "cache".into(), port: 7000, tls: true });
    assert_eq!(config.redis.username.as_deref(), Some("me"));
    assert_eq!(config.redis.password.as_ref().unwrap().reveal(), "x");
    assert_eq!((config.redis.database, config.redis.at_start), (2, AtStart::Fail));
    assert!(!config.redis.announce_workers);
    let queue = &config.queues["email"];
    assert_eq!((queue.concurrency, queue.policy.attempts, queue.max_stalled), (10, 4, 2));
    // type from [defaults], the rest from the queue
    assert_eq!(queue.policy.backoff.kind, BackoffKind::Fixed);
    assert_eq!(queue.policy.backoff.delay, Duration::from_secs(3));
    assert_eq!((queue.policy.backoff_max, queue.policy.jitter), (None, 0.5));
    assert_eq!(queue.lock, Duration::from_millis(1500));
    assert_eq!(queue.stalled_interval, Duration::from_millis(500));
    let hour = Duration::from_secs(3600);
    assert_eq!(queue.policy.keep_completed, Keep::Some { count: Some(5), age: Some(hour), limit: Some(9) });
    assert_eq!(queue.policy.keep_failed, Keep::All);
    assert_eq!(queue.global_concurrency, Some(40));
    assert_eq!(queue.rate_limit.unwrap().per, Duration::from_secs(60));
    assert_eq!(queue.expires_after, Some(6 * hour));
    assert_eq!((queue.max_payload, queue.metrics), (1024 * 1024, 60));
    assert_eq!(queue.routes["digest-*"], "cmd");
    assert_eq!((queue.unmatched, queue.placement), (Unmatched::Fail, Placement::V5));
    let plain = &config.queues["plain"];
    assert_eq!((plain.policy.attempts, plain.handler.as_deref()), (7, Some("app")));
    assert_eq!(plain.policy.keep_completed, Keep::Nothing);
    assert_eq!(plain.policy.keep_failed, Keep::Some { count: Some(9), age: None, limit: None });
    let Handler::Http(http) = &config.handlers["app"] else { panic!() };
    assert_eq!(http.headers["Authorization"], "Bearer x");
    assert_eq!((http.max_response, http.status[&418]), (2048, crate::config::Answer::Retry));
    let Handler::Command(command) = &config.handlers["cmd"] else { panic!() };
    assert_eq!(command.program.directory.as_deref(), Some(files.path("work").as_path()));
    assert_eq!((command.program.argv.len(), command.program.env["A"].as_str(), command.max_output), (3, "b", 1000));
    assert_eq!(config.status.channels, ["a", "b:{queue}:{tenant}"]);
    assert_eq!(config.status.word("active"), "BUSY");
    assert_eq!(config.shutdown.cancel, Duration::ZERO);
}

#[test]
fn five_different_mistakes_name_five_places() {
    let text = r#"[redis]
url = "redis://127.0.0.1:70000/0"

[queues.email]
concurrency = 0
timeout = "10 minuts"
handlr = "app"

[queues.reports]
handler = "ap"

[handlers.app.http]
url = "http://localhost:3000/jobs"
"#;
    let problems = Files::one(text).problems();
    let heads: Vec<&str> = problems.iter().map(|p| p.lines().nth(1).unwrap().trim()).collect();
    assert_eq!(
        heads,
        [
            "--> oxherd.toml:2:7   redis.url",
            "--> oxherd.toml:4:9   queues.email",
            "--> oxherd.toml:5:15   queues.email.concurrency",
            "--> oxherd.toml:6:11   queues.email.timeout",
            "--> oxherd.toml:7:1   queues.email.handlr",
            "--> oxherd.toml:10:11   queues.reports.handler",
            "--> oxherd.toml:12:11   handlers.app",
        ]
    );
    assert_eq!(
        problems[2],
        "\
error: concurrency must be at least 1, got 0
 --> oxherd.toml:5:15   queues.email.concurrency
  |
5 | concurrency = 0
  |               ^
  = help: remove the line to use the default, 5"
    );
    assert_eq!(
        problems[5],
        "\
error: there is no handler \"ap\"
  --> oxherd.toml:10:11   queues.reports.handler
   |
10 | handler = \"ap\"
   |           ^
   = help: did you mean \"app\"?"
    );
}

#[test]
fn f125_a_syntax_error_is_refused_with_its_place_and_line() {
    let problem = Files::one("[queues.email]\nhandler = app\"\n").one_problem();
    assert!(problem.starts_with("error: not valid TOML: "), "{problem}");
    assert!(problem.contains(" --> oxherd.toml:2:11\n  |\n2 | handler = app\"\n  |           ^"), "{problem}");
    // and what can still be read is checked too
    let problems =
        Files::one(&format!("{SMALL}timeout\n[queues.other]\nconcurrency = 0\nhandler = \"app\"\n")).problems();
    assert_eq!(problems.len(), 2, "{}", problems.join("\n\n"));
    assert!(problems[1].contains("queues.other.concurrency"), "{}", problems[1]);
}

#[test]
fn f126_unknown_key_is_refused_with_the_nearest_name() {
    for (more, message, help) in [
        ("[queue.x]\nhandler = \"app\"\n", "error: unknown section [queue]", "did you mean \"queues\"?"),
        (
            "[queues.x]\nhandler = \"app\"\nconcurency = 1\n",
            "error: unknown key \"concurency\" in [queues.x]",
            "did you mean \"concurrency\"?",
        ),
        (
            "[queues.x]\nhandler = \"app\"\nbackoff = { dealy = \"1s\" }\n",
            "error: unknown key \"dealy\" in [queues.x.backoff]",
            "did you mean \"delay\"?",
        ),
        ("[log]\ncolour = 1\n", "error: unknown key \"colour\" in [log]", "known are level, format"),
        ("[status.names]\nrunning = \"x\"\nactve = \"y\"\n", "error: unknown key \"running\" in [status.names]", ""),
        (
            "[redis]\nconcurrency = 1\n",
            "error: unknown key \"concurrency\" in [redis]",
            "did you mean concurrency in [defaults]?",
        ),
    ] {
        let problems = Files::one(&format!("{SMALL}{more}")).problems();
        let (got, hint) = short(&problems[0]);
        assert_eq!(got, message);
        assert!(help.is_empty() || hint == help, "{hint}");
    }
    let problems =
        Files::one("concurrency = 5\n[queues.q]\nhandler=\"a\"\n[handlers.a]\nurl = \"http://x\"\n").problems();
    assert_eq!(short(&problems[0]), ("error: unknown key \"concurrency\"", "did you mean concurrency in [defaults]?"));
    assert_eq!(
        short(&problems[1]),
        (
            "error: unknown key \"url\" in [handlers.a]",
            "the kind of a handler is the name of its table: write it in [handlers.a.http]"
        )
    );
    assert_eq!(problems.len(), 2);
}

#[test]
fn f127_wrong_types_and_ranges_are_refused_with_what_is_allowed() {
    for (line, message, help) in [
        ("concurrency = 0", "concurrency must be at least 1, got 0", "remove the line to use the default, 5"),
        (
            "concurrency = 10001",
            "concurrency must be at most 10000, got 10001",
            "remove the line to use the default, 5",
        ),
        (
            "concurrency = \"ten\"",
            "concurrency must be a whole number, got \"ten\"",
            "remove the line to use the default, 5",
        ),
        ("concurrency = \"10\"", "concurrency must be a whole number, got \"10\"", "write 10 without quotes"),
        ("concurrency = 1.5", "concurrency must be a whole number, got 1.5", "remove the line to use the default, 5"),
        (
            "concurrency = [1]",
            "concurrency must be a whole number, got a list",
            "remove the line to use the default, 5",
        ),
        (
            "attempts = 99999999999",
            "attempts must be at most 4294967295, got 99999999999",
            "remove the line to use the default, 3",
        ),
        ("timeout = 30", "timeout must be a duration, got 30", "say the unit: \"30s\" or \"30ms\""),
        ("timeout = \"-5s\"", "timeout must be a duration, got \"-5s\"", "a duration cannot be negative"),
        ("timeout = -5", "timeout must be a duration, got -5", "a duration cannot be negative"),
        (
            "timeout = \"10 minuts\"",
            "timeout must be a duration, got \"10 minuts\"",
            "the units are ms, s, m, h, d and w; write \"10m\"",
        ),
        ("timeout = \"0s\"", "timeout must be at least 1ms, got \"0s\"", "remove the line to use the default, 1m"),
        ("lock = \"900ms\"", "lock must be at least 1s, got \"900ms\"", "remove the line to use the default, 15s"),
        (
            "stalled_interval = \"400ms\"",
            "stalled_interval must be at least 500ms, got \"400ms\"",
            "remove the line to use the default, 5s",
        ),
        ("max_payload = 10", "max_payload must be a size, got 10", "say the unit: \"10B\" or \"10KiB\""),
        (
            "max_payload = \"4GiB\"",
            "max_payload must be at most 512MiB, got \"4GiB\"",
            "remove the line to use the default, 16MiB",
        ),
        (
            "backoff = { type = \"linear\" }",
            "type must be \"fixed\" or \"exponential\", got \"linear\"",
            "write one of them",
        ),
        (
            "backoff = { type = \"exponental\" }",
            "type must be \"fixed\" or \"exponential\", got \"exponental\"",
            "did you mean \"exponential\"?",
        ),
        ("backoff = { jitter = 2 }", "jitter must be from 0 to 1, got 2", "remove the line to use the default, 0.2"),
        ("backoff = \"1s\"", "backoff must be a table, got \"1s\"", "write [queues.q.backoff] and its keys below"),
        (
            "keep_failed = \"all\"",
            "keep_failed must be true, false, a number or a table, got \"all\"",
            "write { count = 100, age = \"24h\" }",
        ),
        ("keep_failed = -1", "keep_failed must be at least 0, got -1", "remove the line to use the default, 0"),
        ("rate_limit = { max = 5 }", "rate_limit needs per", "write { max = 100, per = \"60s\" }"),
        (
            "rate_limit = 5",
            "rate_limit must be a table, got 5",
            "write { max = 100, per = \"60s\" }, or false for none",
        ),
        (
            "rate_limit = { max = 0, per = \"1s\" }",
            "max must be at least 1, got 0",
            "remove the line to use the default, 1",
        ),
        ("unmatched = \"drop\"", "unmatched must be \"release\" or \"fail\", got \"drop\"", "write one of them"),
        (
            "global_concurrency = true",
            "global_concurrency must be a whole number, got true",
            "remove the line to use the default, none",
        ),
        ("routes = { a = 1 }", "a must be a text, got 1", "put it in quotes"),
        (
            "routes = { \"\" = \"app\" }",
            "a route needs the name of a job or a glob",
            "write \"digest-*\" = \"handler\"",
        ),
    ] {
        let problem = problem_with(&format!("[queues.q]\nhandler = \"app\"\n{line}\n"));
        assert_eq!(short(&problem), (&*format!("error: {message}"), help), "{line}");
        assert!(problem.contains("oxherd.toml:7:"), "{problem}");
    }
    for (more, message) in [
        (
            "[redis]\nurl = \"redis://h:99999\"\n",
            "port \"99999\" in \"redis://h:99999\" is not a number from 1 to 65535",
        ),
        ("[redis]\nurl = \"redis-cluster://h\"\n", "redis-cluster is not supported yet, got \"redis-cluster://h\""),
        ("[redis]\nprefix = \"\"\n", "prefix must not be empty"),
        ("[redis]\nprefix = \"{bull\"\n", "prefix holds a broken hash tag, got \"{bull\""),
        ("[redis]\nat_start = 1\n", "at_start must be a text, got 1"),
        ("[redis]\nannounce_workers = \"yes\"\n", "announce_workers must be true or false, got \"yes\""),
        ("[log]\nlevel = \"inof\"\n", "\"inof\" is not a log level"),
        ("[log]\nlevel = \"info,x=loud\"\n", "\"loud\" is not a log level"),
        ("[status]\ntenant = \"tenantId\"\n", "tenant must be a JSON pointer into the job's data, got \"tenantId\""),
        ("[status]\nchannel = [\"x-{tennant}\"]\n", "unknown placeholder {tennant}"),
        ("[status]\nchannel = []\n", "channel must not be an empty list"),
        (
            "[status]\nonly = [\"COMPLETED\"]\n",
            "only must be \"waiting\", \"active\", \"progress\", \"delayed\", \"retrying\", \"completed\", \"failed\", \"stalled\", \"cancelled\" or \"expired\", got \"COMPLETED\"",
        ),
        (
            "[status]\nexcept = \"progres\"\n",
            "except must be \"waiting\", \"active\", \"progress\", \"delayed\", \"retrying\", \"completed\", \"failed\", \"stalled\", \"cancelled\" or \"expired\", got \"progres\"",
        ),
        ("[status]\nonly = [\"failed\"]\nexcept = [\"failed\"]\n", "no state is left to be told"),
        ("[status]\nonly = []\n", "no state is left to be told"),
        ("[status]\nstream = \"updates\"\n", "stream must be a table, got \"updates\""),
        (
            "[status]\nstream = { key = \"u:{queue}\" }\n",
            "the stream has one key, whose entries have one order, but its name holds {queue}",
        ),
        ("[status]\nstream = { max_length = 10 }\n", "max_length must be at least 1000, got 10"),
        ("[status]\nstream = { key = \"bull:updates\" }\n", "\"bull:updates\" is among the keys of queues"),
        (
            "[redis]\nprefix = \"{bull}\"\n[status]\nstream = true\n",
            "on a cluster \"job_updates:stream\" may be elsewhere than the queues, whose keys have the hash tag {bull}",
        ),
        ("[queues.email.status]\nstream = true\n", "unknown key \"stream\" in [queues.email.status]"),
        (
            "[queues.email.status]\nonly = [\"none\"]\n",
            "only must be \"waiting\", \"active\", \"progress\", \"delayed\", \"retrying\", \"completed\", \"failed\", \"stalled\", \"cancelled\" or \"expired\", got \"none\"",
        ),
        ("[daemon]\nname = \"a:b\"\n", "name must not hold ':' or control characters"),
        ("[shutdown]\ndrain = \"2d\"\n", "drain must be at most 24h, got \"2d\""),
        (
            "[queues]\n\"a:b\" = { handler = \"app\" }\n",
            "queue name \"a:b\" holds a ':', which BullMQ uses to separate keys",
        ),
        ("[queues]\nx = 5\n", "x must be a table, got 5"),
    ] {
        let text = format!("{SMALL}{more}")
            .replace("[queues.email]\nhandler = \"app\"\n[handlers", "[queues.email]\nhandler = \"app\"\n[handlers");
        let problems = Files::one(&text).problems();
        if more.starts_with("[queues]") {
            assert!(problems.iter().any(|p| short(p).0 == format!("error: {message}")), "{}", problems.join("\n\n"));
            continue;
        }
        assert_eq!(problems.len(), 1, "{}", problems.join("\n\n"));
        assert_eq!(short(&problems[0]).0, format!("error: {message}"));
    }
}

#[test]
fn f127_handlers_are_checked() {
    for (table, message) in [
        ("http]\nurl = \"ftp://x\"", "url must be http or https, got \"ftp\""),
        ("http]\nurl = \"localhost:3000\"", "\"localhost:3000\" is not a URL"),
        ("http]\nurl = \"http://\"", "\"http://\" names no host"),
        ("http]\nurl = \"http://u:p@h:0/\"", "port \"0\" in \"http://u:***@h:0/\" is not a number from 1 to 65535"),
        ("http]\nurl = \"http://h/a b\"", "url holds a space or control character: \"http://h/a b\""),
        ("http]\nurl = \"http://{data.host}/\"", "a placeholder may not fill the host: \"http://{data.host}/\""),
        ("http]\nurl = \"http://h/{nmae}\"", "unknown placeholder {nmae}"),
        ("http]\nurl = \"http://h/{name\"", "a '{' is never closed"),
        ("http]\nurl = \"\"", "url must not be empty"),
        ("http]", "an http handler needs url"),
        ("http]\nurl = \"http://h\"\nheaders = { \"a b\" = \"x\" }", "\"a b\" is not the name of a header"),
        ("http]\nurl = \"http://h\"\nheaders = { a = \"x\\ny\" }", "header a holds a character HTTP does not allow"),
        (
            "http]\nurl = \"http://h\"\nheaders = { Webhook-Id = \"x\" }",
            "header Webhook-Id is set for every request by oxherd itself",
        ),
        ("http]\nurl = \"http://h/#x\"", "url holds a '#': \"http://h/#x\""),
        ("http]\nurl = \"http://h/}\"", "a '}' closes nothing"),
        ("http]\nurl = \"http://h/{data.a..b}\"", "unknown placeholder {data.a..b}"),
        ("http]\nurl = \"http://h\"\nstatus = { \"4xx\" = \"retry\" }", "\"4xx\" is not an HTTP status"),
        (
            "http]\nurl = \"http://h\"\nstatus = { \"418\" = \"retyr\" }",
            "418 must be \"complete\", \"retry\", \"defer\", \"fail\", \"discard\" or \"waiting-children\", got \"retyr\"",
        ),
        ("command]", "a command handler needs argv"),
        ("command]\nargv = []", "argv must not be empty"),
        ("command]\nargv = [\"\"]", "argv must not be empty"),
        ("command]\nargv = [\"{data.program}\"]", "a placeholder may not name the program"),
        ("command]\nargv = [\"x\", \"{quue}\"]", "unknown placeholder {quue}"),
        ("command]\nargv = [\"x\", \"{data}\"]", "unknown placeholder {data}"),
        ("command]\nargv = [\"sh\", \"-c\", \"x {name}\"]", "placeholder {name} is only a part of an argument"),
        ("command]\nargv = [\"x\", \"--id={id}\"]", "placeholder {id} is only a part of an argument"),
        ("command]\nargv = [\"x\", 1]", "argv must be a text, got 1"),
        ("command]\nargv = [\"x\"]\nuser = \"a b\"", "\"a b\" cannot be the name of a user or a group"),
        ("command]\nargv = [\"x\"]\nlimits = { memory = \"1KiB\" }", "memory must be at least 1MiB, got \"1KiB\""),
        ("command]\nargv = [\"x\"]\nlimits = { cpu = 30 }", "cpu must be a duration, got 30"),
        ("command]\nargv = [\"x\"]\nlimits = { files = 1 }", "files must be at least 8, got 1"),
        (
            "command]\nargv = [\"x\"]\nlimits = { meory = \"1GiB\" }",
            "unknown key \"meory\" in [handlers.h.command.limits]",
        ),
        ("command]\nargv = [\"x\"]\nexit = { 256 = \"fail\" }", "\"256\" is not an exit code"),
        (
            "command]\nargv = [\"x\"]\nexit = { 3 = \"later\" }",
            "3 must be \"complete\", \"retry\", \"defer\", \"fail\", \"discard\" or \"waiting-children\", got \"later\"",
        ),
        ("command]\nargv = [\"x\"]\nexit = { 3 = { after = \"1m\" } }", "an exit code needs an outcome"),
        (
            "command]\nargv = [\"x\"]\nexit = { 3 = { outcome = \"fail\", after = \"1m\" } }",
            "only a retry or a deferral waits",
        ),
        ("command]\nargv = [\"x\"]\nenv = { \"A=B\" = \"\" }", "\"A=B\" is not the name of a variable"),
        ("command]\nargv = [\"x\"]\nenv_allow = [\"OXHERD_QUEUE\"]", "OXHERD_QUEUE is a name oxherd sets itself"),
        ("process]\nworkers = 2", "a process handler needs argv"),
        (
            "process]\nargv = [\"x\", \"{data.id}\"]",
            "placeholder {data.id} cannot be filled in: the processes of a pool are started before there is a job",
        ),
        ("process]\nargv = [\"x\"]\nworkers = 0", "workers must be at least 1, got 0"),
        (
            "process]\nargv = [\"x\"]\nworkers = \"many\"",
            "workers must be a number, or a table of min and max, got \"many\"",
        ),
        ("process]\nargv = [\"x\"]\nworkers = { min = 3, max = 2 }", "min must not be greater than max, got 3 and 2"),
        ("process]\nargv = [\"x\"]\ntransport = \"tcp\"", "transport must be \"fds\" or \"stdio\", got \"tcp\""),
        ("process]\nargv = [\"x\"]\nmax_memory = \"1KiB\"", "max_memory must be at least 1MiB, got \"1KiB\""),
        ("log]\nduration = 5", "duration must be a duration, got 5"),
    ] {
        let text = format!("[queues.q]\nhandler = \"h\"\n[handlers.h.{table}\n");
        let problem = Files::one(&text).one_problem();
        assert_eq!(short(&problem).0, format!("error: {message}"), "{table}");
    }
    let both = "[queues.q]\nhandler = \"h\"\n[handlers.h]\nhttp = { url = \"http://x\" }\nlog = {}\n";
    assert_eq!(short(&Files::one(both).one_problem()).0, "error: handler \"h\" is of two kinds: http and log");
    let none = "[queues.q]\nhandler = \"h\"\n[handlers.h]\n";
    assert_eq!(
        short(&Files::one(none).one_problem()),
        (
            "error: handler \"h\" does not say its kind",
            "the kind is the name of its table: [handlers.h.http], [handlers.h.command], [handlers.h.process], [handlers.h.smtp], [handlers.h.log], [handlers.h.redis]"
        )
    );
}

#[test]
fn f127_one_mistake_is_one_problem() {
    let text = "[queues]\nemail = 5\n[handlers]\nx = 1\ny = [{}]\n[handlers.z.htp]\nurl = \"x\"\n";
    let problems = Files::one(text).problems();
    let messages: Vec<&str> = problems.iter().map(|problem| short(problem).0).collect();
    assert_eq!(
        messages,
        [
            "error: email must be a table, got 5",
            "error: x must be a table, got 1",
            "error: y must be a table, got a list",
            "error: unknown key \"htp\" in [handlers.z]"
        ]
    );
}

#[test]
fn f128_what_is_there_twice_names_both_places() {
    let text = format!("{SMALL}[queues.email]\nattempts = 2\n");
    let problem = Files::one(&text).one_problem();
    assert_eq!(short(&problem), ("error: [queues.email] is there twice", "first at oxherd.toml:1:1; keep one of them"));
    assert!(problem.contains("--> oxherd.toml:5:9"), "{problem}");
    let files = Files::new(&[
        ("oxherd.toml", &format!("include = [\"conf.d/*.toml\"]\n[redis]\nprefix = \"a\"\n{SMALL}")),
        ("conf.d/a.toml", "[redis]\nprefix = \"b\"\n"),
        ("conf.d/b.toml", "[queues.email]\nattempts = 5\n"),
    ]);
    let problems = files.problems();
    assert_eq!(problems.len(), 2, "{}", problems.join("\n\n"));
    assert_eq!(
        short(&problems[0]),
        ("error: redis.prefix is set in two files", "first at oxherd.toml:3:1; keep one of them")
    );
    assert!(problems[0].contains("--> conf.d/a.toml:2:1"), "{}", problems[0]);
    assert_eq!(
        short(&problems[1]),
        ("error: queues.email is set in two files", "first at oxherd.toml:4:9; keep one of them")
    );
}

#[test]
fn f129_missing_variables_and_secret_files_are_named_and_never_shown() {
    let problem = problem_with("[redis]\npassword = { env = \"REDIS_PW\" }\n");
    assert_eq!(short(&problem).0, "error: environment variable REDIS_PW is not set");
    let problem = problem_with("[redis]\nurl = \"redis://${REDIS_HOST}\"\n");
    assert_eq!(
        short(&problem),
        ("error: environment variable REDIS_HOST is not set", "set it, or write ${REDIS_HOST:-default}")
    );
    let problem = problem_with("[redis]\npassword = { file = \"none\" }\n");
    assert!(problem.contains("cannot read secret file "), "{problem}");
    assert!(problem.contains("secret file none: No such file"), "{problem}");
    let problem = problem_with("[redis]\npassword = { credential = \"redis\" }\n");
    assert!(problem.contains("CREDENTIALS_DIRECTORY is not set"), "{problem}");
    assert!(problem_with("[redis]\npassword = \"\"\n").contains("password must not be empty"));
    assert!(problem_with("[redis]\npassword = {}\n").contains("exactly one source, got 0"));
    let problem = problem_with("[redis]\npassword = 12345\n");
    assert!(!problem.contains("12345"), "{problem}");
    let problem = problem_with("[redis]\nurl = \"redis://:hunter2@h:x\"\n");
    assert!(!problem.contains("hunter2"), "{problem}");
    let problem = problem_with("[redis]\npassword = \"hunter2\n");
    assert!(!problem.contains("hunter2"), "{problem}");
    let files = Files::one(&format!("{SMALL}[redis]\nat_start = \"${{TOKEN}}\"\n")).env("TOKEN", "hunter2");
    let problem = files.one_problem();
    assert!(!problem.contains("hunter2"), "{problem}");
}

#[test]
fn f129_secrets_are_found_where_they_are_kept() {
    let read = |table: &str, mode: u32, env: &[(&str, &str)]| {
        let text = format!("{SMALL}[redis]\npassword = {table}\n");
        let mut files = Files::new(&[("oxherd.toml", &text), ("secret", "hunter2\n"), ("empty", "\n")]);
        for name in ["secret", "empty"] {
            fs::set_permissions(files.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        for (name, value) in env {
            let directory = files.directory.path().display().to_string();
            files = files.env(name, &value.replace("DIR", &directory));
        }
        files.try_load().map(|(config, warnings)| (config.redis.password.unwrap().reveal().to_owned(), warnings))
    };
    assert_eq!(read("{ file = \"secret\" }", 0o600, &[]).unwrap(), ("hunter2".into(), vec![]));
    assert_eq!(read("{ file = \"secret\" }", 0o640, &[]).unwrap().1, []);
    for mode in [0o644, 0o660, 0o602] {
        let warnings = read("{ file = \"secret\" }", mode, &[]).unwrap().1;
        assert_eq!(warnings.len(), 1, "{mode:o}");
        assert!(warnings[0].severity == Severity::Warning && warnings[0].message.contains("is open to others"));
    }
    assert!(read("{ file = \"empty\" }", 0o600, &[]).is_err());
    assert_eq!(read("{ env = \"PW\" }", 0o600, &[("PW", "hunter2")]).unwrap().0, "hunter2");
    assert!(read("{ env = \"PW\" }", 0o600, &[("PW", "")]).is_err());
    let credentials = [("CREDENTIALS_DIRECTORY", "DIR")];
    assert_eq!(read("{ credential = \"secret\" }", 0o600, &credentials).unwrap().0, "hunter2");
    assert!(read("{ credential = \"../secret\" }", 0o600, &credentials).is_err());
    assert_eq!(read("\"${PW}\"", 0o600, &[("PW", "hunter2")]).unwrap().0, "hunter2");
}

#[test]
fn f130_handlers_and_queues_must_fit_together() {
    let problem = problem_with("[queues.lonely]\n");
    assert_eq!(
        short(&problem),
        ("error: queue \"lonely\" has no handler", "write handler = \"NAME\", in the queue or in [defaults]")
    );
    let problem = problem_with("[queues.x]\nroutes = { \"a-*\" = \"nobody\" }\n");
    assert_eq!(short(&problem), ("error: there is no handler \"nobody\"", "known are app"));
    assert!(problem.contains("oxherd.toml:6:20"), "{problem}");
    // one line in [defaults], one problem
    let problems = Files::one("[defaults]\nhandler = \"x\"\n[queues.a]\n[queues.b]\n").problems();
    assert_eq!(problems.len(), 1, "{}", problems.join("\n\n"));
    // only a warning
    let files = Files::one(&format!("{SMALL}[handlers.spare.log]\n"));
    let (_, warnings) = files.try_load().unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].message, "no queue uses handler \"spare\"");
    let (_, warnings) = Files::one("[redis]\n").try_load().unwrap();
    assert_eq!(warnings[0].message, "no queue is configured");
    // what the program brings itself counts
    let mut files = Files::one("[queues.a]\nhandler = \"mine\"\n");
    files.options.handlers.push("mine".into());
    files.load();
}

#[test]
fn f131_a_bad_file_gives_no_configuration() {
    let files = Files::one(SMALL);
    assert!(files.try_load().is_ok());
    fs::write(files.path("oxherd.toml"), format!("{SMALL}[log]\nlevel = \"loud\"\n")).unwrap();
    let error = files.try_load().unwrap_err();
    assert_eq!(error.count(), 1);
    assert!(error.to_string().contains("\"loud\" is not a log level"));
}

#[test]
fn f132_loops_depth_size_and_directories_are_bounded() {
    let files = Files::new(&[
        ("oxherd.toml", &format!("include = [\"a.toml\"]\n{SMALL}")),
        ("a.toml", "include = [\"b.toml\"]\n"),
        ("b.toml", "include = [\"oxherd.toml\"]\n"),
    ]);
    let problem = files.one_problem();
    assert_eq!(problem.lines().next().unwrap(), "error: include loop: oxherd.toml -> a.toml -> b.toml -> oxherd.toml");
    assert!(problem.contains("--> b.toml:1:12   include"), "{problem}");

    let deep: Vec<(String, String)> =
        (0..12).map(|n| (format!("{n}.toml"), format!("include = \"{}.toml\"\n", n + 1))).collect();
    let mut list: Vec<(&str, &str)> = deep.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let top = format!("include = \"0.toml\"\n{SMALL}");
    list.push(("oxherd.toml", &top));
    let problem = Files::new(&list).one_problem();
    assert!(problem.starts_with("error: 8.toml is included more than 8 levels deep"), "{problem}");

    let huge = format!("# {}\n", "x".repeat(5 << 20));
    assert!(Files::one(&huge).one_problem().starts_with("error: oxherd.toml is longer than 4 MiB"));
    let top = format!("include = \"conf.d\"\n{SMALL}");
    let files = Files::new(&[("oxherd.toml", &top), ("conf.d/a.toml", "")]);
    assert_eq!(short(&files.one_problem()), ("error: conf.d is a directory", "include its files: \"DIR/*.toml\""));
    let top = format!("include = \"gone.toml\"\n{SMALL}");
    let problem = Files::one(&top).one_problem();
    assert!(problem.starts_with("error: cannot read gone.toml: No such file"), "{problem}");
    assert!(problem.contains("--> oxherd.toml:1:11   include"), "{problem}");

    // a symbolic link is the file it points to
    let files = Files::new(&[("real/x.toml", SMALL)]);
    std::os::unix::fs::symlink("real/x.toml", files.path("oxherd.toml")).unwrap();
    files.load();
    // something that is no file does not block
    let mut files = Files::one(SMALL);
    files.options.files = vec!["/dev/zero".into()];
    assert!(files.one_problem().starts_with("error: /dev/zero is not a regular file"));
    let files = Files::new(&[]);
    fs::write(files.path("oxherd.toml"), b"[redis]\nprefix = \"\xff\"\n").unwrap();
    assert!(files.one_problem().starts_with("error: oxherd.toml is not UTF-8 in line 2"));
}

#[test]
fn includes_are_taken_from_where_they_stand() {
    let files = Files::new(&[
        ("config/oxherd.toml", "include = [\"conf.d/*.toml\", \"none/*.toml\"]\n[queues.a]\nhandler = \"app\"\n"),
        ("config/conf.d/a.toml", "include = [\"../more/*.toml\"]\n[queues.b]\nhandler = \"app\"\n"),
        ("config/conf.d/.hidden.toml", "nonsense"),
        ("config/conf.d/notes.txt", "nonsense"),
        ("config/more/c.toml", "[handlers.app.command]\nargv = [\"true\"]\ndirectory = \"here\"\n"),
    ]);
    let config = files.load();
    assert_eq!(config.queues.keys().collect::<Vec<_>>(), ["a", "b"]);
    let Handler::Command(command) = &config.handlers["app"] else { panic!() };
    let directory = command.program.directory.as_ref().unwrap();
    assert!(directory.ends_with("config/more/here"), "{}", directory.display());
}

#[test]
fn flags_beat_the_environment_and_that_beats_files() {
    let text = format!("{SMALL}[defaults]\nconcurrency = 2\n")
        .replace("handler = \"app\"\n", "handler = \"app\"\nconcurrency = 3\n");
    let of = |files: &Files| files.load().queues["email"].concurrency;
    assert_eq!(of(&Files::one(&text)), 3);
    let files = Files::one(&text).env("OXHERD__QUEUES__EMAIL__CONCURRENCY", "4");
    assert_eq!(of(&files), 4);
    let files = files.set("queues.email.concurrency=5");
    assert_eq!(of(&files), 5);
    assert_eq!(of(&files.set("queues.email.concurrency=6")), 6);
    // the environment's defaults are weaker than the file's queue
    assert_eq!(of(&Files::one(&text).env("OXHERD__DEFAULTS__CONCURRENCY", "9")), 3);
}

#[test]
fn variables_reach_names_of_any_case_and_every_type() {
    let text = "[queues.MyQueue]\nhandler = \"app\"\n[queues.\"send-mail.v2\"]\nhandler = \"app\"\n\
                [handlers.app.http]\nurl = \"http://x\"\nheaders = { X-One = \"1\" }\n";
    let config = Files::one(text)
        .env("OXHERD__QUEUES__MYQUEUE__CONCURRENCY", "20")
        .env("OXHERD__QUEUES__SEND_MAIL_V2__KEEP_FAILED", "{ count = 3 }")
        .env("OXHERD__QUEUES__SEND_MAIL_V2__BACKOFF__DELAY", "9s")
        .env("OXHERD__QUEUES__SEND_MAIL_V2__BACKOFF__JITTER", "0")
        .env("OXHERD__REDIS__ANNOUNCE_WORKERS", "false")
        .env("OXHERD__REDIS__PASSWORD", "12345")
        .env("OXHERD__REDIS__PREFIX", "{bull}")
        .env("OXHERD__STATUS__CHANNEL", "[\"a\", \"b\"]")
        .env("OXHERD__STATUS__NAMES__ACTIVE", "BUSY")
        .env("OXHERD__HANDLERS__APP__HTTP__HEADERS__X_ONE", "2")
        .env("OXHERD_DEMO_SECONDS", "20")
        .load();
    assert_eq!(config.queues["MyQueue"].concurrency, 20);
    let queue = &config.queues["send-mail.v2"];
    assert_eq!(queue.policy.keep_failed, Keep::Some { count: Some(3), age: None, limit: None });
    assert_eq!((queue.policy.backoff.delay, queue.policy.jitter), (Duration::from_secs(9), 0.0));
    assert!(!config.redis.announce_workers);
    assert_eq!(config.redis.password.unwrap().reveal(), "12345");
    assert_eq!(config.redis.prefix, "{bull}");
    assert_eq!(config.status.channels, ["a", "b"]);
    assert_eq!(config.status.word("active"), "BUSY");
    let Handler::Http(http) = &config.handlers["app"] else { panic!() };
    assert_eq!(http.headers["X-One"], "2");
}

#[test]
fn wrong_variables_and_flags_are_named() {
    let with = |name: &str, value: &str| Files::one(SMALL).env(name, value).one_problem();
    assert_eq!(
        with("OXHERD__QUEUES__EMAIL__CONCURRENCY", "0"),
        "error: concurrency must be at least 1, got 0\n \
         --> environment variable OXHERD__QUEUES__EMAIL__CONCURRENCY   queues.email.concurrency\n  \
         = help: unset the variable to use the default, 5"
    );
    assert!(with("OXHERD__QUEUES__EMAIL__CONCURRENCY", "ten").contains("got \"ten\""));
    for (name, help) in [
        ("OXHERD__QUEUES__EMAIL__CONCURENCY", "did you mean OXHERD__QUEUES__EMAIL__CONCURRENCY?"),
        ("OXHERD__QUEUE__EMAIL__CONCURRENCY", "did you mean OXHERD__QUEUES__EMAIL__CONCURRENCY?"),
        ("OXHERD__QUEUES__EMIAL__CONCURRENCY", "did you mean OXHERD__QUEUES__EMAIL__CONCURRENCY?"),
        ("OXHERD__QUEUES__OTHER__CONCURRENCY", "known are email"),
        ("OXHERD__LOG__LEVEL__X", "only a file or --set can begin one"),
    ] {
        let problem = with(name, "1");
        assert!(problem.contains(&format!("error: environment variable {name} names no ")), "{problem}");
        assert_eq!(short(&problem).1, help);
    }
    let ambiguous = format!("{SMALL}[queues.Email]\nhandler = \"app\"\n");
    let problem = Files::one(&ambiguous).env("OXHERD__QUEUES__EMAIL__CONCURRENCY", "1").one_problem();
    assert!(problem.contains("is ambiguous: "), "{problem}");
    let set = |text: &str| Files::one(SMALL).set(text).one_problem();
    assert!(
        set("queues.email.concurrency=0").contains("--> --set queues.email.concurrency   queues.email.concurrency\n")
    );
    assert!(set("queues.email.concurency=1").contains("did you mean \"concurrency\"?"));
    assert!(set("queues.email").starts_with("error: --set has no '='"));
    assert!(set("queues..x=1").starts_with("error: \"queues..x\" is not a key"));
    assert!(!set("redis.url=redis://:hunter2@x:y").contains("hunter2"));
    let config = Files::one(SMALL).set("queues.\"a=b\".handler=app").set("redis.prefix=\"q\"").load();
    assert!(config.queues.contains_key("a=b"));
    assert_eq!(config.redis.prefix, "q");
}

#[test]
fn values_with_variables_in_them_may_be_numbers() {
    let text = SMALL.replace("handler =", "concurrency = \"${SLOTS:-7}\"\nhandler =");
    assert_eq!(Files::one(&text).load().queues["email"].concurrency, 7);
    assert_eq!(Files::one(&text).env("SLOTS", "8").load().queues["email"].concurrency, 8);
    let problem = Files::one(&text).env("SLOTS", "many").one_problem();
    assert_eq!(short(&problem).0, "error: concurrency must be a whole number, got what its variable holds");
}

#[test]
fn redis_is_named_by_the_strongest() {
    let host = |files: &Files| match files.load().redis.endpoint {
        Endpoint::Tcp { host, .. } => host,
        other => panic!("{other:?}"),
    };
    let login = |files: &Files| {
        let redis = files.load().redis;
        (redis.username, redis.password.map(|password| password.reveal().to_owned()))
    };
    let bare = || Files::one(SMALL).env("REDIS_URL", "redis://ambient").env("REDIS_PASSWORD", "pw");
    assert_eq!(host(&bare()), "ambient");
    assert_eq!(login(&bare()), (None, Some("pw".into())));
    let named = || {
        let mut files = bare();
        let text =
            format!("{SMALL}[redis]\nurl = \"redis://filed\"\nusername = \"u\"\npassword = \"f\"\nprefix = \"p\"\n");
        fs::write(files.path("oxherd.toml"), text).unwrap();
        files.options.no_file_ok = true;
        files
    };
    assert_eq!(host(&named()), "filed");
    assert_eq!(login(&named()), (Some("u".into()), Some("f".into())));
    assert_eq!(host(&named().env("OXHERD__REDIS__URL", "redis://var")), "var");
    let mut flagged = named();
    flagged.options.redis_url = Some("redis://:x@flag".into());
    assert_eq!(host(&flagged), "flag");
    // the file's user and password belong to the file's server
    assert_eq!(login(&flagged), (None, Some("x".into())));
    assert_eq!(flagged.load().redis.prefix, "p");
    flagged.options.redis_url = Some("nonsense".into());
    let problem = flagged.one_problem();
    assert!(problem.contains("\"nonsense\" is not a URL\n --> --redis\n"), "{problem}");
    // empty is as good as unset
    assert_eq!(host(&Files::one(SMALL).env("REDIS_URL", "")), "127.0.0.1");
    // a file without a password for its own server does not get somebody else's
    let text = format!("{SMALL}[redis]\nurl = \"redis://filed\"\n");
    assert_eq!(login(&Files::one(&text).env("REDIS_PASSWORD", "pw")), (None, None));
}

#[test]
fn an_embedded_directory_is_taken_from_its_file() {
    let files = Files::new(&[("config/oxherd.toml", &format!("{SMALL}[redis]\nurl = \"embedded:data\"\n"))]);
    assert_eq!(files.load().redis.endpoint, Endpoint::Embedded(files.path("config/data")));
    let current = std::env::current_dir().unwrap();
    let mut files = Files::one(SMALL);
    files.options.redis_url = Some("embedded:data".into());
    assert_eq!(files.load().redis.endpoint, Endpoint::Embedded(current.join("data")));
    let files = Files::one(SMALL).env("OXHERD__REDIS__URL", "embedded:data");
    assert_eq!(files.load().redis.endpoint, Endpoint::Embedded(current.join("data")));
}

#[test]
fn files_are_searched_for_in_order() {
    let log = |level: &str| format!("{SMALL}[log]\nlevel = \"{level}\"\n");
    let level = |files: &Files| files.load().log.level;
    let second = Files::new(&[("config/oxherd.toml", &log("debug")), ("else/x.toml", &log("trace"))]);
    assert_eq!(level(&second), "debug");
    fs::write(second.path("oxherd.toml"), log("warn")).unwrap();
    assert_eq!(level(&second), "warn");
    let else_where = second.path("else/x.toml").display().to_string();
    let mut second = second.env("OXHERD_CONFIG", &else_where);
    assert_eq!(level(&second), "trace");
    second.options.files = vec![second.path("config")];
    assert_eq!(level(&second), "debug");
}

#[test]
fn a_directory_is_every_toml_file_in_it() {
    let mut files = Files::new(&[
        ("d/1.toml", "[queues.email]\nhandler = \"app\"\n"),
        ("d/2.toml", "[handlers.app.log]\n"),
        ("d/x.txt", "nonsense"),
        ("more.toml", "[redis]\nprefix = \"x\"\n"),
    ]);
    files.options.files = vec![files.path("d"), files.path("more.toml")];
    assert_eq!(files.load().redis.prefix, "x");
    fs::create_dir(files.path("void")).unwrap();
    files.options.files = vec![files.path("void")];
    assert!(files.one_problem().starts_with("error: there is no *.toml in directory void"));
}

#[test]
fn without_a_file_there_are_defaults_for_those_who_can_do_with_them() {
    let mut files = Files::new(&[]);
    if Path::new("/etc/oxherd/oxherd.toml").exists() {
        return;
    }
    assert_eq!(short(&files.one_problem()).0, "error: there is no configuration file");
    files.options.no_file_ok = true;
    assert_eq!(files.load(), Config::default());
    files.options.redis_url = Some("redis://h:1".into());
    assert_eq!(files.load().redis.endpoint, Endpoint::Tcp { host: "h".into(), port: 1, tls: false });
    files.options.files = vec!["gone.toml".into()];
    assert!(files.one_problem().starts_with("error: cannot read gone.toml"));
}

#[test]
fn a_backoff_longer_than_its_bound_is_pointed_out() {
    let warning = problem_with("[queues.q]\nhandler = \"app\"\nbackoff = { delay = \"1h\" }\n");
    assert_eq!(
        short(&warning),
        ("warning: backoff delay 1h is cut to the default max, 10m", "raise max, or write max = false for no bound")
    );
}

#[test]
fn what_is_shown_loads_again_and_hides_secrets() {
    let text = format!(
        "{SMALL}headers = {{ Authorization = \"Bearer hunter2\", Accept = \"x\" }}\n\
         [queues.q]\nroutes = {{ \"a b\" = \"app\" }}\nkeep_failed = true\nrate_limit = {{ max = 1, per = \"90s\" }}\n\
         [queues.r]\nhandler = \"cmd\"\nmax_payload = \"1KiB\"\nstatus = {{ only = \"failed\" }}\n\
         [status]\nexcept = \"progress\"\nstream = true\n[handlers.cmd.command]\nargv = [\"x\"]\n"
    );
    let config = Files::one(&text).load();
    let shown = crate::config::show(&config);
    assert!(!shown.contains("hunter2"), "{shown}");
    let mut again = Files::one(&shown).load();
    let Handler::Http(http) = again.handlers.get_mut("app").unwrap() else { panic!() };
    assert_eq!(http.headers["Authorization"], "***");
    http.headers.insert("Authorization".into(), "Bearer hunter2".into());
    // every word is written out, which says the same
    again.status.names.clear();
    again.status.queues.get_mut("r").unwrap().names.clear();
    assert_eq!(config.secrets, [Secret::new("Bearer hunter2".into()), Secret::new("hunter2".into())]);
    again.secrets.clone_from(&config.secrets);
    assert_eq!(again, config);

    let config = Files::one(&format!("{SMALL}[redis]\nurl = \"redis://me:hunter2@h/3\"\n")).load();
    let json = crate::config::show_json(&config);
    assert_eq!(json["redis"]["url"], "redis://me:***@h:6379/3");
    assert_eq!(json["queues"]["email"]["concurrency"], 5);
}

#[test]
fn what_is_shown_has_every_key_there_is() {
    let text = "[daemon]\nname = \"n\"\nstate_dir = \"/s\"\ntimezone = \"UTC\"\n\
                [callbacks]\nlisten = \"127.0.0.1:7118\"\n[admin]\ntoken = \"sixteen-letters.\"\n[queues.q]\nhandler = \"a\"\nroutes = { x = \"b\", y = \"c\" }\nstatus = {}\n\
                [handlers.a.http]\nurl = \"https://x\"\nca = \"ca.pem\"\nsocket = \"/s\"\n[handlers.b.command]\nargv = [\"x\"]\ndirectory = \"/\"\n\
                user = \"u\"\ngroup = \"g\"\nwork_dir = \"/w\"\n[handlers.c.log]\n\
                [schedules.s]\ncron = \"0 3 * * *\"\nqueue = \"q\"\nattempts = 1\nbackoff = {}\nkeep_completed = 1\nkeep_failed = 1\n\
                starts = \"2027-01-01\"\nends = \"2027-12-31\"\ndescription = \"d\"\n\
                [queues.l]\nhandler = \"a\"\nstatus = {}\nlist = { key = \"k\", payload = \"json\", id = \"/id\", name = \"/n\" }\n";
    let ca = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
    let shown = crate::config::show_json(&Files::new(&[("oxherd.toml", text), ("ca.pem", &ca)]).load());
    let root = &crate::config::schema::ROOT;
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let keys = |value: &serde_json::Value| sorted(value.as_object().unwrap().keys().cloned().collect());
    let known = |shape: &crate::config::schema::Shape, but: &[&str]| {
        sorted(shape.names().unwrap().into_iter().filter(|name| !but.contains(name)).map(str::to_owned).collect())
    };
    assert_eq!(keys(&shown), known(root, &["include", "defaults"]));
    for section in ["status", "callbacks", "admin", "daemon", "shutdown", "log"] {
        assert_eq!(keys(&shown[section]), known(root.child(section).unwrap(), &[]), "{section}");
    }
    assert_eq!(keys(&shown["admin"]["events"]), known(root.child("admin").unwrap().child("events").unwrap(), &[]));
    // user and password stand in the URL
    assert_eq!(keys(&shown["redis"]), known(root.child("redis").unwrap(), &["username", "password"]));
    assert_eq!(keys(&shown["queues"]["q"]), known(root.child("defaults").unwrap(), &[]));
    let queue = root.child("queues").unwrap().child("l").unwrap();
    let foreign = ["lock", "expires_after", "metrics", "placement", "keep_completed"];
    assert_eq!(keys(&shown["queues"]["l"]), known(queue, &foreign));
    assert_eq!(keys(&shown["queues"]["l"]["list"]), known(queue.child("list").unwrap(), &[]));
    // cron is there instead
    let schedule = root.child("schedules").unwrap().child("s").unwrap();
    assert_eq!(keys(&shown["schedules"]["s"]), known(schedule, &["every"]));
    let kinds = root.child("handlers").unwrap().child("a").unwrap();
    for (name, kind) in [("a", "http"), ("b", "command"), ("c", "log")] {
        assert_eq!(keys(&shown["handlers"][name][kind]), known(kinds.child(kind).unwrap(), &[]), "{kind}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Whatever is cut out of a file, put in twice or typed by accident: an answer, no panic.
    #[test]
    fn f125_any_damage_is_answered(from in 0usize..5000, length in 0usize..200, to in 0usize..5000, junk in "[\\[\\]{}=\"'#.,$a1é\n -]{0,6}") {
        let text = include_str!("../../../config/oxherd.example.toml");
        let near = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (from, end, to) = (near(from), near(from + length), near(to));
        for damaged in [
            format!("{}{junk}{}", &text[..from], &text[end..]),
            format!("{}{}{junk}{}", &text[..to], &text[from..end], &text[to..]),
        ] {
            let files = Files::one(&damaged);
            if let Err(e) = files.try_load() {
                proptest::prop_assert!(e.count() > 0 && !e.to_string().is_empty());
            }
        }
    }
}
