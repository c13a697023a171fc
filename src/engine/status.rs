//! A live snapshot anyone may read.

use std::time::Duration;

use serde::Serialize;

use super::phase::Phase;
use crate::job::{JobId, QueueName};

/// What every slot is doing.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub phase: Phase,
    pub queues: Vec<QueueSnapshot>,
}

/// One queue's slots.
#[derive(Debug, Clone)]
pub struct QueueSnapshot {
    pub name: QueueName,
    pub slots: u32,
    pub running: Vec<RunningJob>,
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
}
