//! oxherd and its neighbours in interleaved rounds on one private Redis; prints figures and ratios.
//!
//!     compare --redis-server PATH --oxherd PATH --peer-rust PATH --peer-node PATH --limit PATH
//!             [--only drain,latency,idle,add,flows,list,app] [--rounds 3] [--jobs 50000] [--concurrency 100]
//!             [--payload 200] [--idle-seconds 20] [--added 100000] [--flows 2000]
//!
//! Bare rates depend on the machine and on what else it does; the ratios of one round do not. Own CPU
//! is read from the process's clock, Redis CPU from INFO, for everybody alike; oxherd's come from `oxherd bench`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use oxherd_rig::arguments::Arguments;
use oxherd_rig::process::{self, Peer};
use oxherd_rig::queue;
use oxherd_rig::redis::{Redis, Server};
use oxherd_rig::table::{Bound, Column, Target, table};

const QUEUE: &str = "bench";
const IDLE_QUEUES: usize = 20;
const LATENCY_JOBS: usize = 1_000;
const LATENCY_INTERVAL_US: usize = 5_000;
/// Of each parent.
const CHILDREN: usize = 10;

const OXHERD: &str = "oxherd";
const RUST: &str = "bullmq-official";
const NODE: &str = "npm bullmq";
const LIMIT: &str = "limit";
const LMOVE: &str = "LMOVE";

struct Rig {
    server: Server,
    oxherd: String,
    peers: BTreeMap<&'static str, String>,
    rounds: usize,
    jobs: usize,
    concurrency: usize,
    payload: usize,
    idle: Duration,
    added: usize,
    flows: usize,
    directory: PathBuf,
    /// What comes with the server.
    benchmark: PathBuf,
}

fn main() {
    let arguments = Arguments::read();
    let only = arguments.text("only", "drain,latency,idle,add,flows,list,app");
    let peer = |key: &'static str| arguments.text(key, key);
    let server = PathBuf::from(arguments.text("redis-server", "redis-server"));
    let beside = server.with_file_name("redis-benchmark");
    let rig = Rig {
        server: Server::start(&server),
        oxherd: peer("oxherd"),
        peers: BTreeMap::from([(RUST, peer("peer-rust")), (NODE, peer("peer-node")), (LIMIT, peer("limit"))]),
        rounds: arguments.number("rounds", 3),
        jobs: arguments.number("jobs", 50_000),
        concurrency: arguments.number("concurrency", 100),
        payload: arguments.number("payload", 200),
        idle: Duration::from_secs(arguments.number("idle-seconds", 20)),
        added: arguments.number("added", 100_000),
        flows: arguments.number("flows", 2_000),
        benchmark: if beside.exists() { beside } else { PathBuf::from("redis-benchmark") },
        directory: std::env::temp_dir().join(format!("oxherd-compare-{}", std::process::id())),
    };
    std::fs::create_dir_all(&rig.directory).expect("a place for temporary files");
    let wanted = |part: &str| only.split(',').any(|word| word == part);
    if wanted("drain") {
        rig.drain();
    }
    if wanted("latency") {
        rig.latency();
    }
    if wanted("idle") {
        rig.idle();
    }
    if wanted("add") {
        rig.add();
    }
    if wanted("flows") {
        rig.flows();
    }
    if wanted("list") {
        rig.list();
    }
    if wanted("app") {
        rig.beside();
    }
    let _ = std::fs::remove_dir_all(&rig.directory);
}

impl Rig {
    fn redis(&self) -> Redis {
        Redis::connect(&self.server.url).expect("the private redis-server is there")
    }

    /// A peer with its mode and arguments; the Node one is a script.
    fn start(&self, name: &str, mode: &str, arguments: &[(&str, String)]) -> Peer {
        let program = self.peers[name].clone();
        let mut command = if name == NODE { vec!["node".to_owned(), program] } else { vec![program] };
        if name != LIMIT {
            command.push(mode.to_owned());
        }
        command.extend(["--redis".to_owned(), self.server.url.clone()]);
        for (key, value) in arguments {
            command.extend([format!("--{key}"), value.clone()]);
        }
        Peer::start(&command)
    }

