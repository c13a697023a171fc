//! Performs the steps of a scenario by the store's own operations.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value as Json;
use serde_json::value::{RawValue, to_raw_value};

use super::super::record::{change, deferred_outcome};
use super::keyspace::{self, CALL, T0, raw};
use super::steps::{Step, Word};
use crate::config;
use crate::job::UnixMillis;
use crate::job::verdict::judge;
use crate::job::{Backoff, BackoffKind, Failure, Job, JobId, JobOptions, Keep, NewJob, Outcome, Policy, QueueName};
use crate::store::{Error, Finish, Held, Queue, Recorded, Store, Take, Taken, Token, WorkQueue};

/// One scenario being performed.
pub(super) struct Play<'a> {
    pub(super) store: &'a Store,
    /// What the client's queue object writes as its version.
    client: String,
    now: i64,
    queue: config::Queue,
    worker: Option<String>,
    /// As read with their last take.
    jobs: HashMap<JobId, Job>,
    logs: HashMap<JobId, Vec<String>>,
}

impl<'a> Play<'a> {
    pub(super) fn new(store: &'a Store, client: &str) -> Self {
        let mut queue = config::Queue::new(QueueName::new("q").unwrap());
        // as a BullMQ worker without options: the job's own options decide alone
        queue.policy = Policy {
            attempts: 1,
            backoff: Backoff { kind: BackoffKind::Fixed, delay: Duration::ZERO, jitter: None },
            backoff_max: None,
            jitter: 0.0,
            keep_completed: Keep::All,
            keep_failed: Keep::All,
            max_uncharged: u32::MAX,
            max_defer_age: Duration::MAX,
        };
        queue.lock = Duration::from_secs(30);
        queue.stalled_interval = Duration::from_secs(30);
        let mut play = Self {
            store,
            client: client.to_owned(),
            now: T0,
            queue,
            worker: None,
            jobs: HashMap::new(),
            logs: HashMap::new(),
        };
        play.set_clock(T0);
        play
    }

    pub(super) fn set_clock(&mut self, at: i64) {
        self.now = at;
        self.store.freeze(UnixMillis(at));
    }

