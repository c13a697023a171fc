//! The text of a configuration to start from. What is commented out in it is the default, or an example where there is
//! none.

use std::path::Path;

use crate::config::Redis;
use crate::job::QueueName;

/// Where packages put the helpers around processor files.
const HELPERS: &str = "/usr/share/oxherd/helpers";

/// What it is to say.
pub struct Starter {
    /// Sorted; none: an example.
    pub queues: Vec<QueueName>,
    /// The URL of Redis, if it is to be in the file.
    pub redis: Option<String>,
    /// The prefix of the keys, if it is not the usual one.
    pub prefix: Option<String>,
    pub work: Work,
}

/// What does the jobs.
pub enum Work {
    /// `None`: an example.
    Http(Option<String>),
    /// A program and its arguments.
    Command(Vec<String>),
    /// A file for one of the helpers, or a program.
    Process(String),
}

impl Starter {
    /// The queues it describes.
    pub fn names(&self) -> Vec<&str> {
        if self.queues.is_empty() { vec!["email"] } else { self.queues.iter().map(QueueName::as_str).collect() }
    }

    /// Whether others should not read it.
    pub fn holds_a_password(&self) -> bool {
        let url = self.redis.as_deref().and_then(|url| Redis::default().with_url(url, Path::new("")).ok());
        url.is_some_and(|redis| redis.password.is_some())
    }

    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        text += &self.redis();
        text += DEFAULTS;
        text += "\n# ---- Queues ----------------------------------------------------------------------------------\n";
        for (n, name) in self.names().into_iter().enumerate() {
            text.extend(["[queues.", &key(name), "]\nhandler = \"app\"\n"]);
            text += if n == 0 { FIRST_QUEUE } else { "\n" };
        }
        text += HANDLERS;
        text += &self.handler();
        text += TAIL;
        text
    }

    fn redis(&self) -> String {
        let url = match &self.redis {
            Some(url) => line(&format!("url = {}", quoted(url)), "where Redis is; wins over REDIS_URL"),
            None => REDIS_URL.to_owned(),
        };
        let prefix = match &self.prefix {
            Some(prefix) => line(&format!("prefix = {}", quoted(prefix)), "of BullMQ's keys"),
            None => line("# prefix = \"bull\"", "BullMQ's default"),
        };
        format!("[redis]\n{url}{REDIS_PASSWORD}{prefix}")
    }

    fn handler(&self) -> String {
        match &self.work {
            Work::Http(url) => {
                let url = url.as_deref().unwrap_or("http://localhost:3000/jobs");
                format!(
                    "[handlers.app.http]\n{}{HTTP}",
                    line(&format!("url = {}", quoted(url)), "gets each job as JSON")
                )
            }
            Work::Command(argv) => format!("[handlers.app.command]\nargv = {}\n{COMMAND}", list(argv)),
            Work::Process(file) => format!("[handlers.app.process]\nargv = {}\n{PROCESS}", list(&processes(file))),
        }
    }
}

/// The program and arguments of a pool around this file.
fn processes(file: &str) -> Vec<String> {
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    let helper = |program: &str, name: &str| vec![program.to_owned(), format!("{HELPERS}/{name}"), file.to_owned()];
    match extension {
        Some("js" | "mjs" | "cjs") => helper("node", "oxherd.mjs"),
        Some("php") => helper("php", "oxherd.php"),
        _ if file.contains(':') => helper("python3", "oxherd.py"),
        _ => vec![file.to_owned()],
    }
}

/// A line with a remark, as far to the right as the others.
fn line(text: &str, remark: &str) -> String {
    format!("{text:<41} # {remark}\n")
}

/// As TOML writes a name in a header.
fn key(name: &str) -> String {
    let is_bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_bare { name.to_owned() } else { toml::Value::from(name).to_string() }
}

