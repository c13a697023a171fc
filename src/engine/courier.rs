//! Carries to Redis what the running jobs of one queue tell and ask for. Their [`JobContext`]s call it.
//!
//! Progress and log lines of all jobs go together, those of one job at most twice per second, its first ones at once. There is no timer while nothing waits. What could not be written goes back to the job and is tried again;
//! what is left when the attempt ends is recorded with its outcome.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

#[cfg(feature = "app")]
use crate::app::App;
use crate::config;
use crate::handler::{ActionError, Actions, Doing, INTERVAL, JobContext, Part, Settled};
use crate::job::{Flow, Job};
use crate::store::{AddedFlow, Code, Dependencies, Error, JobReport, Token, WorkQueue};

/// So much later than it may a report goes at most, and together with those that may by then.
const GATHER: Duration = Duration::from_millis(50);
/// Jobs in one call, of which each may bring 64 KiB of log.
const BATCH: usize = 64;
/// First and longest pause after a call that failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

pub(crate) struct Courier {
    queue: WorkQueue,
    status: Arc<config::Status>,
    reports: mpsc::UnboundedSender<JobContext>,
    /// The engine's, where the connections are; handlers may run elsewhere.
    runtime: Handle,
    #[cfg(feature = "app")]
    app: App,
}

impl Courier {
    /// To be called on the engine's runtime. Its task ends with the last context that knows the courier.
    pub(crate) fn start(queue: WorkQueue, status: Arc<config::Status>, #[cfg(feature = "app")] app: App) -> Arc<Self> {
        let (reports, inbox) = mpsc::unbounded_channel();
        tokio::spawn(carry(queue.clone(), inbox));
        Arc::new(Self {
            queue,
            status,
            reports,
            runtime: Handle::current(),
            #[cfg(feature = "app")]
            app,
        })
    }

    /// Calls Redis on the engine's runtime until it answers.
    fn outlast<T, F>(&self, call: impl Fn() -> F + Send + 'static) -> Doing<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let task = AbortOnDropHandle::new(self.runtime.spawn(async move {
            let mut pause = PAUSE.0;
            loop {
                match call().await {
                    Err(error) if error.is_temporary() => {
                        tracing::debug!(%error, "cannot do what a running job asks for; trying again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE.1);
                    }
                    answer => return answer,
                }
            }
        }));
        Box::pin(async move { Ok(task.await.map_err(|_| ActionError::Ended)??) })
    }
}

impl Actions for Courier {
    fn report(&self, ctx: JobContext) {
        let _ = self.reports.send(ctx);
    }

    fn update_data(&self, job: &Arc<Job>, token: &Token, data: Box<RawValue>) -> Doing<()> {
        let told = Arc::new((self.queue.clone(), Arc::clone(job), token.clone(), data));
        self.outlast(move || {
            let told = Arc::clone(&told);
            async move {
                let (queue, job, token, data) = &*told;
                let report = JobReport { data: Some(data), ..JobReport::of(job, token) };
                let answer = queue.report_jobs(&[report]).await?.pop().unwrap_or(Ok(()));
                let operation = "update the data of";
                answer.map_err(|code| Error::Rejected { operation, id: job.id.clone(), code })
            }
        })
    }

    fn add_children(&self, _: &Arc<Job>, mut children: Vec<Flow>) -> Doing<Vec<AddedFlow>> {
        // a call without an answer is repeated: with ids of their own nothing is added twice
        children.iter_mut().for_each(identify);
        let asked = Arc::new((self.queue.store().clone(), Arc::clone(&self.status), children));
        self.outlast(move || {
            let asked = Arc::clone(&asked);
            async move {
                let (store, status, children) = &*asked;
                store.add_flows(children, status).await
            }
        })
    }

    fn children(&self, job: &Arc<Job>) -> Doing<Dependencies> {
        let asked = Arc::new((self.queue.store().queue(self.queue.name()), Arc::clone(job)));
        self.outlast(move || {
            let asked = Arc::clone(&asked);
            async move {
                let (queue, job) = &*asked;
                queue.dependencies(&job.id).await
            }
        })
    }

