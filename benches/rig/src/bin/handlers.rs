//! What handlers cost: oxherd with endpoints, programs and process pools beside BullMQ's sandbox, and each beside the
//! plain limit of the machine. One private Redis, interleaved rounds, figures and ratios.
//!
//!     handlers --redis-server PATH --oxherd PATH --peer-node PATH --peer-http PATH --helper PATH --processor PATH
//!              [--only http,command,process] [--rounds 3] [--jobs 10000] [--commands 2000] [--payload 200]
//!
//! Every worker does a few hundred jobs first, so that what has to be started is started. Then jobs are added, and the
//! time runs from before the first to the moment nothing waits and nothing is active.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oxherd_rig::arguments::Arguments;
use oxherd_rig::process::{self, Peer};
use oxherd_rig::queue;
use oxherd_rig::redis::{Redis, Reply, Server};
use oxherd_rig::table::{Bound, Column, Target, table};

const QUEUE: &str = "bench";
const WARM: usize = 400;
/// Requests in flight.
const WIDTH: usize = 50;
/// Processes, wherever there are some.
const PROCESSES: usize = 8;

const OXHERD: &str = "oxherd";
const WIDE: &str = "oxherd, 16 a child";
const SANDBOX: &str = "bullmq sandbox";
const CLIENT: &str = "bare client";
const SPAWN: &str = "spawn and wait";
const ECHO: &str = "pipe echo";

struct Rig {
    server: Server,
    programs: BTreeMap<&'static str, String>,
    rounds: usize,
    jobs: usize,
    commands: usize,
    payload: usize,
    directory: PathBuf,
}

/// What one worker did.
struct Figures {
    per_second: f64,
    own_us: f64,
    redis_us: f64,
}

fn main() {
    let arguments = Arguments::read();
    let only = arguments.text("only", "http,command,process");
    let program = |key: &'static str| (key, arguments.text(key, key));
    let rig = Rig {
        server: Server::start(Path::new(&arguments.text("redis-server", "redis-server"))),
        programs: ["oxherd", "peer-node", "peer-http", "helper", "processor"].map(program).into(),
        rounds: arguments.number("rounds", 3),
        jobs: arguments.number("jobs", 10_000),
        commands: arguments.number("commands", 2_000),
        payload: arguments.number("payload", 200),
        directory: std::env::temp_dir().join(format!("oxherd-handlers-{}", std::process::id())),
    };
    std::fs::create_dir_all(&rig.directory).expect("a place for temporary files");
    let wanted = |part: &str| only.split(',').any(|word| word == part);
    if wanted("http") {
        rig.http();
    }
    if wanted("command") {
        rig.command();
    }
    if wanted("process") {
        rig.process();
    }
    let _ = std::fs::remove_dir_all(&rig.directory);
}

impl Rig {
    /// Jobs POSTed to an endpoint that answers at once.
    fn http(&self) {
        let columns = [
            Column { name: "jobs/s", decimals: 0 },
            Column { name: "own CPU us/job", decimals: 1 },
            Column { name: "above no-op us", decimals: 1 },
            Column { name: "Redis CPU us/job", decimals: 1 },
        ];
        let targets = [
            Target { column: 0, of: Some(SANDBOX), bound: Bound::AtLeast(3.0) },
            Target { column: 2, of: Some(CLIENT), bound: Bound::AtMost(2.0) },
        ];
        let title = format!("http: {} jobs, {WIDTH} in flight; the sandbox with {PROCESSES} processes", self.jobs);
        table(self.rounds, &title, &columns, &targets, &[OXHERD, SANDBOX, CLIENT], |name| match name {
            OXHERD => {
                let mut receiver = Peer::start(&[self.programs["peer-http"].clone(), "receive".into()]);
                let url = receiver.line();
                let idle = self.oxherd("log]\n", WIDTH, self.jobs);
                let busy = self.oxherd(&format!("http]\nurl = \"http://{url}/jobs\"\n"), WIDTH, self.jobs);
                vec![busy.per_second, busy.own_us, busy.own_us - idle.own_us, busy.redis_us]
            }
            CLIENT => {
                let (per_second, own_us) = self.client();
                vec![per_second, own_us, own_us, 0.0]
            }
            _ => {
                let figures = self.sandbox();
                vec![figures.per_second, figures.own_us, f64::NAN, figures.redis_us]
            }
        });
    }