    /// One run of `oxherd bench`; its JSON.
    fn oxherd_bench(&self, more: &[&str]) -> String {
        self.redis().call(&["FLUSHALL"]);
        let output = Command::new(&self.oxherd)
            .args(["bench", "--redis", &self.server.url, "--queue", QUEUE, "--json"])
            .args(["--payload", &self.payload.to_string(), "--concurrency", &self.concurrency.to_string()])
            .args(more)
            .output()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.oxherd));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "oxherd bench failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Many jobs that do nothing, completed ones removed.
    fn drain(&self) {
        let columns = [
            Column { name: "jobs/s", decimals: 0 },
            Column { name: "own CPU us/job", decimals: 1 },
            Column { name: "Redis CPU us/job", decimals: 1 },
            Column { name: "RSS MiB", decimals: 1 },
        ];
        let targets = [
            Target { column: 0, of: Some(RUST), bound: Bound::AtLeast(1.5) },
            Target { column: 0, of: Some(NODE), bound: Bound::AtLeast(2.0) },
            Target { column: 0, of: Some(LIMIT), bound: Bound::AtLeast(0.6) },
            Target { column: 1, of: Some(RUST), bound: Bound::AtMost(0.6) },
            Target { column: 2, of: Some(RUST), bound: Bound::AtMost(0.6) },
        ];
        let title = format!("drain: {} no-op jobs, completed removed, {} slots", self.jobs, self.concurrency);
        table(self.rounds, &title, &columns, &targets, &[OXHERD, RUST, NODE, LIMIT], |name| {
            if name == OXHERD { self.drain_oxherd() } else { self.drain_peer(name) }
        });
    }

    fn drain_oxherd(&self) -> Vec<f64> {
        let json = self.oxherd_bench(&["--jobs", &self.jobs.to_string()]);
        let field = |key| process::number(&json, key).unwrap_or(f64::NAN);
        vec![field("jobsPerSecond"), field("cpuUsPerJob"), field("redisCpuUsPerJob"), field("rssBytes") / 1_048_576.0]
    }

    fn drain_peer(&self, name: &str) -> Vec<f64> {
        let mut redis = self.redis();
        queue::fill(&mut redis, QUEUE, self.jobs, self.payload);
        let mut arguments = vec![("queue", QUEUE.to_owned()), ("jobs", self.jobs.to_string())];
        if name != LIMIT {
            arguments.push(("concurrency", self.concurrency.to_string()));
        }
        let mut peer = self.start(name, "drain", &arguments);
        let (own, server) = (process::cpu(peer.pid()), redis.usage());
        peer.go();
        let line = peer.line();
        let (own, server) = (process::cpu(peer.pid()) - own, redis.usage().cpu - server.cpu);
        let memory = process::memory(peer.pid());
        let seconds = process::number(&line, "seconds").unwrap_or_else(|| panic!("{name} printed {line:?}"));
        let jobs = self.jobs as f64;
        vec![jobs / seconds, own / jobs * 1e6, server / jobs * 1e6, memory]
    }

    /// Many jobs added in bulk, a thousand to a call of the client, four calls at once.
    fn add(&self) {
        let columns = [
            Column { name: "jobs/s", decimals: 0 },
            Column { name: "own CPU us/job", decimals: 1 },
            Column { name: "Redis CPU us/job", decimals: 1 },
        ];
        let targets = [Target { column: 0, of: Some(RUST), bound: Bound::AtLeast(2.4) }];
        let title = format!("bulk add: {} jobs", self.added);
        table(self.rounds, &title, &columns, &targets, &[OXHERD, RUST, NODE], |name| {
            let jobs = self.added as f64;
            if name == OXHERD {
                let json = self.oxherd_bench(&["--mode", "add", "--jobs", &self.added.to_string()]);
                let field = |key| process::number(&json, key).unwrap_or(f64::NAN);
                return vec![field("jobsPerSecond"), field("cpuUsPerJob"), field("redisCpuUsPerJob")];
            }
            let (line, own, server) = self.measured(name, "add", self.added);
            let seconds = process::number(&line, "seconds").unwrap_or(f64::NAN);
            vec![jobs / seconds, own / jobs * 1e6, server / jobs * 1e6]
        });
    }

    /// Parents with ten children each, added and then worked off.
    fn flows(&self) {
        let columns = [
            Column { name: "flows added/s", decimals: 0 },
            Column { name: "jobs worked/s", decimals: 0 },
            Column { name: "own CPU us/job", decimals: 1 },
            Column { name: "Redis CPU us/job", decimals: 1 },
        ];
        let targets = [
            Target { column: 0, of: Some(RUST), bound: Bound::AtLeast(1.5) },
            Target { column: 1, of: Some(RUST), bound: Bound::AtLeast(1.5) },
        ];
        let title = format!("flows: {} parents with {CHILDREN} children each, completed removed", self.flows);
        table(self.rounds, &title, &columns, &targets, &[OXHERD, RUST, NODE], |name| {
            let jobs = (self.flows * (CHILDREN + 1)) as f64;
            if name == OXHERD {
                let json = self.oxherd_bench(&["--mode", "flows", "--jobs", &self.flows.to_string()]);
                let keys = ["flowsAddedPerSecond", "jobsPerSecond", "cpuUsPerJob", "redisCpuUsPerJob"];
                return keys.iter().map(|key| process::number(&json, key).unwrap_or(f64::NAN)).collect();
            }
            let (line, own, server) = self.measured(name, "flows", self.flows);
            let seconds = |key| process::number(&line, key).unwrap_or(f64::NAN);
            let added = self.flows as f64 / seconds("addSeconds");
            vec![added, jobs / seconds("seconds"), own / jobs * 1e6, server / jobs * 1e6]
        });
    }

    /// A plain list worked off in reliable mode, beside nothing but its elements moved to another list one by one.
    fn list(&self) {
        let columns = [
            Column { name: "jobs/s", decimals: 0 },
            Column { name: "own CPU us/job", decimals: 1 },
            Column { name: "Redis CPU us/job", decimals: 1 },
        ];
        let targets = [Target { column: 0, of: Some(LMOVE), bound: Bound::AtLeast(0.4) }];
        let title = format!("list: {} ids, reliable, {} slots", self.added, self.concurrency);
        table(self.rounds, &title, &columns, &targets, &[OXHERD, LMOVE], |name| {
            if name == LMOVE {
                return self.lmove();
            }
            let json = self.oxherd_bench(&["--mode", "list", "--jobs", &self.added.to_string()]);
            ["jobsPerSecond", "cpuUsPerJob", "redisCpuUsPerJob"]
                .iter()
                .map(|key| process::number(&json, key).unwrap_or(f64::NAN))
                .collect()
        });
    }

    /// Redis's own benchmark, by its defaults: 50 connections, no pipeline.
    fn lmove(&self) -> Vec<f64> {
        let mut redis = self.redis();
        redis.call(&["FLUSHALL"]);
        let ids: Vec<String> = (0..self.added).map(|number| format!("job-{number:08}")).collect();
        for some in ids.chunks(1000) {
            let mut words = vec!["LPUSH", "from"];
            words.extend(some.iter().map(String::as_str));
            redis.call(&words);
        }
        let before = redis.usage();
        let port = self.server.url.rsplit(':').next().unwrap_or_default();
        let output = Command::new(&self.benchmark)
            .args(["-h", "127.0.0.1", "-p", port, "-n", &self.added.to_string(), "--csv"])
            .args(["LMOVE", "from", "to", "RIGHT", "LEFT"])
            .output()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.benchmark.display()));
        let used = redis.usage().cpu - before.cpu;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // "LMOVE …","RPS",…
        let rate = text.lines().last().and_then(|line| line.split("\",\"").nth(1)?.trim_matches('"').parse().ok());
        vec![
            rate.unwrap_or_else(|| panic!("redis-benchmark printed {text:?}")),
            f64::NAN,
            used / self.added as f64 * 1e6,
        ]
    }

    /// What stands beside the queues, next to the bare commands: both from one run a round.
    fn beside(&self) {
        let columns = [Column { name: "us, one caller", decimals: 1 }, Column { name: "us, 32 callers", decimals: 1 }];
        let pairs = [
            ("cache: a hit of get-or-set", ["get-or-set hit", "bare GET"], ["hit", "get"], 1.3),
            ("limit: a check", ["check", "bare EVALSHA"], ["check", "evalsha"], 1.5),
        ];
        for (title, names, keys, most) in pairs {
            let targets = [0, 1].map(|column| Target { column, of: Some(names[1]), bound: Bound::AtMost(most) });
            let mut run: Option<String> = None;
            table(self.rounds, title, &columns, &targets, &names, |name| {
                // the second name of a round takes what the first has left
                let (json, is_first) = match run.take() {
                    Some(json) => (json, false),
                    None => (self.oxherd_bench(&["--mode", "app"]), true),
                };
                let key = keys[usize::from(name == names[1])];
                let figure = |ending| process::number(&json, &format!("{key}{ending}")).unwrap_or(f64::NAN);
                let figures = vec![figure("Us"), figure("UsAtOnce")];
                run = is_first.then_some(json);
                figures
            });
        }
    }

    /// One run of a peer on an empty Redis: what it printed, its CPU time and the server's.
    fn measured(&self, name: &'static str, mode: &str, jobs: usize) -> (String, f64, f64) {
        let mut redis = self.redis();
        redis.call(&["FLUSHALL"]);
        let arguments = [
            ("queue", QUEUE.to_owned()),
            ("jobs", jobs.to_string()),
            ("concurrency", self.concurrency.to_string()),
            ("payload", self.payload.to_string()),
        ];
        let mut peer = self.start(name, mode, &arguments);
        let (own, server) = (process::cpu(peer.pid()), redis.usage());
        peer.go();
        let line = peer.line();
        (line, process::cpu(peer.pid()) - own, redis.usage().cpu - server.cpu)
    }

    /// A lone job every few milliseconds, from before its add to inside its handler, producer and worker
    /// in one process.
    fn latency(&self) {
        let columns = [Column { name: "p50 us", decimals: 0 }, Column { name: "p99 us", decimals: 0 }];
        let targets = [Target { column: 0, of: Some(RUST), bound: Bound::AtMost(0.8) }];
        let title = format!("pick-up of a lone job, one every {LATENCY_INTERVAL_US} us");
        table(self.rounds, &title, &columns, &targets, &[OXHERD, RUST, NODE], |name| {
            let line = if name == OXHERD {
                self.oxherd_bench(&["--mode", "latency", "--jobs", &LATENCY_JOBS.to_string()])
            } else {
                self.redis().call(&["FLUSHALL"]);
                let mut peer = self.start(
                    name,
                    "latency",
                    &[
                        ("queue", QUEUE.to_owned()),
                        ("jobs", LATENCY_JOBS.to_string()),
                        ("interval-us", LATENCY_INTERVAL_US.to_string()),
                        ("payload", "0".to_owned()),
                    ],
                );
                peer.go();
                peer.line()
            };
            ["p50", "p99"].iter().map(|key| process::number(&line, key).unwrap_or(f64::NAN)).collect()
        });
    }

    /// Many queues and nothing to do.
    fn idle(&self) {
        let columns = [
            Column { name: "own CPU ms/s", decimals: 2 },
            Column { name: "RSS MiB", decimals: 1 },
            Column { name: "connections", decimals: 0 },
            Column { name: "Redis commands/s", decimals: 1 },
        ];
        let targets = [
            Target { column: 0, of: None, bound: Bound::AtMost(0.3) },
            Target { column: 1, of: None, bound: Bound::AtMost(12.0) },
        ];
        let title = format!("at rest: {IDLE_QUEUES} idle queues for {} s", self.idle.as_secs());
        table(self.rounds, &title, &columns, &targets, &[OXHERD, RUST, NODE], |name| {
            let mut redis = self.redis();
            redis.call(&["FLUSHALL"]);
            if name == OXHERD {
                return self.idle_oxherd(&mut redis);
            }
            let mut peer = self.start(name, "idle", &[("queues", IDLE_QUEUES.to_string())]);
            peer.go();
            self.rest(&mut redis, peer.pid())
        });
    }

    /// The daemon itself, with a handler that does nothing.
    fn idle_oxherd(&self, redis: &mut Redis) -> Vec<f64> {
        let file = self.directory.join("idle.toml");
        let mut text =
            format!("[redis]\nurl = \"{}\"\n\n[log]\nlevel = \"warn\"\n\n[handlers.nothing.log]\n", self.server.url);
        for n in 0..IDLE_QUEUES {
            text += &format!("\n[queues.idle{n}]\nhandler = \"nothing\"\n");
        }
        std::fs::write(&file, text).expect("the directory for temporary files takes a file");
        let mut child = Command::new(&self.oxherd)
            .arg("run")
            .arg("-c")
            .arg(&file)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.oxherd));
        let values = self.rest(redis, child.id());
        assert!(child.try_wait().expect("our own child").is_none(), "oxherd run ended by itself");
        let _ = child.kill();
        let _ = child.wait();
        values
    }

    /// What a process uses that has been left alone.
    fn rest(&self, redis: &mut Redis, pid: u32) -> Vec<f64> {
        std::thread::sleep(Duration::from_secs(3)); // start-up is over by then
        let (own, server) = (process::cpu(pid), redis.usage());
        std::thread::sleep(self.idle);
        let seconds = self.idle.as_secs_f64();
        let (own, now) = (process::cpu(pid) - own, redis.usage());
        vec![
            own / seconds * 1e3,
            process::memory(pid),
            now.clients - 1.0,
            (now.commands - server.commands - 1.0) / seconds,
        ]
    }
}
