//! `examples/worker.rs`, built and run as its first lines say.

use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Ended, Oxherd, Redis, eventually};

/// Ends with the test.
struct Worker(Option<std::process::Child>);

impl Worker {
    fn start(redis: &Redis) -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let mut build = Command::new(&cargo);
        build.args(["build", "--quiet", "--example", "worker"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        // what tells of the test's own package would have others built anew
        for (name, _) in std::env::vars_os() {
            let kept = ["CARGO_HOME", "CARGO_TARGET_DIR"].iter().any(|kept| name == *kept);
            if !kept && name.to_string_lossy().starts_with("CARGO") {
                build.env_remove(name);
            }
        }
        assert!(build.status().unwrap().success(), "the example does not build");
        let beside = std::path::Path::new(env!("CARGO_BIN_EXE_oxherd")).with_file_name("examples");
        let child = Command::new(beside.join("worker"))
            .env("REDIS_URL", redis.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(Some(child))
    }

    /// Tells it to end, and waits for that.
    fn end(mut self) -> Ended {
        let child = self.0.take().unwrap();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        Ended::new(&child.wait_with_output().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn the_example_does_its_jobs_and_ends_in_order() {
    let redis = Redis::start();
    let oxherd = Oxherd::with(&redis);
    let worker = Worker::start(&redis);
    let add = |pictures: &str, id: &str| {
        oxherd.run(&["job", "add", "albums", "album", pictures, "--job-id", id]).exits(0);
    };
    let job = |queue: &str, id: &str| oxherd.run(&["job", "show", queue, id, "--json"]).exits(0).json();
    let is = |queue: &'static str, id: &'static str, state: &'static str| {
        eventually(&format!("{id} is {state}"), || {
            redis.call(&["ZSCORE", &format!("bull:{queue}:{state}"), id]).parse::<f64>().is_ok()
        });
    };
    add(r#"{"pictures":[{"file":"cat.png","ms":200},{"file":"busy.png"}]}"#, "good");
    add(r#"{"pictures":[{"file":"cat.png"},{"file":"broken.png"}]}"#, "bad");
    add(r#"{"pictures":[{"file":"dog.png","ms":60000}]}"#, "long");
    is("albums", "good", "completed");
    assert_eq!(job("albums", "good")["returnvalue"], serde_json::json!({"pictures": 2, "bytes": 15}));
    assert_eq!(job("albums", "good")["logs"], serde_json::json!(["2 pictures to do"]));
    let cat = job("pictures", "good-0");
    assert_eq!((&cat["progress"], &cat["returnvalue"]), (&100.into(), &7.into()));
    assert_eq!(job("pictures", "good-1")["attemptsMade"], 2, "busy the first time");
    is("albums", "bad", "failed");
    assert_eq!(job("pictures", "bad-1")["failedReason"], "it ends in the middle");

    // one is cancelled while it runs, one is done on the way out
    assert_eq!(oxherd.run(&["job", "cancel", "pictures", "long-0"]).exits(0).stdout, "long-0: cancelled\n");
    is("albums", "long", "failed");
    oxherd
        .run(&["job", "add", "pictures", "thumbnail", r#"{"file":"last.png","ms":500}"#, "--job-id", "last"])
        .exits(0);
    eventually("it runs", || redis.call(&["HGET", "bull:pictures:last", "progress"]) == "25");
    let ended = worker.end().exits(0);
    assert_eq!(ended.stdout, "5 completed, 4 failed, 0 handed back\n", "{}", ended.stderr);
    is("pictures", "last", "completed");
}
