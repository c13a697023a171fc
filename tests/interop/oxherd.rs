//! oxherd as the peer of worker.mjs: it does with a job what the job's data says, and like BullMQ where a job says
//! nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::daemon::Daemon;
use super::support::receiver::Receiver;
use super::support::redis::Redis;

pub struct Oxherd {
    pub daemon: Daemon,
    pub receiver: Receiver,
}

impl Oxherd {
    /// Works these queues, each with these settings.
    pub fn start(redis: &Redis, queues: &[&str], settings: &str) -> Self {
        Self::start_with(redis, queues, settings, "")
    }

    /// As [`Oxherd::start`], with more of the configuration.
    pub fn start_with(redis: &Redis, queues: &[&str], settings: &str, rest: &str) -> Self {
        Self::start_on(Receiver::start(like_node), redis, queues, settings, rest)
    }

    /// As [`Oxherd::start`], where a job takes this long.
    pub fn start_at_work(redis: &Redis, queues: &[&str], settings: &str, work: Duration) -> Self {
        let receiver = Receiver::start(move |envelope| {
            std::thread::sleep(work);
            like_node(envelope)
        });
        Self::start_on(receiver, redis, queues, settings, "")
    }

    fn start_on(receiver: Receiver, redis: &Redis, queues: &[&str], settings: &str, rest: &str) -> Self {
        let mut toml = format!(
            "{rest}\n[defaults]\nattempts = 1\nbackoff = {{ delay = \"0s\" }}\nkeep_completed = true\nkeep_failed = true\n\
             handler = \"endpoint\"\n{settings}\n[handlers.endpoint.http]\nurl = \"{}\"\n",
            receiver.url
        );
        for queue in queues {
            writeln!(toml, "[queues.{queue}]").unwrap();
        }
        Self { daemon: Daemon::start(redis, &toml), receiver }
    }

    /// The jobs it began, each as often as it did, by id.
    pub fn began(&self) -> Vec<String> {
        self.receiver.requests().iter().map(|envelope| envelope["job"]["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Does what worker.mjs does with the same data; `until` names a file, and the job takes until it is there.
pub fn like_node(envelope: &Value) -> (u16, String) {
    let (attempt, data) = (envelope["job"]["attempt"].as_u64().unwrap(), &envelope["data"]);
    if let Some(ms) = data["work"].as_u64() {
        std::thread::sleep(Duration::from_millis(ms));
    }
    while data["until"].as_str().is_some_and(|file| !Path::new(file).exists()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    if data["failures"].as_u64().is_some_and(|failures| attempt <= failures) {
        let status = if data["fatal"] == true { 400 } else { 500 };
        return (status, json!({"error": format!("told to fail attempt {attempt}")}).to_string());
    }
    let mut value = json!({"by": "node", "n": data["n"]});
    if data["reads"] == true {
        let left = |what: &str| envelope["children"][what].as_object().into_iter().flat_map(|of| of.values()).collect();
        let (children, ignored): (Vec<&Value>, Vec<&Value>) = (left("processed"), left("ignored"));
        value["children"] = json!(children);
        value["ignored"] = json!(ignored);
    }
    (200, value.to_string())
}
