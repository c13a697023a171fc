//! Which traces are kept, how they go on, and what a span says.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span as Sent;

use super::*;
use crate::handler::testing::job;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

fn tracing(sample: f64, parent_based: bool) -> Tracing {
    let random = Mutex::new(fastrand::Rng::with_seed(7));
    Tracing { outlet: Arc::default(), sample: share_of_ids(sample), parent_based, random }
}

fn carried(flags: &str) -> Arc<Job> {
    let mut job = job(r#"{"secret":"data"}"#);
    let carrier = format!(r#"{{"traceparent":"{PARENT}-{flags}","tracestate":"a=1"}}"#);
    job.opts.extra.insert("tm".into(), carrier.into());
    Arc::new(job)
}

/// The spans of what is in the outlet.
fn sent(tracing: &Tracing) -> Vec<Sent> {
    let config = config::Traces::default();
    let request =
        span::request(tracing.outlet.take(), &span::resource(&config, "me"), Some("worker"), &Masks::default());
    request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans).flat_map(|spans| spans.spans).collect()
}

fn attribute(span: &Sent, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[test]
fn a_stored_trace_goes_on_and_its_producer_decides_whether_it_is_kept() {
    for (flags, sample, parent_based, kept) in
        [("01", 0.0, true, true), ("00", 1.0, true, false), ("00", 1.0, false, true), ("01", 0.0, false, false)]
    {
        let tracing = tracing(sample, parent_based);
        let job = carried(flags);
        let span = tracing.begin(&job).unwrap();
        let context = span.context();
        assert_eq!(context.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_ne!(context.span_id, 0xb7ad_6b71_6920_3331);
        assert_eq!((context.is_sampled, context.state.as_deref()), (kept, Some("a=1")));
        span.end(&Event::Completed { job, took: Duration::ZERO });
        let spans = sent(&tracing);
        assert_eq!(spans.len(), usize::from(kept), "{flags} {sample} {parent_based}");
        for span in spans {
            assert_eq!(span.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
            assert_eq!((span.flags, span.trace_state.as_str()), (0x301, "a=1"));
        }
    }
}

#[test]
fn a_trace_that_begins_here_is_kept_by_its_id() {
    let tracing = tracing(0.25, true);
    let job = Arc::new(job("{}"));
    let kept = (0..4000).filter(|_| tracing.begin(&job).unwrap().context().is_sampled).count();
    assert!((850..1150).contains(&kept), "{kept} of 4000");
    assert!(super::Tracing { sample: share_of_ids(1.0), ..tracing }.is_kept(u128::MAX));
}

#[test]
fn a_span_says_what_has_come_of_the_attempt_and_nothing_of_the_data() {
    let tracing = tracing(1.0, true);
    let mut failing = job(r#"{"secret":"data"}"#);
    failing.attempts_made = 2;
    let job = Arc::new(failing);
    let span = tracing.begin(&job).unwrap();
    let wait = Duration::from_secs(5);
    let reason = "no paper".to_owned();
    span.end(&Event::Retrying { job: Arc::clone(&job), reason, wait, took: wait });
    let spans = sent(&tracing);
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((span.name.as_str(), span.kind, span.parent_span_id.len()), ("process email", 5, 0));
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "no paper"));
    for (name, value) in [
        ("messaging.system", "bullmq"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "email"),
        ("messaging.message.id", "1042"),
        ("bullmq.job.name", "welcome"),
        ("bullmq.job.attempts.made", "3"),
        ("bullmq.worker.name", "worker"),
        ("bullmq.job.failed.reason", "no paper"),
        ("error.type", "retrying"),
        ("oxherd.outcome", "retrying"),
        ("oxherd.waited_ms", "1880"),
        ("oxherd.again_after_ms", "5000"),
    ] {
        assert_eq!(attribute(span, name), value, "{name}");
    }
    assert!(!format!("{span:?}").contains("secret"));
}

#[test]
fn what_was_no_attempt_has_no_span() {
    let tracing = tracing(1.0, true);
    let job = Arc::new(job("{}"));
    let wait = Duration::ZERO;
    tracing.begin(&job).unwrap().end(&Event::PutOff { job: Arc::clone(&job), reason: String::new(), wait });
    assert_eq!(tracing.outlet.len(), 0);
}

#[test]
fn records_beyond_the_bound_are_counted() {
    let tracing = tracing(1.0, true);
    let job = Arc::new(job("{}"));
    for _ in 0..outlet::CAPACITY + 3 {
        tracing.begin(&job).unwrap().end(&Event::HandedBack { job: Arc::clone(&job) });
    }
    assert_eq!((tracing.outlet.len(), tracing.outlet.take_dropped()), (outlet::CAPACITY, 3));
    assert_eq!(tracing.outlet.take().len(), outlet::BATCH);
}
