//! `[schedules.NAME]`: one recurring job.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::job::{JobOptions, QueueName, SchedulerSpec};

/// When a job comes back, what it is, and what happens when times are missed or meet.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The table's name, and the id of the job scheduler in Redis.
    pub name: String,
    pub queue: QueueName,
    /// Pattern or interval, zone, first and last moment, most times; the offset, `immediately` and the mark are not the
    /// file's to say.
    pub spec: SchedulerSpec,
    /// Name of the jobs.
    pub job_name: String,
    /// JSON text; may hold `{scheduled.date}`, `{scheduled.time}` and `{scheduled.ms}`.
    pub data: Box<RawValue>,
    pub opts: JobOptions,
    pub overlap: Overlap,
    pub catch_up: CatchUp,
    /// Times missed for longer than this are gone.
    pub catch_up_window: Duration,
    /// Jobs come up to this much later than their time, each schedule always by the same.
    pub jitter: Duration,
    pub description: Option<String>,
    pub enabled: bool,
    /// Of two definitions under one name the one with the higher revision holds; of equal ones that loaded last.
    pub revision: u32,
}

/// What happens at a time whose predecessor's job has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// No job comes.
    #[default]
    Skip,
    /// One job comes and waits for the one that runs to end; while it waits, no further one comes.
    Queue,
    Allow,
}

/// What becomes of times that nobody was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    None,
    /// The latest of them is made up for, once.
    #[default]
    Last,
    /// Each of them.
    All,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        let data = self.data.get() == other.data.get();
        data && (&self.name, &self.queue, &self.spec, &self.job_name, &self.opts, &self.description)
            == (&other.name, &other.queue, &other.spec, &other.job_name, &other.opts, &other.description)
            && (self.overlap, self.catch_up, self.catch_up_window, self.jitter, self.enabled, self.revision)
                == (other.overlap, other.catch_up, other.catch_up_window, other.jitter, other.enabled, other.revision)
    }
}