/// As TOML writes a text, variables of the environment left alone.
fn quoted(text: &str) -> String {
    toml::Value::from(text.replace("${", "$${")).to_string()
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

const HEAD: &str = "\
# The configuration of oxherd, which works the queues below.
#
#   oxherd check           names every mistake in it, with line and column
#   oxherd run             starts
#   oxherd config show     prints what is in force, every default written out
#   oxherd config schema   has an editor explain and complete the keys; the first line of this file
#                          then is \"#:schema ./oxherd.schema.json\"
#
# What is commented out is the default, or an example where there is none. oxherd.toml(5) has all keys.
# ${NAME} inside a text is filled in from the environment.

# ---- Redis -----------------------------------------------------------------------------------
";

const REDIS_URL: &str = "\
# Without a url the one in the variable REDIS_URL holds, else redis://127.0.0.1:6379/0.
# url = \"redis://127.0.0.1:6379/0\"        # also rediss, redis+unix, or \"embedded:DIR\": a private server in DIR
";

const REDIS_PASSWORD: &str = "\
# password = { file = \"/run/secrets/redis\" }   # or { env = \"NAME\" }, { credential = \"name\" }, or a text
";

const DEFAULTS: &str = "
# ---- What every queue inherits ---------------------------------------------------------------
# Each may stand in the table of a queue too. What a producer stored with a job wins over both.
[defaults]
# concurrency = 5                         # jobs at once in this process
# attempts = 3                            # total tries
# backoff = { type = \"exponential\", delay = \"1s\", max = \"10m\", jitter = 0.2 }   # or type = \"fixed\"
# timeout = \"60s\"                         # of one attempt; then the work is stopped
# keep_completed = { count = 100, age = \"24h\" }   # true keeps all, false none, a number so many
# keep_failed = { count = 500, age = \"7d\" }
# unmatched = \"release\"                   # a job no handler is named for: leave it to others, or \"fail\"
";

const FIRST_QUEUE: &str = "\
# concurrency = 10
# global_concurrency = 40                 # over all processes; BullMQ workers obey it too
# rate_limit = { max = 100, per = \"60s\" } # over all processes
# routes = { \"report-*\" = \"reports\" }     # other handlers for some jobs, by name

";

const HANDLERS: &str = "\
# ---- Handlers: the kind is the last name of the table; http, command, process, smtp, redis, log -
";

const HTTP: &str = "\
#                                           a status 200 completes the job, 500 has it tried again; {queue}, {name},
#                                           {id} and {data.path} in the url are filled in
# headers = { Authorization = \"Bearer ${APP_TOKEN}\" }
# connect_timeout = \"5s\"                  # the answer has the queue's timeout
# callback = false                        # true: an answer 202 means that the endpoint calls back
";

const COMMAND: &str = "\
#                                           one start for each job, which is on stdin as JSON: exit code 0 completes
#                                           it, 1 has it tried again; \"{data.path}\" as an argument is filled in
# directory = \"/srv/app\"                  # where it runs
# env = { LOG_LEVEL = \"warn\" }            # set for it
# kill_after = \"5s\"                       # from TERM to KILL
";

const PROCESS: &str = "\
#                                           is started once and takes one job after the other; the helpers around
#                                           Node, Python and PHP are in /usr/share/oxherd/helpers, or in deploy/helpers
# directory = \"/srv/app\"                  # where it runs
# workers = { min = 1, max = 4 }          # how many; default: one
# max_memory = \"512MiB\"                   # one that has grown larger is replaced
";

const TAIL: &str = "
# ---- Jobs that come again and again: `oxherd schedule next` shows their times --------------------
# [schedules.nightly]
# cron = \"0 3 * * *\"                      # minute, hour, day, month, weekday; or every = \"30m\"
# timezone = \"Europe/Oslo\"
# queue = \"email\"
# data = { kind = \"digest\" }

# ---- The process -----------------------------------------------------------------------------
[shutdown]
# drain = \"25s\"                           # how long running jobs may go on after TERM

[log]
# level = \"info\"
# format = \"auto\"                         # pretty on a terminal, else JSON
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, LoadOptions, load};

    fn loaded(text: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("oxherd.toml");
        std::fs::write(&file, text).unwrap();
        let env = vec![("APP_TOKEN".to_owned(), "x".to_owned())];
        let options = LoadOptions { files: vec![file], env, ..LoadOptions::default() };
        load(&options).unwrap_or_else(|error| panic!("{error}")).0
    }

    /// The text with each line again that is a key and is commented out, one at a time.
    fn uncommented(text: &str) -> Vec<(String, String)> {
        let lines: Vec<&str> = text.lines().collect();
        let is_key = |line: &&str| {
            line.strip_prefix("# ").is_some_and(|rest| {
                let name = rest.split(" = ").next().unwrap_or(rest);
                name.len() < rest.len() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            })
        };
        let places = lines.iter().enumerate().filter(|(_, line)| is_key(line));
        places
            .map(|(at, line)| {
                let mut lines = lines.clone();
                lines[at] = &line[2..];
                (lines[at].to_owned(), lines.join("\n"))
            })
            .collect()
    }

    #[test]
    fn what_is_commented_out_holds_anyway_or_can_be_had() {
        let works = [Work::Http(None), Work::Command(vec!["true".to_owned()]), Work::Process("true".to_owned())];
        for work in works {
            let starter = Starter { queues: Vec::new(), redis: None, prefix: None, work };
            let text = starter.text();
            let (schedule, rest) = (text.find("# [schedules").unwrap(), text.find("# ---- The process").unwrap());
            let lines = text[schedule..rest].lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
            let with_schedule = lines.collect::<Vec<_>>().join("\n");
            assert_eq!(loaded(&format!("{text}\n{with_schedule}")).schedules.len(), 1);
            let plain = loaded(&text);
            let (common, below) = (text.find("[queues.").unwrap(), text.find("[shutdown]").unwrap());
            let mut lines = 0;
            for (line, changed) in uncommented(&text) {
                let at = text.find(&line).unwrap();
                // those of the schedule have been tried, a secret's file is not there, nor the other handler
                if (schedule..rest).contains(&at)
                    || ["password", "routes", "directory"].iter().any(|key| line.starts_with(key))
                {
                    continue;
                }
                lines += 1;
                let config = loaded(&changed);
                if at < common || at > below {
                    assert_eq!(config, plain, "{line} is not the default");
                }
            }
            assert!(lines > 12, "only {lines} lines");
        }
    }
}
