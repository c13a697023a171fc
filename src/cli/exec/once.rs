//! One job through its handler: settings from the configuration, no Redis.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::print::{self, Colour};
use super::super::session::{Session, runtime};
use super::super::{Error, Exit};
use super::file::JobFile;
use crate::config::{self, Config};
use crate::daemon::escape;
use crate::engine;
use crate::handler::{ActionError, Actions, Attempt, CancelReason, Doing, Handler, JobContext, Registry, Settled};
use crate::job::verdict::{FailKind, judge};
use crate::job::{Flow, Job, JobId, Outcome, QueueName, UnixMillis, Verdict};
use crate::store::{AddedFlow, Dependencies, Token};

/// Longest wait for what handlers leave behind.
const LEFTOVERS: Duration = Duration::from_secs(5);

/// Runs the job and prints its outcome.
pub fn run(
    handler: Option<&str>,
    queue: Option<QueueName>,
    job: JobFile,
    session: &mut Session,
) -> Result<Exit, Error> {
    let (config, _) = config::load(&session.sources(false))?;
    let _logging = session.start_log(&config)?;
    let name = match queue.or_else(|| job.queue.clone()) {
        Some(name) => name,
        None => QueueName::new("exec").expect("exec is a name for a queue"),
    };
    let queue = config.queues.get(name.as_str()).cloned().unwrap_or_else(|| config::Queue::new(name.clone()));
    let job = Arc::new(job.job(name, now())?);
    if job.data.get().len() > queue.max_payload {
        let (has, max) = (job.data.get().len(), queue.max_payload);
        return Err(Error::Input(format!(
            "data is {has} bytes long, longer than max_payload of the queue allows, {max}"
        )));
    }
    let ran = {
        let runtime = runtime()?;
        let ran = runtime.block_on(async {
            let registry = Registry::build(&config, [].into())?;
            let handler = pick(handler, &registry, &config, &queue, &job)?;
            Ok::<_, Error>(attempt(handler, &job, &queue, &config).await)
        });
        runtime.shutdown_timeout(LEFTOVERS);
        ran?
    };
    let shown = Shown::new(ran, &job, &queue);
    let is_done = matches!(shown.outcome, "complete" | "discard");
    if session.out.is_json() {
        session.out.json(&shown)?;
    } else {
        shown.print(session)?;
    }
    Ok(if is_done { Exit::Done } else { Exit::No })
}

pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis().try_into().unwrap_or(i64::MAX))
}

/// The handler by its name, else the one the queue has for the job.
fn pick(
    name: Option<&str>,
    registry: &Registry,
    config: &Config,
    queue: &config::Queue,
    job: &Job,
) -> Result<Arc<dyn Handler>, Error> {
    if let Some(name) = name {
        return registry.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = config.handlers.keys().map(String::as_str).collect();
            Error::Usage(format!("no handler {name:?} in the configuration; known are {}", known.join(", ")))
        });
    }
    registry.router(queue)?.find(&job.name).cloned().ok_or_else(|| {
        let queue = &queue.name;
        Error::Usage(format!("queue {queue} has no handler for {:?}; name one, as in --handler NAME", job.name))
    })
}

/// What came of it, and how long it took.
struct Ran {
    outcome: Outcome,
    took: Duration,
}

async fn attempt(handler: Arc<dyn Handler>, job: &Arc<Job>, queue: &config::Queue, config: &Config) -> Ran {
    let started = Instant::now();
    let attempt = Attempt {
        job: Arc::clone(job),
        token: "exec".into(),
        started,
        timeout: queue.timeout,
        deadline_ms: job.processed_on.after(queue.timeout).0,
        max_attempts: queue.policy.attempts_of(job),
        prefix: config.redis.prefix.as_str().into(),
        tenant: config.status.of(queue.name.as_str()).tenant.as_str().into(),
        may_be_parent: false,
        trace: None,
    };
    let ctx = JobContext::new(attempt, Some(Arc::new(Teller)));
    let running = engine::execute(handler, Arc::clone(job), ctx.clone());
    tokio::pin!(running);
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome,
            // a second one ends us as it ends any program
            Ok(()) = tokio::signal::ctrl_c(), if ctx.cancel_reason().is_none() => ctx.cancel(CancelReason::Requested),
        }
    };
    ctx.end_report().await;
    tell(ctx.close_report().progress.as_deref(), &ctx.take_log());
    Ran { outcome, took: started.elapsed() }
}

/// Stands in for the engine: says what would be written.
struct Teller;

