//! The page: what was counted, and the figures of the moment.

use std::time::{SystemTime, UNIX_EPOCH};

use super::page::{Kind, Page};
use super::{CAUSES, Metrics, OUTCOMES, OfOperation, OfQueue, held, process};
use crate::engine::{Health, RedisHealth, Snapshot};
use crate::job::State;
use crate::store::Depths;

/// What others know at the moment of a scrape.
pub struct Figures {
    /// `None`: the engine does not answer.
    pub health: Option<Health>,
    /// `None` before the queues are worked.
    pub snapshot: Option<Snapshot>,
    /// None of them while Redis is away.
    pub depths: Vec<Depths>,
    /// Who watches status messages.
    pub viewers: usize,
    /// Requests that were refused for want of a token.
    pub unauthorized: u64,
    /// Log lines that could not be written.
    pub dropped_lines: u64,
    pub reloaded: Reloaded,
}

/// How the last reload of the configuration went; the start is the first.
#[derive(Debug, Clone, Copy)]
pub struct Reloaded {
    pub taken_over: bool,
    /// When one was taken over last.
    pub at: SystemTime,
}

const STATES: [State; 7] = [
    State::Waiting,
    State::Active,
    State::Delayed,
    State::Prioritized,
    State::WaitingChildren,
    State::Completed,
    State::Failed,
];

impl Metrics {
    /// Everything as Prometheus reads it.
    #[must_use]
    pub fn page(&self, figures: &Figures) -> String {
        let nothing = Snapshot::default();
        let snapshot = figures.snapshot.as_ref().unwrap_or(&nothing);
        for queue in &snapshot.queues {
            // what has not happened yet is 0: only then can it be seen to happen
            self.of(&queue.name, |_| {});
        }
        let mut page = Page::default();
        health(&mut page, figures);
        slots(&mut page, snapshot);
        depths(&mut page, &figures.depths);
        self.jobs(&mut page);
        self.handlers(&mut page, snapshot);
        schedules(&mut page, snapshot);
        self.redis(&mut page, figures);
        app(&mut page, snapshot);
        beside(&mut page, figures);
        process::write(&mut page, self.started);
        page.into_text()
    }

    /// What was counted of jobs.
    fn jobs(&self, page: &mut Page) {
        let queues = self.queues.load();
        let mut queues: Vec<_> = queues.iter().map(|(name, of)| (name.as_str(), &**of)).collect();
        queues.sort_by_key(|(name, _)| *name);
        let mut count = |name, help, read: fn(&OfQueue) -> u64| {
            let mut family = page.family(name, Kind::Counter, help);
            for (queue, of) in &queues {
                family.put(&[("queue", queue)], read(of));
            }
        };
        count("oxherd_jobs_started_total", "Attempts begun by this process.", |of| of.started.read());
        count("oxherd_jobs_stalled_total", "Jobs this process put back because their worker had gone.", |of| {
            of.stalled.read()
        });
        count("oxherd_jobs_lost_total", "Attempts whose lock was lost: another worker may have run them.", |of| {
            of.lost.read()
        });
        count("oxherd_jobs_ghost_total", "Ids taken out of a queue that had no readable job behind them.", |of| {
            of.ghosts.read()
        });
        count("oxherd_jobs_stuck_total", "Attempts whose handler did not return when it was told to.", |of| {
            of.stuck.read()
        });
        count("oxherd_jobs_out_of_memory_total", "Attempts whose program was killed for memory.", |of| {
            of.out_of_memory.read()
        });
        let mut family = page.family("oxherd_job_outcomes_total", Kind::Counter, "What became of attempts.");
        for (queue, of) in &queues {
            for (outcome, count) in OUTCOMES.iter().zip(&of.outcomes) {
                family.put(&[("queue", queue), ("outcome", outcome)], count.read());
            }
        }
        let help = "From when a job could have been taken to the start of its first attempt.";
        let mut family = page.family("oxherd_job_wait_seconds", Kind::Histogram, help);
        for (queue, of) in &queues {
            family.histogram(&[("queue", queue)], &of.wait);
        }
        let help = "How long attempts took that completed or failed, until that was recorded.";
        let mut family = page.family("oxherd_job_run_seconds", Kind::Histogram, help);
        for (queue, of) in &queues {
            family.histogram(&[("queue", queue)], &of.run);
        }
    }

