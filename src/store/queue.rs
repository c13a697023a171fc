//! One queue as seen from outside: counts, overview, its jobs. Protocol: §5.17.

use serde::Serialize;

use super::connection::Value;
use super::error::Error;
use super::record::JobRecord;
use super::script::{JOB, JOBS, OVERVIEW};
use super::work::status_arguments;
use super::{Keys, Store, reply};
use crate::config;
use crate::job::{JobId, QueueName, State, UnixMillis};

/// Most jobs read at once; asking for more gives this many.
pub const MAX_PAGE: usize = 1000;
/// Log rows of a job that are read, the newest.
const MAX_LOGS: usize = 1000;

/// A queue of the store. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    pub(super) store: Store,
    pub(super) name: QueueName,
    pub(super) keys: Keys,
    /// Arguments of scripts that change a job's state; empty for silence.
    pub(super) status: [Value; 2],
}

/// Jobs by state. Those in the list that old BullMQ releases use while paused count as waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    pub waiting: u64,
    pub active: u64,
    pub delayed: u64,
    pub prioritized: u64,
    pub completed: u64,
    pub failed: u64,
    pub waiting_children: u64,
}

impl Counts {
    #[must_use]
    pub fn of(&self, state: State) -> u64 {
        match state {
            State::Waiting => self.waiting,
            State::Active => self.active,
            State::Delayed => self.delayed,
            State::Prioritized => self.prioritized,
            State::Completed => self.completed,
            State::Failed => self.failed,
            State::WaitingChildren => self.waiting_children,
            State::Unknown => 0,
        }
    }

    /// Jobs that still have to be done.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.waiting + self.active + self.delayed + self.prioritized + self.waiting_children
    }
}

/// What `queue show` and dashboards tell about a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    pub queue: QueueName,
    pub paused: bool,
    pub counts: Counts,
    /// Age of the job that is served next, in ms; `None` when none waits.
    pub oldest_waiting_ms: Option<i64>,
    /// Jobs active at once over all workers.
    pub concurrency: Option<u64>,
    /// Jobs started per window over all workers.
    pub rate_limit: Option<StoredRateLimit>,
    /// The client that last opened the queue, as `bullmq:6.7.0`.
    pub version: Option<String>,
    /// Where jobs wait while the queue is paused, by the release of BullMQ that has it so: `v5` or `v6`.
    pub placement: &'static str,
    /// Names of the workers connected, empty for a worker without one; `None` when the server does not tell us.
    pub workers: Option<Vec<String>>,
}

/// A rate limit as it stands in the queue's meta hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StoredRateLimit {
    pub max: u64,
    /// ms; `None` leaves it to each worker.
    pub duration: Option<u64>,
}

impl Store {
    /// A handle; nothing is read or written yet.
    pub fn queue(&self, name: &QueueName) -> Queue {
        Queue { store: self.clone(), name: name.clone(), keys: self.keys(name), status: ["".into(), "".into()] }
    }
}

impl Queue {
    /// The same queue, but where a job's state is changed through this handle a status message goes out.
    #[must_use]
    pub fn announcing(self, status: &config::Status) -> Self {
        self.announcing_as(status, 1, false)
    }

    /// With the attempts of jobs that do not name theirs; `always` publishes also when nobody listens on this server.
    pub(crate) fn announcing_as(mut self, status: &config::Status, attempts: u32, always: bool) -> Self {
        self.status = status_arguments(status, &self.name, attempts, always);
        self
    }

    pub fn name(&self) -> &QueueName {
        &self.name
    }

    pub async fn counts(&self) -> Result<Counts, Error> {
        self.snapshot().await.map(|overview| overview.counts)
    }

    pub async fn is_paused(&self) -> Result<bool, Error> {
        self.snapshot().await.map(|overview| overview.paused)
    }

    /// All there is to know about the queue, all but the workers at one moment.
    pub async fn overview(&self) -> Result<Overview, Error> {
        let mut overview = self.snapshot().await?;
        overview.workers = self.workers().await?;
        Ok(overview)
    }

    /// As [`Queue::overview`], without the workers.
    pub(super) async fn snapshot(&self) -> Result<Overview, Error> {
        let args = vec![self.keys.base().into()];
        let parts =
            reply::array(OVERVIEW.name, self.store.command().script(&OVERVIEW, &self.keys.meta(), args).await?)?;
        let [waiting, active, delayed, prioritized, completed, failed, waiting_children, paused, rest @ ..] =
            parts.as_slice()
        else {
            return Err(Error::Reply {
                what: OVERVIEW.name,
                expected: "seven counts",
                got: format!("{} parts", parts.len()),
            });
        };
        let count = |value| reply::integer(OVERVIEW.name, value).map(|n| u64::try_from(n).unwrap_or(0));
        let text = |at: usize| rest.get(at).and_then(Value::as_string);
        let number = |at: usize| text(at).and_then(|text| text.parse::<u64>().ok());
        let now = self.store.now();
        Ok(Overview {
            queue: self.name.clone(),
            paused: count(paused)? != 0,
            counts: Counts {
                waiting: count(waiting)?,
                active: count(active)?,
                delayed: count(delayed)?,
                prioritized: count(prioritized)?,
                completed: count(completed)?,
                failed: count(failed)?,
                waiting_children: count(waiting_children)?,
            },
            oldest_waiting_ms: number(4)
                .and_then(|at| i64::try_from(at).ok())
                .map(|at| crate::job::millis(now.since(UnixMillis(at)))),
            concurrency: number(0),
            rate_limit: number(1).map(|max| StoredRateLimit { max, duration: number(2) }),
            version: text(3),
            placement: if text(5).as_deref() == Some("v5") { "v5" } else { "v6" },
            workers: None,
        })
    }

