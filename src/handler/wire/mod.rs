//! What handlers outside of this process have in common, whatever carries it: the envelope a job goes out in, and the
//! vocabulary in which they speak while they run and at the end.

mod envelope;
mod lines;
mod listener;
mod said;
mod text;

#[cfg(feature = "http")]
pub(crate) use envelope::{batch_key, envelope_in_batch};
#[cfg(feature = "command")]
pub(crate) use envelope::{children, job_frame};
pub(crate) use envelope::{children_of, envelope, idempotency_key};
pub(crate) use lines::Lines;
pub(crate) use listener::Listener;
#[cfg(feature = "command")]
pub(crate) use said::Frame;
pub(crate) use said::{Heard, Stated};
#[cfg(feature = "command")]
pub(crate) use text::tail;
pub(crate) use text::{snippet, value};

/// Deferral when nobody says how long.
pub(crate) const DEFER: std::time::Duration = std::time::Duration::from_secs(30);

/// Characters of a line that go into the job's log.
pub(crate) const LOG_LINE: usize = 4096;