    fn handlers(&self, page: &mut Page, snapshot: &Snapshot) {
        let help = "How a handler's gate stands: 1 for the state it is in. No jobs are taken for one that is shut.";
        let mut family = page.family("oxherd_handler_gate", Kind::Gauge, help);
        for gate in &snapshot.gates {
            for state in ["open", "half-open", "shut"] {
                family.put(&[("handler", &gate.handler), ("state", state)], gate.state == state);
            }
        }
        let help = "How often a handler's gate was shut, or shut again after a trial.";
        let mut family = page.family("oxherd_handler_gate_shut_total", Kind::Counter, help);
        let shut = held(&self.shut);
        for gate in &snapshot.gates {
            let count = shut.get(&gate.handler).copied().unwrap_or_default();
            family.put(&[("handler", &gate.handler)], count);
        }
        drop(shut);
        let help = "Processes a handler keeps between jobs.";
        let mut family = page.family("oxherd_handler_processes", Kind::Gauge, help);
        for of in &snapshot.processes {
            let p = &of.processes;
            let states = [
                ("idle", p.ready - p.busy.min(p.ready)),
                ("busy", p.busy),
                ("starting", p.starting),
                ("leaving", p.leaving),
            ];
            for (state, count) in states {
                family.put(&[("handler", &of.handler), ("state", state)], count);
            }
        }
        let help = "Jobs in the processes of a handler, and jobs that wait for one.";
        let mut family = page.family("oxherd_handler_process_jobs", Kind::Gauge, help);
        for of in &snapshot.processes {
            for (state, count) in [("running", of.processes.jobs), ("waiting", of.processes.waiting)] {
                family.put(&[("handler", &of.handler), ("state", state)], count);
            }
        }
        let help = "1 while a handler's processes cannot be started.";
        let mut family = page.family("oxherd_handler_processes_broken", Kind::Gauge, help);
        for of in &snapshot.processes {
            family.put(&[("handler", &of.handler)], of.processes.is_broken);
        }
        let help = "Processes that ended otherwise than they were asked to; those killed for memory apart.";
        let mut family = page.family("oxherd_handler_processes_lost_total", Kind::Counter, help);
        let lost = held(&self.lost);
        for of in &snapshot.processes {
            for cause in CAUSES {
                let count = lost.get(&(of.handler.clone(), cause)).copied().unwrap_or_default();
                family.put(&[("handler", &of.handler), ("cause", cause)], count);
            }
        }
    }

    fn redis(&self, page: &mut Page, figures: &Figures) {
        let is_up = figures.health.as_ref().is_some_and(|health| health.redis == RedisHealth::Connected);
        page.one("oxherd_redis_up", Kind::Gauge, "1 while Redis is there.", is_up);
        let calls = held(&self.calls).clone();
        let mut family = page.family(
            "oxherd_redis_call_duration_seconds",
            Kind::Histogram,
            "Round trips to Redis by script or command, calls that wait in the server left out.",
        );
        for (operation, of) in &calls {
            if of.took.read().2 > 0 {
                family.histogram(&[("operation", operation)], &of.took);
            }
        }
        let mut count = |name, help, read: fn(&OfOperation) -> Option<u64>| {
            let mut family = page.family(name, Kind::Counter, help);
            for (operation, of) in &calls {
                if let Some(count) = read(of) {
                    family.put(&[("operation", operation)], count);
                }
            }
        };
        count("oxherd_redis_waits_total", "Calls that waited in the server for work.", |of| {
            Some(of.waits.read()).filter(|waits| *waits > 0)
        });
        count("oxherd_redis_call_errors_total", "Calls to Redis that failed.", |of| Some(of.failed.read()));
        let help = "Connections to Redis that were lost and are there again.";
        let mut family = page.family("oxherd_redis_reconnects_total", Kind::Counter, help);
        for (link, count) in &*held(&self.reconnects) {
            family.put(&[("link", link)], *count);
        }
    }
}

fn health(page: &mut Page, figures: &Figures) {
    let health = figures.health.as_ref();
    let help = "Always 1; says what runs.";
    page.family("oxherd_build_info", Kind::Gauge, help).put(&[("version", env!("CARGO_PKG_VERSION"))], true);
    let help = "1 while jobs are taken or none is there to be taken: what /live answers.";
    page.one("oxherd_live", Kind::Gauge, help, health.is_some_and(Health::is_live));
    let help = "1 while the jobs of every queue are taken: what /ready answers.";
    page.one("oxherd_ready", Kind::Gauge, help, health.is_some_and(Health::is_ready));
    let help = "What is amiss: 1 for each finding of /ready, by its code.";
    let mut family = page.family("oxherd_health_finding", Kind::Gauge, help);
    let mut codes: Vec<&str> = health.into_iter().flat_map(|health| health.findings.iter().map(|it| it.code)).collect();
    codes.sort_unstable();
    codes.dedup();
    for code in codes {
        family.put(&[("code", code)], true);
    }
    let help = "1 when the last reload of the configuration was taken over.";
    page.one("oxherd_config_last_reload_successful", Kind::Gauge, help, figures.reloaded.taken_over);
    let help = "When a configuration was taken over last, in seconds since 1970.";
    let at = figures.reloaded.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    page.one("oxherd_config_last_reload_success_timestamp_seconds", Kind::Gauge, help, at);
}

