//! Traces that go through oxherd: begun by BullMQ's own telemetry add-on, continued by the handler.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use super::support::collector::{Collector, attribute, hex};
use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::program::node;
use super::support::receiver::Receiver;
use super::support::redis::Redis;

fn tracing_to(collector: &Collector) -> String {
    format!(
        "[traces]\nendpoint = \"http://{}\"\nservice = \"mail-worker\"\nheaders = {{ Authorization = \"Bearer let-me-in\" }}\n\
         attributes = {{ \"deployment.environment.name\" = \"test\" }}\n",
        collector.address
    )
}

#[test]
fn a_trace_goes_from_its_producer_through_the_worker_to_the_endpoint() {
    let redis = Redis::start();
    let collector = Collector::start();
    let endpoint = Receiver::start(|envelope| {
        let fails = envelope["job"]["name"] == "failing" && envelope["job"]["attempt"] == 1;
        if fails { (500, json!({"error": "no paper"}).to_string()) } else { (200, "null".into()) }
    });
    let toml = format!(
        "{}[queues.email]\nhandler = \"app\"\nbackoff = {{ delay = \"0s\" }}\n[handlers.app.http]\nurl = \"{}\"\n",
        tracing_to(&collector),
        endpoint.url
    );
    let mut daemon = Daemon::start(&redis, &toml);
    let mut producer = node("traced.mjs", 6, &redis, &["--queue", "email"]);
    producer.wait_for("it is done", |line| line["done"] == true);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let added = producer.said.iter().filter(|line| line["job"].is_string());
    let jobs: BTreeMap<String, String> = added.map(|line| (text(&line["job"]), text(&line["id"]))).collect();
    let made: Vec<&Value> = producer.said.iter().filter(|line| line["span"].is_string()).collect();
    eventually("all jobs are done", || redis.number(&["ZCARD", "bull:email:completed"]) == 3);
    let spans = collector.collected(4);
    assert_eq!(spans.len(), 4, "one for each attempt: {spans:#?}");
    assert_eq!(daemon.stop(), Some(0));

    let told = |id: &str, attempt: u64| -> Value {
        let all = endpoint.requests();
        let of = |envelope: &&Value| envelope["job"]["id"] == id && envelope["job"]["attempt"] == attempt;
        all.iter().find(of).expect("the endpoint was told of it")["job"]["traceparent"].clone()
    };
    let producer_of = |name: &str| {
        let span = made.iter().find(|span| span["span"] == format!("add email.{name}")).expect("its producer made one");
        (text(&span["trace"]), text(&span["id"]))
    };
    for span in &spans {
        let of = |name: &str| attribute(&span.attributes, name);
        let (name, id) = (of("bullmq.job.name"), of("messaging.message.id"));
        assert_eq!(jobs.get(&name), Some(&id));
        assert_eq!((span.name.as_str(), of("messaging.destination.name").as_str()), ("process email", "email"));
        let (trace, own) = (hex(&span.trace_id), hex(&span.span_id));
        if name == "alone" {
            assert!(span.parent_span_id.is_empty() && made.iter().all(|span| span["trace"] != trace), "{span:?}");
        } else {
            assert_eq!((trace.clone(), hex(&span.parent_span_id)), producer_of(&name), "{name}");
        }
        let attempt = of("bullmq.job.attempts.made").parse().unwrap();
        assert_eq!(told(&id, attempt), format!("00-{trace}-{own}-01"), "{name}");
        let outcome = if name == "failing" && attempt == 1 { "retrying" } else { "completed" };
        assert_eq!(of("oxherd.outcome"), outcome, "{name}");
        let status = span.status.as_ref().map_or(0, |status| status.code);
        assert_eq!(status, if outcome == "retrying" { 2 } else { 0 });
    }
    assert_eq!(collector.resource("service.name"), "mail-worker");
    assert_eq!(collector.resource("deployment.environment.name"), "test");
    let head = collector.head().to_lowercase();
    assert!(head.starts_with("post /v1/traces ") && head.contains("authorization: bearer let-me-in"), "{head}");
    assert!(!daemon.log().contains("let-me-in"));
}

#[test]
fn what_a_job_adds_goes_on_in_its_trace_and_a_program_is_told_of_it() {
    let redis = Redis::start();
    let collector = Collector::start();
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("tree.sh");
    let script = r#"
        read -r envelope
        echo "told $TRACEPARENT" >&2
        case $envelope in
            *processed*) ;;
            *) echo '{"children":[{"name":"leaf","queueName":"leaves"}]}' >&3; echo '{"outcome":"waiting-children"}' >&3 ;;
        esac
    "#;
    std::fs::write(&program, script).unwrap();
    let toml = format!(
        "{}[queues.trees]\nhandler = \"tree\"\n[queues.leaves]\nhandler = \"leaf\"\n[handlers.leaf.log]\n\
         [handlers.tree.command]\nargv = [\"sh\", \"{}\"]\n",
        tracing_to(&collector),
        program.display()
    );
    let _daemon = Daemon::start(&redis, &toml);
    oxherd(&redis, &["job", "add", "trees", "tree", "{}"]);
    let spans = collector.collected(3);
    let with = |outcome: &str, queue: &str| {
        let fits = |span: &&Span| {
            attribute(&span.attributes, "oxherd.outcome") == outcome && span.name == format!("process {queue}")
        };
        spans.iter().find(fits).expect("there is a span of it")
    };
    let (tree, leaf) = (with("waiting-children", "trees"), with("completed", "leaves"));
    assert_eq!((&leaf.trace_id, &leaf.parent_span_id), (&tree.trace_id, &tree.span_id));
    let said = redis.call(&["LRANGE", "bull:trees:1:logs", "0", "-1"]);
    let context = format!("told 00-{}-{}-01", hex(&tree.trace_id), hex(&tree.span_id));
    assert!(said.contains(&context), "{said} is not {context}");
}
