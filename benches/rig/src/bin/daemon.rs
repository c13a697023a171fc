//! What the daemon costs by being there: its size, how soon it has done its first job, and what it takes at rest.
//!
//!     daemon --redis-server PATH --oxherd PATH [--only start,rest] [--rounds 3] [--rest-seconds 120]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use oxherd_rig::arguments::Arguments;
use oxherd_rig::process;
use oxherd_rig::redis::{Redis, Server};
use oxherd_rig::table::{Bound, Column, Target, table};

const OXHERD: &str = "oxherd";
const QUEUES: usize = 50;
/// Seconds after its start when the daemon has looked once for finished jobs past their keeping, which comes again only
/// when a good part of their keeping is over, at most after an hour.
const SETTLED: u64 = 70;

struct Rig {
    server: Server,
    oxherd: PathBuf,
    rounds: usize,
    rest: u64,
    file: PathBuf,
}

fn main() {
    let arguments = Arguments::read();
    let only = arguments.text("only", "start,rest");
    let wanted = |part: &str| only.split(',').any(|word| word == part);
    if !["start", "rest"].into_iter().any(wanted) {
        return; // the server is for nothing then
    }
    let rig = Rig {
        server: Server::start(Path::new(&arguments.text("redis-server", "redis-server"))),
        oxherd: arguments.text("oxherd", "oxherd").into(),
        rounds: arguments.number("rounds", 3),
        rest: u64::try_from(arguments.number("rest-seconds", 120)).expect("some minutes"),
        file: std::env::temp_dir().join(format!("oxherd-daemon-{}.toml", std::process::id())),
    };
    let mut text =
        format!("[redis]\nurl = \"{}\"\n\n[log]\nlevel = \"warn\"\n\n[handlers.nothing.log]\n", rig.server.url);
    for n in 0..QUEUES {
        text += &format!("\n[queues.q{n}]\nhandler = \"nothing\"\n");
    }
    std::fs::write(&rig.file, text).expect("the directory for temporary files takes a file");
    if wanted("start") {
        rig.start();
    }
    if wanted("rest") {
        rig.rest();
    }
    let _ = std::fs::remove_file(&rig.file);
}

impl Rig {
    /// From the start of the process to the end of a job that waited in one of its queues.
    fn start(&self) {
        let columns = [Column { name: "first job ms", decimals: 0 }, Column { name: "binary MB", decimals: 1 }];
        let targets = [
            Target { column: 0, of: None, bound: Bound::AtMost(300.0) },
            Target { column: 1, of: None, bound: Bound::AtMost(25.0) },
        ];
        let title = format!("start with {QUEUES} queues, Redis being there");
        table(self.rounds.max(5), &title, &columns, &targets, &[OXHERD], |_| {
            let mut redis = Redis::connect(&self.server.url).expect("it was there a moment ago");
            redis.call(&["FLUSHALL"]);
            add(&mut redis, QUEUES - 1);
            let start = Instant::now();
            let daemon = self.daemon();
            while redis.call(&["EXISTS", &format!("bull:q{}:completed", QUEUES - 1)]).bytes() != b"1" {
                assert!(start.elapsed() < Duration::from_secs(30), "the first job is never done");
                std::thread::sleep(Duration::from_millis(1));
            }
            let took = start.elapsed().as_secs_f64() * 1e3;
            end(daemon);
            let bytes = std::fs::metadata(&self.oxherd).map_or(f64::NAN, |file| file.len() as f64);
            vec![took, bytes / 1e6]
        });
    }

    /// Queues that have all done a job, and nothing more to do.
    fn rest(&self) {
        let columns = [
            Column { name: "own CPU, % of a core", decimals: 3 },
            Column { name: "RSS MiB", decimals: 1 },
            Column { name: "Redis commands/h", decimals: 0 },
        ];
        let targets = [
            Target { column: 0, of: None, bound: Bound::AtMost(0.5) },
            Target { column: 1, of: None, bound: Bound::AtMost(25.0) },
            Target { column: 2, of: None, bound: Bound::AtMost(2000.0) },
        ];
        let title = format!("at rest: {QUEUES} queues for {} s, commands in scripts counted too", self.rest);
        table(1, &title, &columns, &targets, &[OXHERD], |_| {
            let mut redis = Redis::connect(&self.server.url).expect("it was there a moment ago");
            redis.call(&["FLUSHALL"]);
            (0..QUEUES).for_each(|queue| add(&mut redis, queue));
            let daemon = self.daemon();
            std::thread::sleep(Duration::from_secs(10)); // start-up and the jobs are over by then
            let before = redis.usage().commands;
            std::thread::sleep(Duration::from_secs(SETTLED - 10));
            let (settled, cpu) = (redis.usage().commands, process::cpu(daemon.id()));
            std::thread::sleep(Duration::from_secs(self.rest));
            let own = process::cpu(daemon.id()) - cpu;
            // less the question of our own that each measurement is
            let per_second = (redis.usage().commands - settled - 1.0) / self.rest as f64;
            let seldom = settled - before - 1.0 - per_second * (SETTLED - 10) as f64;
            let memory = process::memory(daemon.id());
            end(daemon);
            vec![own / self.rest as f64 * 100.0, memory, per_second * 3600.0 + seldom.max(0.0)]
        });
    }

    fn daemon(&self) -> Child {
        let mut command = Command::new(&self.oxherd);
        command.arg("run").arg("-c").arg(&self.file);
        command.spawn().unwrap_or_else(|error| panic!("{} does not start: {error}", self.oxherd.display()))
    }
}

/// A job as a producer leaves it.
fn add(redis: &mut Redis, queue: usize) {
    let key = |name: &str| format!("bull:q{queue}:{name}");
    redis.call(&[
        "HSET",
        &key("1"),
        "name",
        "j",
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
    redis.call(&["LPUSH", &key("wait"), "1"]);
    redis.call(&["ZADD", &key("marker"), "0", "0"]);
}

fn end(mut daemon: Child) {
    assert!(daemon.try_wait().expect("our own child").is_none(), "oxherd run ended by itself");
    let _ = daemon.kill();
    let _ = daemon.wait();
}