    /// Names of the workers connected, empty for one without a name; `None` when listing clients is forbidden.
    /// Protocol: §6.3.
    pub async fn workers(&self) -> Result<Option<Vec<String>>, Error> {
        Ok(self.client_names().await?.map(|names| Self::named(&names, &self.keys.client_name(None))))
    }

    /// The names of all connections of the server that have one; `None` when listing them is forbidden.
    pub(super) async fn client_names(&self) -> Result<Option<Vec<String>>, Error> {
        let args = ["LIST", "TYPE", "normal"].map(Value::from).to_vec();
        let list = match self.store.command().call("CLIENT", args).await {
            Ok(list) => reply::text("CLIENT LIST", list)?,
            Err(Error::Denied { .. } | Error::Command { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = |line: &str| line.split(' ').find_map(|field| field.strip_prefix("name=")).map(str::to_owned);
        Ok(Some(list.lines().filter_map(name).filter(|name| !name.is_empty()).collect()))
    }

    /// Of connections, the names of the workers that call themselves `client`, or `client:w:NAME`.
    pub(super) fn named(names: &[String], client: &str) -> Vec<String> {
        let worker = |name: &String| match name.strip_prefix(client)? {
            "" => Some(String::new()),
            rest => rest.strip_prefix(":w:").map(str::to_owned),
        };
        names.iter().filter_map(worker).collect()
    }

    /// Everything stored about one job, its newest log rows included.
    pub async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, Error> {
        let args = vec![self.keys.base().into(), id.as_str().into(), MAX_LOGS.to_string().into()];
        let answer = self.store.command().script(&JOB, &self.keys.job(id), args).await?;
        if answer.is_null() {
            return Ok(None);
        }
        let mut parts = reply::array(JOB.name, answer)?.into_iter();
        let mut part = || parts.next().unwrap_or(Value::Null);
        let fields = reply::texts(JOB.name, part())?;
        let state = reply::text(JOB.name, part())?.parse().unwrap_or(State::Unknown);
        let logs = reply::texts(JOB.name, part())?;
        Ok(Some(JobRecord::new(self.name.clone(), id.clone(), state, fields, Some(logs))))
    }

    /// A page of the jobs in one state, without their logs, in BullMQ's order: what is served first comes first, of
    /// finished jobs the newest. At most [`MAX_PAGE`]; shorter than asked for at the end, or where ids have no job.
    pub async fn jobs(&self, state: State, offset: usize, limit: usize) -> Result<Vec<JobRecord>, Error> {
        self.page(state, false, offset, limit).await
    }

    /// As [`Queue::jobs`] from the other end: what is served last comes first, of finished jobs the oldest.
    pub async fn jobs_reversed(&self, state: State, offset: usize, limit: usize) -> Result<Vec<JobRecord>, Error> {
        self.page(state, true, offset, limit).await
    }

    async fn page(&self, state: State, back: bool, offset: usize, limit: usize) -> Result<Vec<JobRecord>, Error> {
        let (order, collections): (_, &[&str]) = match (state, back) {
            (State::Waiting, false) => ("list", &["wait", "paused"]),
            (State::Waiting, true) => ("list-back", &["paused", "wait"]),
            (State::Active, false) => ("list", &["active"]),
            (State::Active, true) => ("list-back", &["active"]),
            (State::Unknown, _) => return Ok(Vec::new()),
            (_, back) => {
                let finished = matches!(state, State::Completed | State::Failed);
                (if finished == back { "asc" } else { "desc" }, &[state.as_str()])
            }
        };
        let mut args: Vec<Value> = vec![
            self.keys.base().into(),
            offset.to_string().into(),
            limit.min(MAX_PAGE).to_string().into(),
            order.into(),
        ];
        args.extend(collections.iter().map(|name| Value::from(*name)));
        let answer = self.store.command().script(&JOBS, &self.keys.meta(), args).await?;
        let mut jobs = Vec::new();
        for entry in reply::array(JOBS.name, answer)? {
            let mut parts = reply::array(JOBS.name, entry)?.into_iter();
            let mut part = || parts.next().unwrap_or(Value::Null);
            let id = JobId::stored(&reply::text(JOBS.name, part())?);
            let fields = reply::texts(JOBS.name, part())?;
            jobs.push(JobRecord::new(self.name.clone(), id, state, fields, None));
        }
        Ok(jobs)
    }
}

#[cfg(feature = "daemon")]
impl Queue {
    /// Removes every key of the queue, whatever state its jobs are in. For queues of our own making: nothing is
    /// checked, and who waits for a job waits for ever. Reads the whole key space in small steps.
    pub(crate) async fn erase(&self) -> Result<(), Error> {
        self.store.unlink(&self.keys.pattern()).await
    }
}

#[cfg(test)]
mod tests;
