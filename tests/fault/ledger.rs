//! The endpoint jobs are sent to, and what it remembers of them: every run with its begin and end,
//! outside Redis and outside the daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::eventually;
use super::support::receiver::Receiver;

/// One run of one job, as the endpoint saw it.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: String,
    /// As the daemon counted.
    pub attempt: u64,
    /// As we count: 1 for the first run of the job.
    pub nth: usize,
    pub begin: Instant,
    pub end: Option<Instant>,
}

pub struct Ledger {
    receiver: Receiver,
    runs: Arc<Mutex<Vec<Run>>>,
}

impl Ledger {
    /// Jobs take as many milliseconds as their data's `ms` says and answer the number of the run.
    pub fn start() -> Self {
        Self::answering(|_| 200)
    }

    /// As [`Ledger::start`], the status being the answer to the run.
    pub fn answering(status: impl Fn(&Run) -> u16 + Send + Sync + 'static) -> Self {
        let runs = Arc::new(Mutex::new(Vec::<Run>::new()));
        let noted = Arc::clone(&runs);
        let receiver = Receiver::start(move |envelope: &Value| {
            let id = envelope["job"]["id"].as_str().unwrap().to_owned();
            let attempt = envelope["job"]["attempt"].as_u64().unwrap();
            let (at, run) = {
                let mut runs = noted.lock().unwrap();
                let nth = runs.iter().filter(|run| run.id == id).count() + 1;
                let run = Run { id, attempt, nth, begin: Instant::now(), end: None };
                runs.push(run.clone());
                (runs.len() - 1, run)
            };
            std::thread::sleep(Duration::from_millis(envelope["data"]["ms"].as_u64().unwrap_or(0)));
            noted.lock().unwrap()[at].end = Some(Instant::now());
            (status(&run), run.nth.to_string())
        });
        Self { receiver, runs }
    }

    /// The handler `endpoint` of a configuration.
    pub fn handler(&self) -> String {
        format!("[handlers.endpoint.http]\nurl = \"{}\"\n", self.receiver.url)
    }

    pub fn runs(&self) -> Vec<Run> {
        self.runs.lock().unwrap().clone()
    }

    pub fn of(&self, id: &str) -> Vec<Run> {
        self.runs().into_iter().filter(|run| run.id == id).collect()
    }

    pub fn begun(&self) -> usize {
        self.runs.lock().unwrap().len()
    }

    pub fn ended(&self) -> usize {
        self.runs.lock().unwrap().iter().filter(|run| run.end.is_some()).count()
    }

    /// Ids of the jobs that run now.
    pub fn running(&self) -> Vec<String> {
        self.runs().into_iter().filter(|run| run.end.is_none()).map(|run| run.id).collect()
    }

    /// Waits until as many runs have begun.
    #[track_caller]
    pub fn wait_begun(&self, count: usize) {
        eventually(&format!("{count} runs have begun"), || self.begun() >= count);
    }

    /// Waits until as many runs have ended.
    #[track_caller]
    pub fn wait_ended(&self, count: usize) {
        eventually(&format!("{count} runs have ended"), || self.ended() >= count);
    }

    /// How often each job ran.
    pub fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for run in self.runs() {
            *times.entry(run.id).or_default() += 1;
        }
        times
    }

    /// The jobs that ran more than once.
    pub fn repeated(&self) -> Vec<String> {
        self.times().into_iter().filter(|(_, times)| *times > 1).map(|(id, _)| id).collect()
    }
}