    /// A bare HTTP client against the same endpoint: requests a second and its own CPU time.
    fn client(&self) -> (f64, f64) {
        let program = &self.programs["peer-http"];
        let mut receiver = Peer::start(&[program.clone(), "receive".into()]);
        let url = format!("http://{}/jobs", receiver.line());
        let (requests, width, payload) = (self.jobs.to_string(), WIDTH.to_string(), (self.payload + 250).to_string());
        let words = ["post", "--url", &url, "--requests", &requests, "--width", &width, "--payload", &payload];
        let words: Vec<String> = [program.as_str()].iter().chain(&words).map(|word| (*word).to_owned()).collect();
        let mut client = Peer::start(&words);
        let before = process::cpu(client.pid());
        client.go();
        let line = client.line();
        let own = process::cpu(client.pid()) - before;
        let seconds = process::number(&line, "seconds").unwrap_or(f64::NAN);
        (self.jobs as f64 / seconds, own / self.jobs as f64 * 1e6)
    }

    /// A program per job that does nothing.
    fn command(&self) {
        let columns = [Column { name: "jobs/s", decimals: 0 }, Column { name: "own CPU us/job", decimals: 0 }];
        let targets = [Target { column: 0, of: Some(SPAWN), bound: Bound::AtLeast(0.8) }];
        let title = format!("command: {} runs of /bin/true, {PROCESSES} at a time", self.commands);
        table(self.rounds, &title, &columns, &targets, &[OXHERD, SPAWN], |name| {
            if name == OXHERD {
                let figures = self.oxherd("command]\nargv = [\"/bin/true\"]\n", PROCESSES, self.commands);
                return vec![figures.per_second, figures.own_us];
            }
            let before = process::cpu(std::process::id());
            let start = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..PROCESSES {
                    scope.spawn(|| {
                        for _ in 0..self.commands / PROCESSES {
                            let status = Command::new("/bin/true").stdin(Stdio::null()).status();
                            assert!(status.is_ok_and(|status| status.success()), "/bin/true runs");
                        }
                    });
                }
            });
            let own = process::cpu(std::process::id()) - before;
            let runs = (self.commands / PROCESSES * PROCESSES) as f64;
            vec![runs / start.elapsed().as_secs_f64(), own / runs * 1e6]
        });
    }

    /// One processor file in as many child processes by oxherd and by BullMQ.
    fn process(&self) {
        let columns = [
            Column { name: "jobs/s", decimals: 0 },
            Column { name: "own CPU us/job", decimals: 1 },
            Column { name: "Redis CPU us/job", decimals: 1 },
        ];
        let targets = [Target { column: 0, of: Some(SANDBOX), bound: Bound::AtLeast(3.0) }];
        let title = format!("process pool: {} jobs, one Node processor file, {PROCESSES} processes", self.jobs);
        table(self.rounds, &title, &columns, &targets, &[WIDE, OXHERD, SANDBOX, ECHO], |name| {
            let figures = match name {
                OXHERD => self.pool(1),
                WIDE => self.pool(16),
                SANDBOX => self.sandbox(),
                _ => return vec![self.echo(), 0.0, 0.0],
            };
            vec![figures.per_second, figures.own_us, figures.redis_us]
        });
    }

    fn pool(&self, slots: usize) -> Figures {
        let (helper, processor) = (&self.programs["helper"], &self.programs["processor"]);
        let handler = format!(
            "process]\nargv = [\"node\", {helper:?}, {processor:?}, \"--slots\", \"{slots}\"]\nworkers = {PROCESSES}\n"
        );
        self.oxherd(&handler, PROCESSES * slots, self.jobs)
    }

    /// As many `cat` as there are processes elsewhere, each with a line in flight: lines a second.
    fn echo(&self) -> f64 {
        let line = format!("{}\n", queue::payload(self.payload + 250));
        let each = self.jobs / PROCESSES;
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..PROCESSES {
                scope.spawn(|| {
                    let mut command = Command::new("cat");
                    let mut child =
                        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("every system has cat");
                    let mut to = child.stdin.take().expect("stdin was piped");
                    let mut from = BufReader::new(child.stdout.take().expect("stdout was piped"));
                    let mut answer = String::new();
                    for _ in 0..each {
                        to.write_all(line.as_bytes()).expect("cat reads");
                        answer.clear();
                        from.read_line(&mut answer).expect("cat writes");
                    }
                    drop(to);
                    let _ = child.wait();
                });
            }
        });
        (each * PROCESSES) as f64 / start.elapsed().as_secs_f64()
    }

    /// BullMQ's worker with the same processor file.
    fn sandbox(&self) -> Figures {
        let mut redis = self.redis();
        redis.call(&["FLUSHALL"]);
        let words = ["node", &self.programs["peer-node"], "sandbox", "--redis", &self.server.url, "--queue", QUEUE];
        let mut words: Vec<String> = words.map(str::to_owned).into();
        words.extend(["--concurrency".to_owned(), PROCESSES.to_string()]);
        let peer = Peer::start(&words);
        self.work(&mut redis, peer.pid(), self.jobs)
    }

    /// The daemon with one handler, given as the rest of its table.
    fn oxherd(&self, handler: &str, concurrency: usize, jobs: usize) -> Figures {
        let mut redis = self.redis();
        redis.call(&["FLUSHALL"]);
        let file = self.directory.join("oxherd.toml");
        let text = format!(
            "[redis]\nurl = \"{}\"\n\n[log]\nlevel = \"warn\"\n\n[queues.{QUEUE}]\nconcurrency = {concurrency}\n\
             handler = \"it\"\n\n[handlers.it.{handler}",
            self.server.url
        );
        std::fs::write(&file, text).expect("the directory for temporary files takes a file");
        let child = Command::new(&self.programs["oxherd"])
            .arg("run")
            .arg("-c")
            .arg(&file)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.programs["oxherd"]));
        let mut daemon = Daemon(child);
        let figures = self.work(&mut redis, daemon.0.id(), jobs);
        assert!(daemon.0.try_wait().expect("our own child").is_none(), "oxherd run ended by itself");
        figures
    }

    /// Adds jobs for a worker and waits until they are done.
    fn work(&self, redis: &mut Redis, pid: u32, jobs: usize) -> Figures {
        queue::add(redis, QUEUE, WARM, self.payload);
        await_end(redis);
        let (own, server) = (process::cpu(pid), redis.usage());
        let start = Instant::now();
        queue::add(redis, QUEUE, jobs, self.payload);
        await_end(redis);
        let seconds = start.elapsed().as_secs_f64();
        let (own, server) = (process::cpu(pid) - own, redis.usage().cpu - server.cpu);
        let jobs = jobs as f64;
        Figures { per_second: jobs / seconds, own_us: own / jobs * 1e6, redis_us: server / jobs * 1e6 }
    }

    fn redis(&self) -> Redis {
        Redis::connect(&self.server.url).expect("the private redis-server is there")
    }
}

/// Ends with TERM, so that it ends its own children.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Looks every few milliseconds whether the queue is done.
///
/// # Panics
/// When a job failed or was put off: a measurement is worth nothing then.
fn await_end(redis: &mut Redis) {
    let mut length = |command: &str, key: &str| match redis.call(&[command, &format!("bull:{QUEUE}:{key}")]) {
        Reply::Number(number) => number,
        other => panic!("{command} answered {other:?}"),
    };
    let patience = Instant::now() + Duration::from_secs(300);
    while length("LLEN", "wait") + length("LLEN", "active") > 0 {
        assert!(Instant::now() < patience, "the jobs are not done after five minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(length("ZCARD", "failed") + length("ZCARD", "delayed"), 0, "every job is to complete at once");
}
