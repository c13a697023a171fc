//! What waits for one viewer, bounded: whoever fills it never waits, the oldest messages make room for new ones, and the
//! viewer is told how many it has missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::auth::Sight;
use super::update::{Subject, Update};

/// Bytes of messages that wait at most, beside one that is longer.
const MOST_BYTES: usize = 256 * 1024;

/// What a viewer is told.
#[derive(Debug, Clone)]
pub enum Notice {
    /// From now on every message will be seen.
    Ready,
    Status(Arc<Update>),
    /// Redis could not be heard for a while: messages may be missing here.
    Gap,
    /// So many messages came faster than they were read.
    Missed(u64),
}

/// Which messages somebody sees: what is asked for, within what may be seen. An empty list is no condition.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of this tenant only.
    pub tenant: Option<String>,
    /// Of this queue only, because the token says so.
    pub queue: Option<String>,
    pub queues: Vec<String>,
    pub jobs: Vec<String>,
    pub statuses: Vec<String>,
}

impl Filter {
    /// Nothing but what may be seen.
    pub fn within(sight: &Sight) -> Self {
        match sight {
            Sight::Everything => Self::default(),
            Sight::Tenant { tenant, queue } => {
                Self { tenant: Some(tenant.clone()), queue: queue.clone(), ..Self::default() }
            }
        }
    }

    pub fn lets_through(&self, subject: &Subject) -> bool {
        let is = |wanted: &Option<String>, said: &Option<String>| wanted.is_none() || wanted == said;
        let is_one_of = |wanted: &[String], said: &Option<String>| {
            wanted.is_empty() || said.as_ref().is_some_and(|said| wanted.contains(said))
        };
        is(&self.tenant, &subject.tenant)
            && is(&self.queue, &subject.queue)
            && is_one_of(&self.queues, &subject.queue)
            && is_one_of(&self.jobs, &subject.job)
            && is_one_of(&self.statuses, &subject.status)
    }
}

/// For one reader.
pub struct Viewer {
    pub filter: Filter,
    /// Messages that wait at most.
    room: usize,
    waiting: Mutex<Waiting>,
    /// Keeps one permit, which is enough for one reader.
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    notices: VecDeque<Notice>,
    bytes: usize,
    /// Dropped before the first that is kept.
    missed: u64,
    gap: bool,
    is_ready: bool,
}

impl Viewer {
    pub fn new(filter: Filter, room: usize) -> Self {
        Self { filter, room, waiting: Mutex::default(), filled: Notify::new() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no code panics while holding this lock")
    }

    /// Everything is heard from now on: the first time and after each gap.
    pub fn live(&self) {
        let mut waiting = self.waiting();
        let notice = if std::mem::replace(&mut waiting.is_ready, true) { Notice::Gap } else { Notice::Ready };
        self.push(waiting, notice);
    }

    pub fn tell(&self, update: &Arc<Update>) {
        self.push(self.waiting(), Notice::Status(Arc::clone(update)));
    }

    fn push(&self, mut waiting: MutexGuard<Waiting>, notice: Notice) {
        waiting.bytes += size(&notice);
        waiting.notices.push_back(notice);
        while waiting.notices.len() > self.room || waiting.bytes > MOST_BYTES && waiting.notices.len() > 1 {
            let Some(oldest) = waiting.notices.pop_front() else { break };
            waiting.bytes -= size(&oldest);
            match oldest {
                Notice::Status(_) => waiting.missed += 1,
                Notice::Missed(count) => waiting.missed += count,
                Notice::Gap | Notice::Ready => waiting.gap = true,
            }
        }
        drop(waiting);
        self.filled.notify_one();
    }

    /// The next. Cancellation safe.
    pub async fn next(&self) -> Notice {
        loop {
            if let Some(notice) = self.take() {
                return notice;
            }
            self.filled.notified().await;
        }
    }

    fn take(&self) -> Option<Notice> {
        let mut waiting = self.waiting();
        if std::mem::take(&mut waiting.gap) {
            return Some(Notice::Gap);
        }
        if waiting.missed > 0 {
            return Some(Notice::Missed(std::mem::take(&mut waiting.missed)));
        }
        let notice = waiting.notices.pop_front()?;
        waiting.bytes -= size(&notice);
        if waiting.notices.is_empty() {
            // who has caught up holds no more than who has just come
            waiting.notices = VecDeque::new();
        }
        Some(notice)
    }
}

fn size(notice: &Notice) -> usize {
    match notice {
        Notice::Status(update) => update.json().len(),
        Notice::Ready | Notice::Gap | Notice::Missed(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(job: &str) -> Arc<Update> {
        Arc::new(Update::read(None, format!(r#"{{"tenantId":"t1","jobId":"{job}"}}"#)).unwrap())
    }

    /// What has come, in short.
    fn read(viewer: &Viewer) -> Vec<String> {
        let text = |notice| match notice {
            Notice::Status(update) => update.subject.job.clone().unwrap_or_default(),
            other => format!("{other:?}"),
        };
        std::iter::from_fn(|| viewer.take().map(text)).collect()
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let viewer = Viewer::new(Filter::default(), 3);
        viewer.live();
        assert_eq!(read(&viewer), ["Ready"]);
        for job in ["1", "2", "3", "4", "5"] {
            viewer.tell(&update(job));
        }
        assert_eq!(read(&viewer), ["Missed(2)", "3", "4", "5"]);
        viewer.live();
        for job in ["6", "7", "8"] {
            viewer.tell(&update(job));
        }
        assert_eq!(read(&viewer), ["Gap", "6", "7", "8"], "a gap is told also when it had to make room");
    }

    #[test]
    fn long_messages_count_by_their_bytes_and_one_is_always_kept() {
        let viewer = Viewer::new(Filter::default(), 1000);
        let long = "x".repeat(MOST_BYTES);
        viewer.tell(&update("1"));
        viewer.tell(&update(&long));
        assert_eq!(read(&viewer), ["Missed(1)", &long]);
        viewer.tell(&update("2"));
        viewer.tell(&update("3"));
        assert_eq!(read(&viewer), ["2", "3"], "what was read counts no more");
    }

    #[test]
    fn a_filter_lets_through_what_says_what_is_asked() {
        let text = |text: &str| Some(text.to_owned());
        let subject = Subject { tenant: text("t1"), queue: text("q"), job: text("j"), status: text("FAILED") };
        let own = Filter { tenant: text("t1"), ..Filter::default() };
        assert!(Filter::default().lets_through(&subject) && own.lets_through(&subject));
        assert!(!own.lets_through(&Subject { tenant: text("t2"), ..Subject::default() }));
        assert!(!own.lets_through(&Subject::default()), "a message of no tenant is no tenant's");
        let statuses = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert!(Filter { statuses: statuses(&["FAILED", "COMPLETED"]), ..own.clone() }.lets_through(&subject));
        assert!(!Filter { statuses: statuses(&["COMPLETED"]), ..own.clone() }.lets_through(&subject));
        assert!(!Filter { queue: text("other"), queues: vec!["q".into()], ..own.clone() }.lets_through(&subject));
        assert!(!Filter { queues: vec!["other".into()], ..own.clone() }.lets_through(&subject));
        assert!(!Filter { jobs: vec!["other".into()], ..own }.lets_through(&subject));
    }
}