    #[cfg(feature = "app")]
    fn app(&self) -> Option<&App> {
        Some(&self.app)
    }
}

/// Gives ids to the jobs of a tree that have none. Protocol: §4.1, uuids.
fn identify(flow: &mut Flow) {
    flow.job.opts.job_id.get_or_insert_with(|| Uuid::new_v4().to_string());
    flow.children.iter_mut().for_each(identify);
}

/// Contexts with something to tell, by the moment they may.
#[derive(Default)]
struct Waiting(BTreeMap<Instant, Vec<JobContext>>);

impl Waiting {
    fn push(&mut self, ctx: JobContext) {
        let now = Instant::now();
        let due = ctx.with_report(|report| report.taken()).map_or(now, |taken| (taken + INTERVAL + GATHER).max(now));
        self.0.entry(due).or_default().push(ctx);
    }

    fn next(&self) -> Option<Instant> {
        self.0.keys().next().copied()
    }

    /// Those whose moment has come, or nearly.
    fn due(&mut self) -> Vec<JobContext> {
        let now = Instant::now();
        if self.next().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let later = self.0.split_off(&(now + GATHER));
        std::mem::replace(&mut self.0, later).into_values().flatten().collect()
    }
}

async fn carry(queue: WorkQueue, mut inbox: mpsc::UnboundedReceiver<JobContext>) {
    let mut waiting = Waiting::default();
    loop {
        let next = waiting.next();
        let sleep = async {
            match next {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ctx = inbox.recv() => match ctx {
                Some(ctx) => waiting.push(ctx),
                None => return,
            },
            () = sleep => {}
        }
        while let Ok(ctx) = inbox.try_recv() {
            waiting.push(ctx);
        }
        let due = waiting.due();
        for batch in due.chunks(BATCH) {
            for ctx in deliver(&queue, batch).await {
                waiting.push(ctx);
            }
        }
    }
}

/// Writes what these jobs have told; returns those that have to be heard again.
async fn deliver(queue: &WorkQueue, jobs: &[JobContext]) -> Vec<JobContext> {
    let now = Instant::now();
    let parts: Vec<(&JobContext, Part)> =
        jobs.iter().filter_map(|ctx| Some((ctx, ctx.with_report(|report| report.take(now))?))).collect();
    if parts.is_empty() {
        return Vec::new();
    }
    let reports: Vec<JobReport<'_>> = parts
        .iter()
        .map(|(ctx, part)| JobReport {
            progress: part.progress.as_deref(),
            rows: &part.lines,
            doubtful: part.doubtful,
            ..JobReport::of(ctx.job(), ctx.token())
        })
        .collect();
    let mut answers: Vec<Settled> = match queue.report_jobs(&reports).await {
        Ok(answers) => answers.into_iter().zip(&parts).map(|(answer, (ctx, _))| settled(answer, ctx)).collect(),
        Err(error) => {
            tracing::debug!(queue = %queue.name(), %error, "what jobs tell cannot be written; trying again");
            let undone = matches!(error, Error::Unreachable { .. } | Error::Refused { .. });
            vec![if undone { Settled::Undone } else { Settled::Doubtful }; parts.len()]
        }
    };
    let again = parts.into_iter().zip(answers.drain(..)).filter_map(|((ctx, part), settled)| {
        ctx.with_report(|report| report.settle(part, settled)).then(|| ctx.clone())
    });
    again.collect()
}

fn settled(answer: Result<(), Code>, ctx: &JobContext) -> Settled {
    match answer {
        // it may be locked again with the outcome
        Err(Code::NoLock) => Settled::Undone,
        Err(Code::Broken(text)) => {
            let job = ctx.job();
            tracing::warn!(queue = %job.queue, job = %job.id, error = text, "what the job tells cannot be written");
            Settled::Done
        }
        Ok(()) | Err(_) => Settled::Done,
    }
}
