//! Keeps the series of job schedulers going: an iteration that was taken is followed by the next one.
//!
//! The pool opens a [`Series`] for each job that is one, and runs the job inside it. The next iteration is made before
//! the job runs, as BullMQ does, so that nothing the job does can end the series. Where that fails the job runs all the
//! same, and it is tried again behind its back: as long as the job runs, and beyond while Redis is what fails.
//! Protocol: §5.13.4, and §9.4, 12.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::job::{Job, Outcome};
use crate::store::{Error, NextIteration, WorkQueue};

/// How long a job waits for the step, before it runs and after.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pauses between tries: the first, doubled each time, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The next iteration on its way. Dropping it says that the job is over.
pub(crate) struct Series {
    step: watch::Receiver<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The first try is under way.
    Begun,
    /// Redis failed; it is tried again until it does not.
    Late,
    /// It failed for another reason; it is tried again while the job runs.
    Stuck,
    Done,
}

impl Series {
    /// Starts the step for a job that is an iteration; nothing for any other. `zone` says the time zone of patterns that
    /// name none. To be called on the engine's runtime.
    pub(crate) fn of(job: &Arc<Job>, queue: &WorkQueue, zone: impl FnOnce() -> Arc<str>) -> Option<Self> {
        job.scheduler.as_ref()?;
        let (progress, step) = watch::channel(Step::Begun);
        tokio::spawn(follow(Arc::clone(job), queue.clone(), zone(), progress));
        Some(Self { step })
    }

    /// Runs a job once its series has gone on, or cannot for now, and gives the step a last chance before the outcome
    /// is answered: after that the job may be gone from Redis.
    pub(crate) async fn around(series: Option<Self>, run: impl Future<Output = Outcome>) -> Outcome {
        let Some(mut series) = series else { return run.await };
        series.wait_while(|step| step == Step::Begun).await;
        let outcome = run.await;
        series.wait_while(|step| step == Step::Late).await;
        outcome
    }

    async fn wait_while(&mut self, is_so: fn(Step) -> bool) {
        let _ = tokio::time::timeout(PATIENCE, self.step.wait_for(|step| !is_so(*step))).await;
    }
}

