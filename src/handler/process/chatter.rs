//! What a process prints beside the frames: lines for the daemon's log, at a bounded rate, and for the log of the job
//! that is certainly meant.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::AsyncRead;
use tokio::time::{Duration, Instant};

use super::pool::Pool;
use crate::handler::command::STDERR_TAIL;
use crate::handler::command::output::{Kept, drain};
use crate::handler::wire::{LOG_LINE, Lines, snippet};

/// Lines of one process that go to the daemon's log within [`SPELL`]; the rest is counted.
const LINES: u32 = 200;
const SPELL: Duration = Duration::from_secs(10);

/// What one process has printed.
#[derive(Default)]
pub(super) struct Chatter {
    inner: Mutex<Inner>,
}

struct Inner {
    /// The end of it, for the reason of a failure.
    tail: Kept,
    since: Instant,
    lines: u32,
}

impl Default for Inner {
    fn default() -> Self {
        Self { tail: Kept::end(STDERR_TAIL), since: Instant::now(), lines: 0 }
    }
}

impl Chatter {
    pub(super) fn tail(&self) -> Vec<u8> {
        std::mem::replace(&mut self.inner().tail, Kept::end(STDERR_TAIL)).into_bytes()
    }

    /// Whether one more line goes to the log, and how many before it did not.
    fn may_log(&self, now: Instant) -> (bool, u32) {
        let mut inner = self.inner();
        let mut dropped = 0;
        if now >= inner.since + SPELL {
            dropped = inner.lines.saturating_sub(LINES);
            (inner.since, inner.lines) = (now, 0);
        }
        inner.lines = inner.lines.saturating_add(1);
        (inner.lines <= LINES, dropped)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no code panics while holding this lock")
    }
}

/// Hears one stream to its end.
pub(super) async fn listen(pool: Arc<Pool>, id: usize, stream: impl AsyncRead + Unpin, chatter: Arc<Chatter>) {
    let log = |line: &[u8], cut: usize| {
        let text = snippet(line, LOG_LINE);
        let text = if cut > 0 { format!("{text}… {cut} bytes cut") } else { text };
        let (may_log, dropped) = chatter.may_log(Instant::now());
        let pid = pool.with(id, |member| {
            // with several jobs nobody knows whose line it is
            if let [job] = member.jobs.as_slice() {
                job.ticket.ctx.log(text.clone());
            }
            member.pid
        });
        let (handler, pid) = (&pool.name, pid.unwrap_or_default());
        if dropped > 0 {
            tracing::warn!(handler, pid, dropped, "a process prints too many lines for the log");
        }
        if may_log {
            tracing::info!(handler, pid, "{text}");
        }
    };
    let mut lines = Lines::new(LOG_LINE);
    drain(stream, |bytes| {
        chatter.inner().tail.push(bytes);
        lines.push(bytes, log);
    })
    .await;
    lines.finish(log);
}
