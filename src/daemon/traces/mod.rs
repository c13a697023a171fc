//! Spans of attempts, sent to a collector by OTLP. One span per attempt continues the trace BullMQ stores with its job;
//! the daemon starts this where `[traces]` or the environment asks for it.
//!
//! Nothing here ever holds up a job: the engine leaves a record in a bounded queue, and a thread of its own makes spans
//! of them and sends those. The batch processor and exporter of the OpenTelemetry SDK would not do: they cannot drive a
//! client that needs a runtime, tell nobody why sending fails or how much is dropped, and let the environment override
//! what a program has set. Of that project only the messages of the protocol are used.

mod export;
mod outlet;
mod span;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{oneshot, watch};

use super::{Error, Masks};
use crate::config;
use crate::engine::{Event, Span, Tracer};
use crate::job::{Job, TraceContext};
use export::Exporter;
use outlet::Outlet;
use span::{Record, Told};

/// Longest wait at the end for spans not yet sent.
const FLUSH: Duration = Duration::from_secs(2);

/// Running. Dropped, it ends without sending what is left.
pub struct Traces {
    tracer: Arc<Tracing>,
    stop: watch::Sender<Option<Instant>>,
    ended: oneshot::Receiver<()>,
}

impl Traces {
    /// Starts the thread. Opens no connection. `instance` is this process's own id, `worker` what it calls itself; reasons
    /// are sent with `masks` over them.
    pub fn start(config: &config::Traces, instance: &str, worker: Option<&str>, masks: Masks) -> Result<Self, Error> {
        let outlet = Arc::new(Outlet::default());
        let resource = span::resource(config, instance);
        let exporter = Exporter::new(config, resource, worker, masks, Arc::clone(&outlet)).map_err(Error::Traces)?;
        tracing::info!(collector = exporter.collector(), sample = config.sample, "attempts are traced");
        let (stop, stopping) = watch::channel(None);
        let (done, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("traces".into())
            .spawn(move || {
                exporter.run(stopping);
                let _ = done.send(());
            })
            .map_err(Error::Thread)?;
        let random = fastrand::Rng::with_seed(uuid::Uuid::new_v4().as_u64_pair().0);
        let tracer = Tracing {
            outlet,
            sample: share_of_ids(config.sample),
            parent_based: config.parent_based,
            random: Mutex::new(random),
        };
        Ok(Self { tracer: Arc::new(tracer), stop, ended })
    }

    /// For the engine.
    #[must_use]
    pub fn tracer(&self) -> Arc<dyn Tracer> {
        Arc::clone(&self.tracer) as Arc<dyn Tracer>
    }

    /// Sends what is left, for two seconds at most.
    pub async fn stop(self) {
        let _ = self.stop.send(Some(Instant::now() + FLUSH));
        let _ = tokio::time::timeout(FLUSH * 2, self.ended).await;
    }
}

/// Decides which traces are kept, and hands out their ids.
struct Tracing {
    outlet: Arc<Outlet>,
    /// Traces are kept whose last 56 bits are below it.
    sample: u64,
    parent_based: bool,
    /// Seeded by the system: two daemons begin no trace alike.
    random: Mutex<fastrand::Rng>,
}

/// Bits of a trace id that are random whoever made it.
const RANDOM_BITS: u32 = 56;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share from 0 to 1 of a power of two"
)]
fn share_of_ids(share: f64) -> u64 {
    (share * (1u64 << RANDOM_BITS) as f64) as u64
}

impl Tracing {
    fn is_kept(&self, trace_id: u128) -> bool {
        let low = trace_id & ((1 << RANDOM_BITS) - 1);
        low < u128::from(self.sample)
    }

    /// A trace id where one is needed, and a span id; neither is zero.
    fn ids(&self, parent: Option<&TraceContext>) -> (u128, u64) {
        let mut random = self.random.lock().expect("no code panics while holding this lock");
        (parent.map_or_else(|| random.u128(1..), |parent| parent.trace_id), random.u64(1..))
    }
}

impl Tracer for Tracing {
    fn begin(&self, job: &Arc<Job>) -> Option<Box<dyn Span>> {
        let parent = TraceContext::stored(&job.opts);
        let (trace_id, span_id) = self.ids(parent.as_ref());
        let is_sampled = match &parent {
            Some(parent) if self.parent_based => parent.is_sampled,
            _ => self.is_kept(trace_id),
        };
        let (parent_span, state) = parent.map(|parent| (parent.span_id, parent.state)).unzip();
        let context = TraceContext { trace_id, span_id, is_sampled, state: state.flatten() };
        Some(Box::new(Running {
            context,
            parent_span,
            // one that is not kept is never looked at
            job: is_sampled.then(|| Arc::clone(job)),
            outlet: Arc::clone(&self.outlet),
            began: SystemTime::now(),
            since: Instant::now(),
        }))
    }
}

/// An attempt under way.
struct Running {
    context: TraceContext,
    parent_span: Option<u64>,
    job: Option<Arc<Job>>,
    outlet: Arc<Outlet>,
    began: SystemTime,
    since: Instant,
}

impl Span for Running {
    fn context(&self) -> &TraceContext {
        &self.context
    }

    fn end(self: Box<Self>, event: &Event) {
        if let (Some(job), Some(told)) = (&self.job, Told::of(event)) {
            let (began, took) = (self.began, self.since.elapsed());
            self.outlet.put(Record::of(job, self.context, self.parent_span, began, took, told));
        }
    }
}

#[cfg(test)]
mod tests;