    /// Performs one step and returns what it answered, in the words of the steps files.
    pub(super) async fn perform(&mut self, step: &Step) -> Result<String, Error> {
        let words = &step.words;
        let word = |at: usize| {
            words.get(at).unwrap_or_else(|| panic!("line {}: word {at} of {} is missing", step.line, words[0].text))
        };
        let text = |at: usize| word(at).text.as_str();
        match text(0) {
            "open" => {
                let version = words.get(1).map_or(self.client.as_str(), |word| word.text.as_str());
                let meta = self.key("meta");
                let version = format!("bullmq:{version}");
                self.redis(&["HSET", &meta, "opts.maxLenEvents", "10000", "version", &version]).await;
            }
            "queue" => self.queue.name = QueueName::new(text(1)).unwrap(),
            "worker" => self.set_worker(word(1)),
            "limits" => self.work_queue().apply_limits(None).await?,
            "advance" => self.set_clock(self.now + text(1).parse::<i64>().unwrap()),
            "add" => {
                let job = new_job(&word(1).text, word(2), words.get(3));
                return self.add(&[job]).await;
            }
            "add-many" => {
                let list = word(1).json.as_ref().and_then(Json::as_array).unwrap();
                let jobs: Vec<NewJob> = list
                    .iter()
                    .map(|job| {
                        let part = |at: usize| Word { text: job[at].to_string(), json: Some(job[at].clone()) };
                        new_job(job[0].as_str().unwrap(), &part(1), Some(&part(2)))
                    })
                    .collect();
                return self.add(&jobs).await;
            }
            "fetch" => {
                let take = Take { token: text(1).into(), want: words.get(2).map_or(1, |n| n.text.parse().unwrap()) };
                let taken = self.work_queue().move_to_active(&take).await?;
                return self.remember(taken).await;
            }
            "adopt" => {
                let jobs = self.work_queue().adopt_jobs(&text(1).into(), &[]).await?;
                return self.remember(Taken { jobs, ..Taken::default() }).await;
            }
            "complete" => {
                let value = RawValue::from_string(word(3).json.as_ref().unwrap().to_string()).unwrap();
                return self.finish(step, Outcome::Complete(value), &words[4..]).await;
            }
            "fail" => {
                let mut rest = &words[4..];
                let (mut last, mut after, mut class) = (false, None, "Error");
                while let Some(option) = rest.first().filter(|option| option.text != "next") {
                    match option.text.split_once('=') {
                        Some(("after", ms)) => after = Some(Duration::from_millis(ms.parse().unwrap())),
                        Some(("class", name)) => class = name,
                        _ if option.text == "last" => last = true,
                        _ => panic!("line {}: unknown word {}", step.line, option.text),
                    }
                    rest = &rest[1..];
                }
                let stack = Some(format!("{class}: {}\n    at work (job.js:1:1)", text(3)));
                let failure = Failure { message: text(3).to_owned(), stack };
                let outcome = if last { Outcome::Fail(failure) } else { Outcome::Retry { failure, after } };
                return self.finish(step, outcome, rest).await;
            }
            "fail-deferred" => {
                let outcome = deferred_outcome(self.job(text(1)), &self.queue).expect("a deferred failure");
                return self.finish(step, outcome, &words[3..]).await;
            }
            "defer" => {
                let after = Duration::from_millis(text(3).parse().unwrap());
                let outcome = Outcome::Defer { reason: "later".into(), after };
                return self.finish(step, outcome, &words[4..]).await;
            }
            "hand-back" => return self.finish(step, Outcome::Interrupted, &words[3..]).await,
            "log" => self.logs.entry(JobId::stored(text(1))).or_default().push(text(2).to_owned()),
            "extend" => {
                let held: Vec<Held> = words[1..].iter().map(|word| held(&word.text)).collect();
                let lost = self.work_queue().extend_locks(&held).await?.lost;
                return Ok(ids("lost", &lost));
            }
            "check" => {
                let rescued = WorkQueue::move_stalled_jobs_to_wait(&[&self.work_queue()]).await?.remove(0)?;
                return Ok(ids("recovered", &rescued.recovered));
            }
            "redis" => {
                let args: Vec<String> = words[1..].iter().map(|word| keyspace::restored(&word.text)).collect();
                raw(self.store, CALL, &args).await;
            }
            other => {
                if let Some(answer) = self.perform_flow(step).await {
                    return answer;
                }
                if let Some(answer) = self.perform_job(step).await {
                    return answer;
                }
                if let Some(answer) = self.perform_running(step).await {
                    return answer;
                }
                if let Some(answer) = Box::pin(self.perform_on_queue(step)).await {
                    return answer;
                }
                if let Some(answer) = Box::pin(self.perform_series(step)).await {
                    return answer;
                }
                panic!("line {}: unknown step {other}", step.line)
            }
        }
        Ok(String::new())
    }

    fn set_worker(&mut self, word: &Word) {
        for (name, value) in word.json.as_ref().and_then(Json::as_object).expect("settings as an object") {
            let number = || value.as_u64().unwrap();
            match name.as_str() {
                "name" => self.worker = value.as_str().map(str::to_owned),
                "lock" => self.queue.lock = Duration::from_millis(number()),
                "metrics" => self.queue.metrics = number().try_into().unwrap(),
                "keep-completed" => self.queue.policy.keep_completed = newest(number()),
                "keep-failed" => self.queue.policy.keep_failed = newest(number()),
                "concurrency" => self.queue.global_concurrency = Some(number().try_into().unwrap()),
                "limit" => {
                    let max = value["max"].as_u64().unwrap().try_into().unwrap();
                    let per = Duration::from_millis(value["duration"].as_u64().unwrap());
                    self.queue.rate_limit = Some(config::RateLimit { max, per });
                }
                other => panic!("unknown setting {other}"),
            }
        }
    }

    pub(super) fn queue(&self) -> Queue {
        self.store.queue(&self.queue.name)
    }