/// Tries until it is done, or the job over and Redis not to blame.
async fn follow(job: Arc<Job>, queue: WorkQueue, zone: Arc<str>, progress: watch::Sender<Step>) {
    let mut pause = PAUSE.0;
    let mut said = false;
    loop {
        let error = match queue.add_next_iteration(&job, &zone).await {
            Ok(next) => {
                tell(&job, &next, said);
                progress.send_replace(Step::Done);
                return;
            }
            Err(error) => error,
        };
        if !said {
            complain(&job, &error);
            said = true;
        }
        if error.is_temporary() {
            progress.send_replace(Step::Late);
            tokio::time::sleep(pause).await;
        } else {
            progress.send_replace(Step::Stuck);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = progress.closed() => return,
            }
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn scheduler(job: &Job) -> &str {
    job.scheduler.as_ref().map_or("", |iteration| &iteration.scheduler)
}

fn complain(job: &Job, error: &Error) {
    let (queue, scheduler) = (&job.queue, scheduler(job));
    if error.is_temporary() {
        tracing::debug!(%queue, job = %job.id, scheduler, %error, "cannot make the next iteration of a job scheduler; trying again");
    } else {
        tracing::error!(
            %queue, job = %job.id, scheduler, %error,
            "cannot make the next iteration of a job scheduler; trying again while this one runs, then the series ends: \
             upsert the scheduler again"
        );
    }
}

fn tell(job: &Job, next: &NextIteration, late: bool) {
    let (queue, scheduler) = (&job.queue, scheduler(job));
    match next {
        NextIteration::Added(id) if late => {
            tracing::info!(%queue, scheduler, next = %id, "the next iteration of a job scheduler is there after all");
        }
        NextIteration::Added(id) => tracing::debug!(%queue, scheduler, next = %id, "a job scheduler goes on"),
        NextIteration::Passed => {
            tracing::debug!(%queue, scheduler, job = %job.id, "a job scheduler has gone on already");
        }
        NextIteration::Ended => {
            tracing::info!(%queue, scheduler, job = %job.id, "the last iteration of a job scheduler, by its limit, end or pattern");
        }
        NextIteration::Removed => {
            tracing::info!(%queue, scheduler, job = %job.id, "an iteration of a job scheduler that was removed");
        }
        NextIteration::Exists(id) => tracing::error!(
            %queue, scheduler, job = %job.id,
            "the series of a job scheduler ends: its next iteration {id} is there already; upsert the scheduler again"
        ),
        NextIteration::Legacy => tracing::error!(
            %queue, scheduler, job = %job.id,
            "the series ends: this is a repeatable job of an early BullMQ release, which neither BullMQ 6 nor oxherd \
             goes on with; make a job scheduler of it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::value::RawValue;

    use super::*;
    use crate::config;
    use crate::job::{JobOptions, QueueName, SchedulerSpec, State, Template};
    use crate::store::testing::{Server, eventually};
    use crate::store::{Store, Take};

    /// A server that keeps its data over a restart, and an iteration taken from its queue `q`.
    async fn taken() -> (Server, WorkQueue, Arc<Job>) {
        let server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
        let store = Store::open(&server.config(), "test").await.unwrap();
        let settings = config::Queue::new(QueueName::new("q").unwrap());
        let spec = SchedulerSpec { every: Some(Duration::from_secs(3600)), ..SchedulerSpec::default() };
        let data = RawValue::from_string("{}".into()).unwrap();
        let template = Template { name: "tick".into(), data, opts: JobOptions::default() };
        store.queue(&settings.name).upsert_scheduler("s", &spec, &template).await.unwrap();
        let silent = config::Status { enabled: false, ..config::Status::default() };
        let queue = WorkQueue::new(&store, &settings, &silent, None, false);
        let taken = queue.move_to_active(&Take { token: "t:1".into(), want: 1 }).await.unwrap();
        (server, queue, Arc::new(taken.jobs.into_iter().next().unwrap()))
    }

    fn series(job: &Arc<Job>, queue: &WorkQueue) -> Option<Series> {
        Series::of(job, queue, || "UTC".into())
    }

    async fn delayed(queue: &WorkQueue) -> u64 {
        queue.store().queue(queue.name()).counts().await.map_or(0, |counts| counts.delayed)
    }

    #[tokio::test]
    async fn the_next_iteration_is_there_before_the_job_runs() {
        let (_server, queue, job) = taken().await;
        let outcome = Series::around(series(&job, &queue), async {
            assert_eq!(delayed(&queue).await, 1);
            Outcome::done()
        });
        assert!(matches!(outcome.await, Outcome::Complete(_)));
        let mut other = (*job).clone();
        other.scheduler = None;
        assert!(series(&Arc::new(other), &queue).is_none());
    }

    #[tokio::test]
    async fn defect_12_a_job_runs_although_redis_is_away_and_its_series_goes_on_when_it_is_back() {
        let (mut server, queue, job) = taken().await;
        server.stop();
        let begun = Instant::now();
        // the job is over long before Redis is back
        Series::around(series(&job, &queue), async { Outcome::done() }).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        server.again().await;
        eventually("followed", async || delayed(&queue).await == 1).await;
    }

    #[tokio::test]
    async fn what_stands_in_the_way_is_tried_again_while_the_job_runs_and_no_longer() {
        let (server, queue, job) = taken().await;
        server.run("RENAME bull:q:repeat kept").await;
        server.run("SET bull:q:repeat nonsense").await;
        Series::around(series(&job, &queue), async {
            assert_eq!(delayed(&queue).await, 0);
            server.run("RENAME kept bull:q:repeat").await;
            eventually("followed", async || delayed(&queue).await == 1).await;
            Outcome::done()
        })
        .await;

        let next = queue.store().queue(queue.name()).jobs(State::Delayed, 0, 1).await.unwrap().remove(0);
        let later = Job { id: next.id, ..(*job).clone() };
        server.run("RENAME bull:q:repeat kept").await;
        server.run("SET bull:q:repeat nonsense").await;
        let (progress, step) = watch::channel(Step::Begun);
        let trying = tokio::spawn(follow(Arc::new(later), queue.clone(), "UTC".into(), progress));
        Series::around(Some(Series { step }), async { Outcome::done() }).await;
        trying.await.unwrap();
        assert_eq!(delayed(&queue).await, 1);
    }
}
