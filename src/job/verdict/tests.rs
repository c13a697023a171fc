use super::*;
use crate::job::{JobId, JobOptions, QueueName};

fn job(opts: &str) -> Job {
    Job {
        id: JobId::stored("1"),
        queue: QueueName::new("q").unwrap(),
        name: "n".into(),
        data: RawValue::NULL.to_owned(),
        opts: JobOptions::parse(opts).unwrap().0,
        timestamp: UnixMillis(1000),
        processed_on: UnixMillis(2000),
        priority: 0,
        attempts_made: 0,
        attempts_started: 1,
        stalled: 0,
        deferred_failure: None,
        parent_key: None,
        scheduler: None,
        stacktrace: None,
        deferred_since: None,
        element: None,
    }
}

fn judge_now(job: &Job, outcome: Outcome) -> Verdict {
    judge(job, outcome, &Policy::default(), UnixMillis(3000), 0.0)
}

#[test]
fn the_jobs_own_options_win_and_the_file_fills_what_is_unset() {
    let own = job(r#"{"attempts":2,"backoff":{"type":"fixed","delay":50,"jitter":0}}"#);
    let Verdict::Retry { wait, .. } = judge_now(&own, Outcome::retry("x")) else { panic!() };
    assert_eq!(wait, Duration::from_millis(50));
    let unset = job(r#"{"attempts":0}"#);
    let Verdict::Retry { wait, .. } = judge_now(&unset, Outcome::retry("x")) else { panic!() };
    assert_eq!(wait, Duration::from_millis(800), "1 s less the file's jitter");
    let mut last = job(r#"{"attempts":2}"#);
    last.attempts_made = 1;
    assert!(matches!(judge_now(&last, Outcome::retry("x")), Verdict::Fail { .. }));
}

#[test]
fn defect_13_a_backoff_nobody_knows_waits_like_a_fixed_one() {
    for (backoff, wait) in [(r#"{"type":"mine","delay":70,"jitter":0}"#, 70), (r#"{"type":"mine"}"#, 0)] {
        let mut job = job(&format!(r#"{{"attempts":3,"backoff":{backoff}}}"#));
        job.attempts_made = 1;
        let Verdict::Retry { wait: waits, .. } = judge_now(&job, Outcome::retry("x")) else { panic!("{backoff}") };
        assert_eq!(waits, Duration::from_millis(wait), "{backoff}");
    }
}

#[test]
fn started_too_often_is_the_end() {
    let mut j = job(r#"{"attempts":9,"maxStartedAttempts":2}"#);
    assert!(matches!(judge_now(&j, Outcome::retry("x")), Verdict::Retry { .. }));
    j.attempts_started = 2;
    assert!(matches!(judge_now(&j, Outcome::retry("x")), Verdict::Fail { .. }));
}

#[test]
fn the_third_crash_within_72_hours_ends_the_job() {
    let mut j = job(r#"{"attempts":9}"#);
    j.stacktrace = Some(r#"["crashed at 2500: signal 11","other"]"#.into());
    let Verdict::Retry { failure, .. } = judge_now(&j, Outcome::Crashed(Failure::new("signal 11"))) else { panic!() };
    assert_eq!(failure.stack.as_deref(), Some("crashed at 3000: signal 11"));
    j.stacktrace = Some(r#"["crashed at 2500: signal 11","crashed at 2600: signal 11"]"#.into());
    assert!(matches!(judge_now(&j, Outcome::Crashed(Failure::new("signal 11"))), Verdict::Fail { .. }));
    let much_later = UnixMillis(2600 + 73 * 3_600_000);
    let verdict = judge(&j, Outcome::Crashed(Failure::new("x")), &Policy::default(), much_later, 0.0);
    assert!(matches!(verdict, Verdict::Retry { .. }));
}

#[test]
fn deferring_is_bounded_in_count_and_age() {
    let defer = || Outcome::Defer { reason: "busy".into(), after: Duration::from_secs(5) };
    let mut j = job("{}");
    assert!(matches!(judge_now(&j, defer()), Verdict::Delay { .. }));
    let late = UnixMillis(1000 + 25 * 3_600_000);
    assert!(
        matches!(judge(&j, defer(), &Policy::default(), late, 0.0), Verdict::Delay { .. }),
        "it is old, that is all"
    );
    j.deferred_since = Some(UnixMillis(1000));
    assert!(matches!(judge(&j, defer(), &Policy::default(), late, 0.0), Verdict::Fail { .. }));
    j.attempts_started = 1000;
    assert!(matches!(judge_now(&j, defer()), Verdict::Fail { .. }));
}

#[test]
fn an_interrupted_job_goes_back_but_not_for_ever() {
    let mut j = job("{}");
    assert!(matches!(judge_now(&j, Outcome::Interrupted), Verdict::HandBack));
    j.attempts_started = 1000;
    let Verdict::Fail { failure, .. } = judge_now(&j, Outcome::Interrupted) else { panic!() };
    assert_eq!(failure.message, "interrupted too often (1000 times)");
}

#[test]
fn waiting_for_children_is_bounded_in_count_alone() {
    let mut j = job("{}");
    assert!(matches!(judge_now(&j, Outcome::WaitForChildren), Verdict::WaitForChildren));
    let late = UnixMillis(1000 + 25 * 3_600_000);
    assert!(matches!(judge(&j, Outcome::WaitForChildren, &Policy::default(), late, 0.0), Verdict::WaitForChildren));
    j.attempts_started = 1000;
    assert!(matches!(judge_now(&j, Outcome::WaitForChildren), Verdict::Fail { .. }));
}

#[test]
fn what_was_put_off_is_bounded_by_nothing_but_a_shortest_wait() {
    let mut old = job("{}");
    (old.attempts_started, old.timestamp) = (u32::MAX, UnixMillis(i64::MIN));
    for (after, waits) in [(Duration::ZERO, 1), (Duration::from_secs(7), 7)] {
        let outcome = Outcome::PutOff { reason: "x".into(), after };
        let Verdict::PutOff { wait, .. } = judge_now(&old, outcome) else { panic!() };
        assert_eq!(wait, Duration::from_secs(waits));
    }
}

#[test]
fn a_retry_that_must_not_come_soon_keeps_to_the_backoff_where_that_is_later() {
    let later = |secs| Outcome::RetryLater { failure: Failure::new("x"), least: Duration::from_secs(secs) };
    let own = job(r#"{"attempts":2,"backoff":{"type":"fixed","delay":60000,"jitter":0}}"#);
    for (least, want) in [(1, 60), (300, 300)] {
        let Verdict::Retry { wait, .. } = judge_now(&own, later(least)) else { panic!() };
        assert_eq!(wait.as_secs(), want);
    }
    let last = job(r#"{"attempts":1}"#);
    assert!(matches!(judge_now(&last, later(300)), Verdict::Fail { .. }));
}
