//! What a page says after things have happened.

use serde_json::value::RawValue;

use super::*;
use crate::engine::{GateOf, Health, ProcessesOf, Snapshot};
use crate::handler::Processes;
use crate::job::{JobId, JobOptions, UnixMillis};

fn job(queue: &str, timestamp: i64, delay: u64, processed_on: i64, attempts_started: u32) -> Arc<Job> {
    Arc::new(Job {
        id: JobId::stored("7"),
        queue: QueueName::new(queue).unwrap(),
        name: "send".into(),
        data: RawValue::from_string("{}".into()).unwrap(),
        opts: JobOptions { delay: Some(Duration::from_millis(delay)), ..JobOptions::default() },
        timestamp: UnixMillis(timestamp),
        processed_on: UnixMillis(processed_on),
        priority: 0,
        attempts_made: 0,
        attempts_started,
        stalled: 0,
        deferred_failure: None,
        parent_key: None,
        scheduler: None,
        stacktrace: None,
        deferred_since: None,
        element: None,
    })
}

fn page(metrics: &Metrics) -> String {
    let snapshot = Snapshot {
        gates: vec![GateOf { handler: "app".into(), state: "shut" }],
        processes: vec![ProcessesOf { handler: "php".into(), processes: Processes::default() }],
        ..Snapshot::default()
    };
    metrics.page(&Figures {
        health: Some(Health::stopped()),
        snapshot: Some(snapshot),
        depths: Vec::new(),
        viewers: 2,
        unauthorized: 3,
        dropped_lines: 4,
        reloaded: Reloaded { taken_over: false, at: SystemTime::UNIX_EPOCH },
    })
}

#[track_caller]
fn says(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|known| known == *line), "{line} in\n{text}");
    }
}

#[test]
fn what_happens_to_jobs_is_counted() {
    let metrics = Metrics::default();
    let (first, again) = (job("mail", 1000, 500, 1700, 1), job("mail", 1000, 0, 90_000, 2));
    let took = Duration::from_millis(40);
    for event in [
        Event::Started { job: Arc::clone(&first) },
        Event::Retrying {
            job: Arc::clone(&first),
            reason: "out of memory: killed by SIGKILL".into(),
            wait: took,
            took,
        },
        Event::Started { job: Arc::clone(&again) },
        Event::Completed { job: Arc::clone(&again), took },
        Event::Lost { job: first, why: "gone".into() },
        Event::Stalled { queue: again.queue.clone(), id: again.id.clone() },
        Event::GateShut { handler: "app".into(), why: "no".into(), lasts: None, again: false },
        Event::Notice(Notice::ProcessLost { handler: "php".into(), pid: 1, why: "killed by SIGSEGV".into() }),
    ] {
        metrics.observe(&event);
    }
    says(
        &page(&metrics),
        &[
            "oxherd_jobs_started_total{queue=\"mail\"} 2",
            "oxherd_job_outcomes_total{queue=\"mail\",outcome=\"completed\"} 1",
            "oxherd_job_outcomes_total{queue=\"mail\",outcome=\"retrying\"} 1",
            "oxherd_job_outcomes_total{queue=\"mail\",outcome=\"failed\"} 0",
            "oxherd_jobs_out_of_memory_total{queue=\"mail\"} 1",
            "oxherd_jobs_lost_total{queue=\"mail\"} 1",
            "oxherd_jobs_stalled_total{queue=\"mail\"} 1",
            // the first attempt has waited 200 ms, the second is no wait for a worker
            "oxherd_job_wait_seconds_bucket{queue=\"mail\",le=\"0.1\"} 0",
            "oxherd_job_wait_seconds_bucket{queue=\"mail\",le=\"0.25\"} 1",
            "oxherd_job_wait_seconds_count{queue=\"mail\"} 1",
            "oxherd_job_run_seconds_count{queue=\"mail\"} 2",
            "oxherd_job_run_seconds_sum{queue=\"mail\"} 0.08",
            "oxherd_handler_gate_shut_total{handler=\"app\"} 1",
            "oxherd_handler_processes_lost_total{handler=\"php\",cause=\"other\"} 1",
            "oxherd_handler_processes_lost_total{handler=\"php\",cause=\"memory\"} 0",
            "oxherd_handler_gate{handler=\"app\",state=\"shut\"} 1",
            "oxherd_live 1",
            "oxherd_ready 0",
            "oxherd_health_finding{code=\"stopped\"} 1",
            "oxherd_viewers 2",
            "oxherd_admin_unauthorized_total 3",
            "oxherd_log_lines_dropped_total 4",
            "oxherd_config_last_reload_successful 0",
        ],
    );
}

#[test]
fn calls_are_counted_by_what_they_do() {
    let metrics = Metrics::default();
    metrics.called("finish_jobs", Some(Duration::from_micros(300)), false);
    metrics.called("finish_jobs", Some(Duration::from_micros(300)), true);
    metrics.called("BZPOPMIN", None, false);
    metrics.called("PING", None, true);
    metrics.reconnected("command");
    let text = page(&metrics);
    says(
        &text,
        &[
            "oxherd_redis_call_duration_seconds_bucket{operation=\"finish_jobs\",le=\"0.0005\"} 2",
            "oxherd_redis_call_errors_total{operation=\"finish_jobs\"} 1",
            "oxherd_redis_waits_total{operation=\"BZPOPMIN\"} 1",
            "oxherd_redis_call_errors_total{operation=\"PING\"} 1",
            "oxherd_redis_reconnects_total{link=\"command\"} 1",
            "oxherd_redis_up 1",
        ],
    );
    assert!(!text.contains("_bucket{operation=\"BZPOPMIN\""), "{text}");
}

#[test]
fn f143_ids_and_names_of_jobs_are_no_labels_and_queues_are_bounded() {
    let metrics = Metrics::default();
    for n in 0..2 * MOST {
        metrics.observe(&Event::Started { job: job(&format!("q{n}"), 0, 0, 0, 1) });
    }
    let text = page(&metrics);
    assert_eq!(text.lines().filter(|line| line.starts_with("oxherd_jobs_started_total{")).count(), MOST);
    assert!(!text.contains("\"7\"") && !text.contains("send"));
}
