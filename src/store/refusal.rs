//! States in which a server answers and yet does nothing: its memory is full, it loads its data, it is a replica now. Every
//! call of every queue is refused then; what is told is that it began and that it is over, each once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Nothing was refused for so long, and something that can be refused was not: it is over. A server whose memory is full lets
/// some calls through, and lets one through now and then that it has refused before.
const SETTLED: Duration = Duration::from_secs(3);
/// The same where nothing that was refused is asked for again.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What one connection was refused, by the first word of the server's answer.
#[derive(Default)]
pub(crate) struct Refusals {
    /// Something is; spares others a lock.
    any: AtomicBool,
    current: Mutex<Vec<Refusal>>,
    /// One has begun.
    pub(crate) begun: Notify,
}

#[derive(Debug, Clone)]
struct Refusal {
    code: String,
    message: String,
    since: Instant,
    last: Instant,
    calls: u64,
    /// The commands that were refused.
    commands: BTreeSet<&'static str>,
    /// One of them went through after the last refusal.
    mended: bool,
    told: bool,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    Begun { code: String, message: String },
    Over { code: String, lasted: Duration, calls: u64 },
}

impl Refusals {
    fn current(&self) -> MutexGuard<'_, Vec<Refusal>> {
        self.current.lock().expect("no code panics while holding this lock")
    }

    pub(super) fn refused(&self, command: &'static str, message: &str) {
        let now = Instant::now();
        let code = message.split_whitespace().next().unwrap_or("ERR");
        let mut current = self.current();
        if let Some(refusal) = current.iter_mut().find(|refusal| refusal.code == code) {
            refusal.last = now;
            refusal.calls += 1;
            refusal.mended = false;
            refusal.commands.insert(command);
            return;
        }
        current.push(Refusal {
            code: code.to_owned(),
            message: message.to_owned(),
            since: now,
            last: now,
            calls: 1,
            commands: BTreeSet::from([command]),
            mended: false,
            told: false,
        });
        self.any.store(true, Ordering::Release);
        self.begun.notify_one();
    }

    pub(super) fn done(&self, command: &'static str) {
        if self.any.load(Ordering::Acquire) {
            for refusal in self.current().iter_mut().filter(|refusal| refusal.commands.contains(command)) {
                refusal.mended = true;
            }
        }
    }

    /// Whether something is refused: then it is worth asking for news.
    pub(crate) fn is_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// What has begun or ended since this was asked last.
    pub(crate) fn news(&self, now: Instant) -> Vec<News> {
        let mut current = self.current();
        let mut news = Vec::new();
        for refusal in current.iter_mut().filter(|refusal| !refusal.told) {
            refusal.told = true;
            news.push(News::Begun { code: refusal.code.clone(), message: refusal.message.clone() });
        }
        current.retain(|refusal| {
            let quiet = now.duration_since(refusal.last);
            let is_over = refusal.mended && quiet >= SETTLED || quiet >= FORGOTTEN;
            if is_over {
                let lasted = refusal.last.duration_since(refusal.since);
                news.push(News::Over { code: refusal.code.clone(), lasted, calls: refusal.calls });
            }
            !is_over
        });
        self.any.store(!current.is_empty(), Ordering::Release);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

    #[test]
    fn it_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let refusals = Refusals::default();
        let now = Instant::now();
        assert!(refusals.news(now).is_empty() && !refusals.is_any());
        refusals.refused("finish_jobs", OOM);
        refusals.refused("move_to_active", OOM);
        assert_eq!(refusals.news(now), [News::Begun { code: "OOM".into(), message: OOM.into() }]);
        // others go through all the time
        refusals.done("extend_locks");
        assert!(refusals.news(now + SETTLED * 2).is_empty());
        refusals.done("move_to_active");
        assert!(refusals.news(Instant::now()).is_empty(), "it may be refused again the next moment");
        refusals.refused("move_to_active", OOM);
        assert!(refusals.news(Instant::now() + SETTLED).is_empty());
        refusals.done("move_to_active");
        let news = refusals.news(Instant::now() + SETTLED);
        assert!(matches!(&news[..], [News::Over { code, calls: 3, .. }] if code == "OOM"), "{news:?}");
        assert!(!refusals.is_any());
    }
}