    pub(super) fn work_queue(&self) -> WorkQueue {
        let silent = config::Status { enabled: false, ..config::Status::default() };
        WorkQueue::new(self.store, &self.queue, &silent, self.worker.as_deref(), false)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.store.keys(&self.queue.name).base())
    }

    async fn redis(&self, args: &[&str]) {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        raw(self.store, CALL, &args).await;
    }

    pub(super) fn job(&self, id: &str) -> &Job {
        self.jobs.get(&JobId::stored(&keyspace::restored(id))).unwrap_or_else(|| panic!("job {id} was never taken"))
    }

    async fn add(&self, jobs: &[NewJob]) -> Result<String, Error> {
        match self.queue().add(jobs).await {
            Ok(added) => Ok(joined(added.iter().map(JobId::as_str))),
            Err(Error::Setup(_)) => Ok("refused".into()),
            Err(Error::Rejected { id, code, .. }) => Ok(format!("refused {code:?} {id}")),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn finish(&mut self, step: &Step, outcome: Outcome, rest: &[Word]) -> Result<String, Error> {
        let (id, token) = (&step.words[1].text, &step.words[2].text);
        let job = self.job(id).clone();
        let verdict = judge(&job, outcome, &self.queue.policy, UnixMillis(self.now), 0.5);
        let finish = Finish {
            id: job.id.clone(),
            token: token.as_str().into(),
            progress: None,
            doubtful: 0,
            log: self.logs.remove(&job.id).unwrap_or_default(),
            keep_logs: job.opts.keep_logs,
            change: change(&job, verdict, &self.queue.policy),
            element: None,
        };
        let take = match rest {
            [] => None,
            [next, token] if next.text == "next" => Some(Take { token: token.text.as_str().into(), want: 1 }),
            _ => panic!("line {}: only \"next\" and a token may follow", step.line),
        };
        let (recorded, taken) = self.work_queue().finish_jobs(std::iter::once(&finish), take.as_ref()).await?;
        let mut answer = match &recorded[0] {
            Recorded::Done => "done".to_owned(),
            Recorded::Refused { code, place } => format!("refused {code:?} {place}"),
        };
        if take.is_some() {
            answer = format!("{answer}, {}", self.remember(taken).await?);
        }
        Ok(answer)
    }

    async fn remember(&mut self, taken: Taken) -> Result<String, Error> {
        let mut answer = joined(taken.jobs.iter().map(|job| job.id.as_str()));
        if answer.is_empty() {
            answer = "nothing".into();
        }
        if taken.limited.is_some() {
            answer.push_str(" limited");
        }
        if let Some(due) = taken.next_due {
            answer = format!("{answer} due={}", due.0 - T0);
        }
        let ids: Vec<JobId> = taken.jobs.iter().map(|job| job.id.clone()).collect();
        self.jobs.extend(taken.jobs.into_iter().map(|job| (job.id.clone(), job)));
        self.go_on(&ids).await?;
        Ok(answer)
    }
}

fn new_job(name: &str, data: &Word, opts: Option<&Word>) -> NewJob {
    let opts = opts.map_or_else(JobOptions::default, |opts| JobOptions::parse(&opts.text).unwrap().0);
    NewJob { name: name.to_owned(), data: to_raw_value(data.json.as_ref().unwrap()).unwrap(), opts }
}

fn newest(count: u64) -> Keep {
    if count == 0 { Keep::Nothing } else { Keep::Some { count: Some(count), age: None, limit: None } }
}

/// "ID:TOKEN" of a holder that never started the job, so that a lapsed lock stays lapsed.
fn held(text: &str) -> Held {
    let (id, token) = text.split_once(':').expect("id:token");
    Held { id: JobId::stored(id), token: Token::from(token), started: 0 }
}

fn ids(what: &str, ids: &[JobId]) -> String {
    if ids.is_empty() { "nothing".into() } else { format!("{what} {}", joined(ids.iter().map(JobId::as_str))) }
}

pub(super) fn joined<T: Into<String>>(words: impl Iterator<Item = T>) -> String {
    words.map(Into::into).collect::<Vec<_>>().join(" ")
}
