//! The thread that sends: gathers for a moment, sends a batch, and where the collector is away tries again while the
//! queue fills up. What happens is said once per outage, not once per request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use tokio::sync::watch;

use super::outlet::{CAPACITY, Outlet};
use super::span;
use crate::config::{self, HttpHandler};
use crate::daemon::Masks;
use crate::handler::{Poster, Refused};

/// How long a first span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// First and longest pause after a request that was of no use.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often at most it is said that spans were dropped.
const REMIND: Duration = Duration::from_secs(60);

pub(super) struct Exporter {
    poster: Poster,
    resource: Resource,
    worker: Option<String>,
    masks: Masks,
    outlet: Arc<Outlet>,
    /// Taken out of the queue and not yet sent, with the number of its spans.
    batch: Option<(Bytes, u64)>,
    /// Since when nothing can be sent.
    away: Option<Instant>,
    /// Dropped or refused since it was said last.
    lost: u64,
    said: Option<Instant>,
}

/// What has come of a request.
enum Sent {
    Done,
    /// The collector will not have these spans, whenever they come.
    Refused(String),
    /// Another time it may have them.
    Later {
        why: String,
        after: Duration,
    },
}

impl Exporter {
    pub(super) fn new(
        config: &config::Traces,
        resource: Resource,
        worker: Option<&str>,
        masks: Masks,
        outlet: Arc<Outlet>,
    ) -> Result<Self, Refused> {
        let endpoint = HttpHandler {
            headers: config.headers.clone(),
            ca: config.ca.clone(),
            connect_timeout: config.timeout,
            ..HttpHandler::new(config.endpoint.clone())
        };
        let poster = Poster::new(&endpoint, "application/x-protobuf", config.timeout)?;
        let worker = worker.map(str::to_owned);
        Ok(Self { poster, resource, worker, masks, outlet, batch: None, away: None, lost: 0, said: None })
    }

    /// `host:port`, for messages.
    pub(super) fn collector(&self) -> &str {
        self.poster.authority()
    }

    /// Until told to stop, and then until the moment it is told with.
    pub(super) fn run(mut self, mut stopping: watch::Receiver<Option<Instant>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else {
            tracing::error!("the thread that sends spans cannot start; none are sent");
            return;
        };
        runtime.block_on(async {
            while stopping.borrow_and_update().is_none() {
                if !self.send_batches(&mut stopping).await {
                    break;
                }
            }
            // told what time is left, or left alone
            let until = *stopping.borrow();
            if let Some(until) = until {
                self.flush(until).await;
            }
        });
        // look-ups of names may still be under way
        runtime.shutdown_background();
    }

    /// Waits for spans and sends them; false once it is to stop.
    async fn send_batches(&mut self, stopping: &mut watch::Receiver<Option<Instant>>) -> bool {
        let outlet = Arc::clone(&self.outlet);
        tokio::select! {
            () = outlet.filled.notified() => {}
            _ = stopping.changed() => return false,
        }
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            // a whole batch is there
            () = outlet.filled.notified() => {}
            _ = stopping.changed() => return false,
        }
        let mut pause = PAUSE.0;
        while let Some((body, count)) = self.next_batch() {
            let sent = tokio::select! {
                sent = self.post(&body) => sent,
                _ = stopping.changed() => return false,
            };
            let Some(after) = self.heard(sent, count) else {
                pause = PAUSE.0;
                continue;
            };
            let wait = pause.mul_f64(0.5 + fastrand::f64() / 2.0).max(after).min(PAUSE.1);
            pause = (pause * 2).min(PAUSE.1);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopping.changed() => return false,
            }
        }
        true
    }

    /// What is left, until the moment given; then says what was not sent.
    async fn flush(&mut self, until: Instant) {
        while let Some((body, count)) = self.next_batch() {
            // one that could not be asked before is asked once more
            let Ok(sent) = tokio::time::timeout_at(until.into(), self.post(&body)).await else { break };
            if self.heard(sent, count).is_some() {
                break;
            }
        }
        let kept = self.batch.take().map_or(0, |(_, count)| count) + self.outlet.len() as u64;
        let lost = self.lost + kept + self.outlet.take_dropped();
        if lost > 0 {
            tracing::warn!(collector = self.collector(), spans = lost, "spans were not sent");
        }
    }

    /// The batch that is to be sent, until something has become of it.
    fn next_batch(&mut self) -> Option<(Bytes, u64)> {
        if self.batch.is_none() && self.outlet.len() > 0 {
            let records = self.outlet.take();
            let count = records.len() as u64;
            let request = span::request(records, &self.resource, self.worker.as_deref(), &self.masks);
            self.batch = Some((request.encode_to_vec().into(), count));
        }
        self.batch.clone()
    }

    /// Protocol: OTLP/HTTP, which answers can be tried again.
    async fn post(&self, body: &Bytes) -> Sent {
        let said = match self.poster.post(body.clone()).await {
            Ok(said) => said,
            Err(why) => return Sent::Later { why, after: Duration::ZERO },
        };
        let to = self.collector();
        match said.status.as_u16() {
            200..=299 => match ExportTraceServiceResponse::decode(said.body).ok().and_then(|said| said.partial_success)
            {
                Some(partial) if partial.rejected_spans > 0 => {
                    Sent::Refused(format!("{to} refused {} spans: {}", partial.rejected_spans, partial.error_message))
                }
                _ => Sent::Done,
            },
            code @ (408 | 429 | 502 | 503 | 504) => Sent::Later {
                why: format!("{to} answered {code}"),
                after: Duration::from_secs(said.retry_after.unwrap_or(0)),
            },
            code => Sent::Refused(format!("{to} answered {code}")),
        }
    }

    /// Says what is new. Where the batch is to be sent again: the pause the collector asks for.
    fn heard(&mut self, sent: Sent, count: u64) -> Option<Duration> {
        let (is_said, collector) = (self.away.is_some(), self.poster.authority().to_owned());
        match sent {
            Sent::Done => {
                self.batch = None;
                self.lost += self.outlet.take_dropped();
                let lost = std::mem::take(&mut self.lost);
                if let Some(since) = self.away.take() {
                    let away = since.elapsed().as_millis();
                    tracing::info!(collector, away, lost, "spans are sent again");
                } else if lost > 0 && self.said.is_none_or(|said| said.elapsed() > REMIND) {
                    self.said = Some(Instant::now());
                    tracing::warn!(collector, lost, "spans were dropped: the collector takes them too slowly");
                } else {
                    self.lost = lost;
                }
                None
            }
            Sent::Refused(why) => {
                self.batch = None;
                self.away.get_or_insert_with(Instant::now);
                self.lost += count;
                if !is_said {
                    tracing::warn!(collector, why, "spans are refused and dropped; jobs go on");
                }
                None
            }
            Sent::Later { why, after } => {
                self.away.get_or_insert_with(Instant::now);
                if !is_said {
                    tracing::warn!(collector, why, kept = CAPACITY, "spans cannot be sent; jobs go on");
                }
                Some(after)
            }
        }
    }
}
