//! What waits for one viewer, bounded: whoever fills it never waits, the oldest messages make room for new ones, and the
//! viewer is told how many it has missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::auth::Sight;
use super::update::Update;

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

    /// What a message does not say is not what is asked for.
    pub fn lets_through(&self, update: &Update) -> bool {
        let message = &update.message;
        let is = |wanted: &Option<String>, said: &Option<String>| wanted.is_none() || wanted == said;
        let is_one_of = |wanted: &[String], said: &String| wanted.is_empty() || wanted.contains(said);
        is(&self.tenant, &update.tenant)
            && is(&self.queue, &message.queue)
            && (self.queues.is_empty() || message.queue.as_ref().is_some_and(|queue| self.queues.contains(queue)))
            && is_one_of(&self.jobs, &message.job_id)
            && is_one_of(&self.statuses, &message.status)
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
    /// Comes before all else.
    ready: bool,
    was_ready: bool,
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
        if std::mem::replace(&mut waiting.was_ready, true) {
            return self.push(waiting, Notice::Gap);
        }
        waiting.ready = true;
        drop(waiting);
        self.filled.notify_one();
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
        if std::mem::take(&mut waiting.ready) {
            return Some(Notice::Ready);
        }
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
        Notice::Status(update) => update.message.text.len(),
        Notice::Ready | Notice::Gap | Notice::Missed(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::update::testing;
    use super::*;

    fn update(job: &str) -> Arc<Update> {
        Arc::new(testing::update("\"t1\"", job))
    }

    /// What has come, in short.
    fn read(viewer: &Viewer) -> Vec<String> {
        let text = |notice| match notice {
            Notice::Status(update) => update.message.job_id.clone(),
            other => format!("{other:?}"),
        };
        std::iter::from_fn(|| viewer.take().map(text)).collect()
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let viewer = Viewer::new(Filter::default(), 3);
        viewer.live();
        for job in ["1", "2", "3", "4", "5"] {
            viewer.tell(&update(job));
        }
        assert_eq!(read(&viewer), ["Ready", "Missed(2)", "3", "4", "5"]);
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
        let mut update = testing::update("\"t1\"", "j");
        update.message.queue = text("q");
        let own = Filter { tenant: text("t1"), ..Filter::default() };
        assert!(Filter::default().lets_through(&update) && own.lets_through(&update));
        for other in ["\"t2\"", "null", "\"t1 \"", "1"] {
            assert!(!own.lets_through(&testing::update(other, "j")), "{other}");
        }
        assert!(Filter { tenant: text("42"), ..Filter::default() }.lets_through(&testing::update("42", "j")));
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert!(Filter { statuses: words(&["FAILED", "RUNNING"]), ..own.clone() }.lets_through(&update));
        assert!(!Filter { statuses: words(&["FAILED"]), ..own.clone() }.lets_through(&update));
        assert!(!Filter { queue: text("other"), queues: words(&["q"]), ..own.clone() }.lets_through(&update));
        assert!(!Filter { queues: words(&["other"]), ..own.clone() }.lets_through(&update));
        assert!(!Filter { jobs: words(&["other"]), ..own.clone() }.lets_through(&update));
        update.message.queue = None;
        assert!(!Filter { queues: words(&["q"]), ..own }.lets_through(&update), "it does not name its queue");
    }
}
