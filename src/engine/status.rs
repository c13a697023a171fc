//! A live snapshot anyone may read.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::phase::Phase;
use super::timetable::ScheduleSnapshot;
use crate::handler::{Gate, Processes, Standing};
use crate::job::{JobId, QueueName};

/// What every slot is doing.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub phase: Phase,
    pub queues: Vec<QueueSnapshot>,
    /// The handlers that keep processes between jobs.
    pub processes: Vec<ProcessesOf>,
    /// The handlers that can shut their gates, those that stand open too.
    pub gates: Vec<GateOf>,
    pub schedules: Vec<ScheduleSnapshot>,
    /// What is kept beside the queues.
    #[cfg(feature = "app")]
    pub app: crate::app::Figures,
}

/// How a handler's gate stands.
#[derive(Debug, Clone, Serialize)]
pub struct GateOf {
    pub handler: String,
    /// `open`, `shut` or `half-open`
    pub state: &'static str,
}

/// The processes of one handler.
#[derive(Debug, Clone, Serialize)]
pub struct ProcessesOf {
    pub handler: String,
    #[serde(flatten)]
    pub processes: Processes,
}

/// One queue's slots.
#[derive(Debug, Clone)]
pub struct QueueSnapshot {
    pub name: QueueName,
    pub slots: u32,
    pub running: Vec<RunningJob>,
    /// The handlers of the queue that can do nothing for now.
    pub gates: Vec<ShutGate>,
}

/// A handler that no jobs are taken for.
#[derive(Debug, Clone, Serialize)]
pub struct ShutGate {
    pub handler: String,
    /// `shut` or `half-open`
    pub state: &'static str,
    pub why: String,
    /// When one job may try; `None`: when the handler says so, or when one tries already.
    pub tried_in: Option<Duration>,
}

impl ShutGate {
    /// `None` where the gate is open.
    pub(crate) fn of(handler: &str, gate: &Gate) -> Option<Self> {
        let standing = gate.standing();
        let state = standing.as_str();
        let (why, tried_in) = match standing {
            Standing::Open => return None,
            Standing::Shut { why, until } => (why, until.map(|until| until.duration_since(Instant::now()))),
            Standing::HalfOpen { why, trying } => (why, (!trying).then_some(Duration::ZERO)),
        };
        Some(Self { handler: handler.to_owned(), state, why, tried_in })
    }
}

/// One job in a slot.
#[derive(Debug, Clone, Serialize)]
pub struct RunningJob {
    pub id: JobId,
    pub name: String,
    pub attempt: u32,
    /// Since the attempt began.
    pub running_for: Duration,
    /// Its handler has ended and its outcome is on the way to Redis.
    pub recording: bool,
    /// Its time is up, and so is that to stop, and its handler does not return.
    pub stuck: bool,
}
