//! One attempt inside of a pool, from the call of the handler to its outcome: what the pool tells it on the way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::handler::JobContext;
use crate::handler::wire::Heard;
use crate::job::{Failure, Job};
use crate::store::Dependencies;

/// Things said and not yet done, from which on a process is not listened to.
const BACKLOG: usize = 64;

pub(super) struct Ticket {
    pub(super) job: Arc<Job>,
    pub(super) ctx: JobContext,
    /// What became of the job's children.
    pub(super) children: Option<Dependencies>,
    told: Mutex<Told>,
    pub(super) news: Notify,
    /// In no process: not yet, or again.
    waits: AtomicBool,
}

#[derive(Default)]
struct Told {
    news: VecDeque<News>,
    /// Who is not listened to because of the backlog.
    held: Option<Arc<Notify>>,
}

/// What a job in the pool is told.
pub(super) enum News {
    Heard(Heard),
    /// Its process asks, under this number, what became of its children.
    Asks(u64),
    /// Its process asks for something that stands beside the queues.
    App(super::frame::Request),
    /// Its process has gone and it was not its fault: it begins again in another.
    Again,
    End(End),
}

/// How a job ends that does not say it itself.
pub(super) enum End {
    /// It was told to stop, and its process was ended.
    Stopped,
    Crashed(Failure),
    Fail(Failure),
    /// The pool can do nothing for it.
    PutOff(String),
    /// The pool is closed.
    Interrupted,
}

impl Ticket {
    pub(super) fn new(job: Arc<Job>, ctx: JobContext, children: Option<Dependencies>) -> Self {
        let told = Mutex::default();
        Self { job, ctx, children, told, news: Notify::new(), waits: AtomicBool::new(true) }
    }

    pub(super) fn tell(&self, news: News) {
        self.told().news.push_back(news);
        self.news.notify_one();
    }

    /// Tells what its process said. `true`: too much is not done yet, and `listener` will be woken when it is.
    pub(super) fn hear(&self, news: News, listener: &Arc<Notify>) -> bool {
        let mut told = self.told();
        told.news.push_back(news);
        let hold = told.news.len() >= BACKLOG;
        if hold {
            told.held = Some(Arc::clone(listener));
        }
        drop(told);
        self.news.notify_one();
        hold
    }

    /// The next thing to be done.
    pub(super) fn next(&self) -> Option<News> {
        let mut told = self.told();
        let next = told.news.pop_front();
        if told.news.len() < BACKLOG / 2
            && let Some(listener) = told.held.take()
        {
            listener.notify_one();
        }
        next
    }

    pub(super) fn has_news(&self) -> bool {
        !self.told().news.is_empty()
    }

    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    pub(super) fn set_waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no code panics while holding this lock")
    }
}
