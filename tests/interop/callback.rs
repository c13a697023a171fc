//! Endpoints that answer 202 and call back: a Node program without any library, and the daemon.

use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};

use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::program::Program;
use super::support::redis::Redis;

struct Scene {
    redis: Redis,
    daemon: Daemon,
    endpoint: Program,
}

impl Scene {
    fn start() -> Self {
        let redis = Redis::start();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/node/later.mjs");
        let mut command = Command::new("node");
        command.arg(file);
        let mut endpoint = Program::start("later.mjs", command);
        let url = endpoint.wait_for("ready", |line| line["event"] == "ready")["url"].as_str().unwrap().to_owned();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let daemon = Daemon::start(
            &redis,
            &format!(
                "[callbacks]\nlisten = \"127.0.0.1:{port}\"\n\
                 [queues.print]\nhandler = \"app\"\nattempts = 1\ntimeout = \"1s\"\nlock = \"2s\"\nstalled_interval = \"500ms\"\n\
                 [handlers.app.http]\nurl = \"{url}\"\ncallback = true\nmax_response = \"1KiB\"\n"
            ),
        );
        Self { redis, daemon, endpoint }
    }

    fn add(&self, name: &str) -> String {
        oxherd(&self.redis, &["job", "add", "print", name, "{}"])["id"].as_str().unwrap().to_owned()
    }

    /// What became of a job, once it has ended.
    fn ended(&self, id: &str) -> Value {
        let show = || oxherd(&self.redis, &["job", "show", "print", id]);
        eventually("the job has ended", || matches!(show()["state"].as_str(), Some("completed" | "failed")));
        show()
    }

    /// The answer to a call of the endpoint's.
    fn answer(&mut self, name: &str, step: &str) -> Value {
        let said = self.endpoint.wait_for(&format!("{name}: {step}"), |line| {
            line["event"] == "called" && line["name"] == name && line["step"] == step
        });
        said["status"].clone()
    }
}

#[test]
fn a_job_ends_when_its_endpoint_calls_back() {
    let mut scene = Scene::start();
    let id = scene.add("done");
    let job = scene.ended(&id);
    assert_eq!((&job["state"], &job["returnvalue"]), (&json!("completed"), &json!({ "pages": 12 })));
    assert_eq!(job["progress"], json!(50));
    assert_eq!(scene.answer("done", "progress"), 204);
    assert_eq!(scene.answer("done", "done"), 204);
    assert_eq!(scene.answer("done", "again"), 410, "nobody waits any more");
}

#[test]
fn a_call_may_come_before_the_answer() {
    let mut scene = Scene::start();
    let id = scene.add("early");
    assert_eq!(scene.ended(&id)["returnvalue"], json!("early"));
    assert_eq!(scene.answer("early", "done"), 204);
}

#[test]
fn a_call_that_makes_no_sense_is_refused_whole() {
    let mut scene = Scene::start();
    let id = scene.add("lines");
    let job = scene.ended(&id);
    assert_eq!((&job["state"], &job["failedReason"]), (&json!("failed"), &json!("no paper")));
    assert_eq!(job["logs"], json!(["no paper"]));
    assert_eq!(scene.answer("lines", "nonsense"), 400);
    assert_eq!(scene.answer("lines", "half"), 400);
    assert_eq!(scene.answer("lines", "fail"), 204);
}

#[test]
fn a_call_that_is_too_long_is_refused() {
    let mut scene = Scene::start();
    let id = scene.add("large");
    assert_eq!(scene.ended(&id)["returnvalue"], json!(1));
    assert_eq!(scene.answer("large", "large"), 413);
}

#[test]
fn without_a_call_the_attempt_times_out() {
    let mut scene = Scene::start();
    let id = scene.add("never");
    let job = scene.ended(&id);
    assert_eq!((&job["state"], &job["failedReason"]), (&json!("failed"), &json!("timed out after 1s")));
    assert_eq!(scene.answer("never", "late"), 410);
}

#[test]
fn any_other_answer_is_the_end() {
    let mut scene = Scene::start();
    let id = scene.add("refused");
    assert_eq!(scene.ended(&id)["state"], "failed");
    assert_eq!(scene.answer("refused", "done"), 410);
}

#[test]
fn a_job_whose_daemon_died_waits_for_another_call() {
    let mut scene = Scene::start();
    let id = scene.add("crash");
    scene.endpoint.wait_for("the first request", |line| line["event"] == "holding");
    scene.daemon.kill();
    scene.daemon.again();
    let job = scene.ended(&id);
    assert_eq!((&job["state"], &job["returnvalue"]), (&json!("completed"), &json!("new")));
    assert_eq!(scene.answer("crash", "old"), 410, "the address of the first attempt");
    assert_eq!(scene.answer("crash", "new"), 204);
}