fn tell(progress: Option<&RawValue>, lines: &[String]) {
    for line in lines {
        print::aside(format_args!("log: {}", escape::text(line)));
    }
    if let Some(progress) = progress {
        print::aside(format_args!("progress: {}", escape::json(progress.get().to_owned())));
    }
}

impl Actions for Teller {
    fn report(&self, ctx: JobContext) {
        if let Some(part) = ctx.with_report(|report| report.take(Instant::now())) {
            tell(part.progress.as_deref(), &part.lines);
            ctx.with_report(|report| report.settle(part, Settled::Done));
        }
    }

    fn update_data(&self, _: &Arc<Job>, _: &Token, data: Box<RawValue>) -> Doing<()> {
        print::aside(format_args!("data: {}", escape::json(data.get().to_owned())));
        Box::pin(std::future::ready(Ok(())))
    }

    fn add_children(&self, job: &Arc<Job>, children: Vec<Flow>) -> Doing<Vec<AddedFlow>> {
        fn added(flow: &Flow, id: &str) -> AddedFlow {
            let id = flow.job.opts.job_id.as_deref().unwrap_or(id);
            AddedFlow {
                id: JobId::stored(id),
                queue: flow.queue.clone(),
                children: flow.children.iter().map(|child| added(child, id)).collect(),
            }
        }
        for child in &children {
            let (name, queue, data) = (&child.job.name, &child.queue, child.job.data.get());
            print::aside(format_args!("child: {} in {queue}: {}", escape::text(name), escape::json(data.to_owned())));
        }
        let added = children.iter().map(|child| added(child, job.id.as_str())).collect();
        Box::pin(std::future::ready(Ok(added)))
    }

    fn children(&self, _: &Arc<Job>) -> Doing<Dependencies> {
        Box::pin(std::future::ready(Ok::<_, ActionError>(Dependencies::default())))
    }
}

/// The outcome as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    outcome: &'static str,
    result: Option<Box<RawValue>>,
    /// The reason of anything but completion.
    error: Option<String>,
    stack: Option<String>,
    /// The wait until it would run again.
    after: Option<String>,
    /// Where the queue would have it then.
    state: &'static str,
    duration_ms: u64,
}

impl Shown {
    fn new(ran: Ran, job: &Job, queue: &config::Queue) -> Self {
        let outcome = ran.outcome.as_str();
        let (result, error, stack) = match &ran.outcome {
            Outcome::Complete(value) => (Some(value.clone()), None, None),
            Outcome::Retry { failure, .. } | Outcome::Fail(failure) | Outcome::Crashed(failure) => {
                (None, Some(failure.message.clone()), failure.stack.clone())
            }
            Outcome::Defer { reason, .. }
            | Outcome::PutOff { reason, .. }
            | Outcome::Discard { reason }
            | Outcome::Cancelled { reason } => (None, Some(reason.clone()), None),
            _ => (None, None, None),
        };
        let wait = |wait| Some(config::units::show_duration(wait));
        let (state, after) = match judge(job, ran.outcome, &queue.policy, now(), 0.5) {
            Verdict::Complete { .. } => ("completed", None),
            Verdict::Fail { kind: FailKind::Failed | FailKind::Expired | FailKind::Cancelled, .. } => ("failed", None),
            Verdict::Retry { wait: Duration::ZERO, .. } | Verdict::HandBack => ("waiting", None),
            Verdict::Retry { wait: after, .. }
            | Verdict::Delay { wait: after, .. }
            | Verdict::PutOff { wait: after, .. } => ("delayed", wait(after)),
            Verdict::WaitForChildren => ("waiting-children", None),
        };
        let duration_ms = ran.took.as_millis().try_into().unwrap_or(u64::MAX);
        Self { outcome, result, error, stack, after, state, duration_ms }
    }

    fn print(&self, session: &mut Session) -> Result<(), Error> {
        let out = &mut session.out;
        let colour = if matches!(self.outcome, "complete" | "discard") { Colour::Green } else { Colour::Red };
        let outcome = out.paint(colour, self.outcome);
        out.line(format_args!("{outcome} after {} ms; in the queue: {}", self.duration_ms, self.state))?;
        if let Some(after) = &self.after {
            out.line(format_args!("again after {after}"))?;
        }
        if let Some(error) = self.stack.as_ref().or(self.error.as_ref()) {
            out.line(escape::block(error))?;
        }
        if let Some(result) = &self.result {
            out.line(escape::json(result.get().to_owned()))?;
        }
        Ok(())
    }
}