fn slots(page: &mut Page, snapshot: &Snapshot) {
    let mut count = |name, help, read: &dyn Fn(&crate::engine::QueueSnapshot) -> usize| {
        let mut family = page.family(name, Kind::Gauge, help);
        for queue in &snapshot.queues {
            family.put(&[("queue", queue.name.as_str())], read(queue));
        }
    };
    count("oxherd_slots", "Jobs of the queue this process may run at once.", &|queue| queue.slots as usize);
    count("oxherd_slots_busy", "Jobs of the queue this process has in hand.", &|queue| queue.running.len());
    count("oxherd_slots_stuck", "Slots lost to handlers that do not return although their time is up.", &|queue| {
        queue.running.iter().filter(|job| job.stuck).count()
    });
}

fn depths(page: &mut Page, depths: &[Depths]) {
    let help = "Jobs in Redis by state, over all workers; only while Redis answers.";
    let mut family = page.family("oxherd_queue_jobs", Kind::Gauge, help);
    for queue in depths {
        for state in STATES {
            let labels = [("queue", queue.queue.as_str()), ("state", state.as_str())];
            family.put(&labels, queue.counts.of(state));
        }
    }
    let help = "Age of the job that is served next, since it could have been taken; 0 when none waits.";
    let mut family = page.family("oxherd_queue_oldest_waiting_seconds", Kind::Gauge, help);
    for queue in depths {
        family.put(&[("queue", queue.queue.as_str())], queue.oldest_waiting.unwrap_or_default());
    }
    let mut family = page.family("oxherd_queue_paused", Kind::Gauge, "1 while the queue is paused.");
    for queue in depths {
        family.put(&[("queue", queue.queue.as_str())], queue.paused);
    }
}

fn schedules(page: &mut Page, snapshot: &Snapshot) {
    let mut count = |name, kind, help, read: &dyn Fn(&crate::engine::ScheduleSnapshot) -> f64| {
        let mut family = page.family(name, kind, help);
        for schedule in &snapshot.schedules {
            family.put(&[("schedule", &schedule.name), ("queue", schedule.queue.as_str())], read(schedule));
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
    let number = |count: u64| count as f64;
    let help = "Times of a schedule this process claimed that brought jobs.";
    count("oxherd_schedule_fired_total", Kind::Counter, help, &|schedule| number(schedule.fired));
    let help =
        "Times of a schedule this process claimed without a job: the one before had not ended, or it was paused.";
    count("oxherd_schedule_skipped_total", Kind::Counter, help, &|schedule| number(schedule.skipped));
    let help = "How long ago a time of the schedule came that nobody has claimed yet.";
    count("oxherd_schedule_overdue_seconds", Kind::Gauge, help, &|schedule| schedule.overdue.as_secs_f64());
    let help = "How late the last time was claimed that this process claimed.";
    count("oxherd_schedule_last_late_seconds", Kind::Gauge, help, &|schedule| schedule.late.as_secs_f64());
}

fn app(page: &mut Page, snapshot: &Snapshot) {
    let figures = &snapshot.app;
    let mut count = |name, help, label: &str, values: &[(&str, u64)]| {
        let mut family = page.family(name, Kind::Counter, help);
        for (word, value) in values {
            family.put(&[(label, word)], *value);
        }
    };
    let cache = &figures.cache;
    let help = "Values asked of the cache, and what came of it.";
    count(
        "oxherd_cache_requests_total",
        help,
        "result",
        &[("hit", cache.hits), ("miss", cache.misses), ("shared", cache.shared), ("alone", cache.alone)],
    );
    let help = "Values the cache was given, refused and told to forget.";
    count(
        "oxherd_cache_changes_total",
        help,
        "change",
        &[("filled", cache.filled), ("stored", cache.stored), ("refused", cache.refused), ("deleted", cache.deleted)],
    );
    let sessions = &figures.sessions;
    let help = "Log-in sessions begun, refused and ended.";
    count(
        "oxherd_sessions_total",
        help,
        "event",
        &[
            ("created", sessions.created),
            ("refused", sessions.refused),
            ("revoked", sessions.revoked),
            ("expired", sessions.expired),
            ("unknown", sessions.unknown),
        ],
    );
    let limiter = &figures.limiter;
    let values = [("allowed", limiter.allowed), ("refused", limiter.refused)];
    count("oxherd_rate_limit_checks_total", "Checks of rate limits, and what came of them.", "result", &values);
}

fn beside(page: &mut Page, figures: &Figures) {
    page.one("oxherd_viewers", Kind::Gauge, "Who watches /v1/events.", figures.viewers);
    let help = "Requests to this server that were answered 401.";
    page.one("oxherd_admin_unauthorized_total", Kind::Counter, help, figures.unauthorized);
    page.one(
        "oxherd_log_lines_dropped_total",
        Kind::Counter,
        "Log lines that could not be written.",
        figures.dropped_lines,
    );
}
