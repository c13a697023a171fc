//! Several jobs in one call.

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::config::Batch;
use crate::job::QueueName;

fn batching(peer: &Peer, max: usize, wait: Duration) -> HttpHandler {
    let mut config = peer.config();
    config.batch = Some(Batch { max, wait, ..Batch::default() });
    config.breaker = None;
    config
}

/// Long enough that only a full batch leaves.
const LONG: Duration = Duration::from_secs(60);
const BLINK: Duration = Duration::from_millis(20);

fn numbered(id: &str) -> Job {
    let mut job = job(&format!(r#"{{"n":"{id}"}}"#));
    job.id = JobId::stored(id);
    job
}

/// Starts an attempt; what is said to it can be seen in the context.
fn start(handler: &Http, id: &str) -> (JoinHandle<Outcome>, JobContext) {
    let ctx = context_of(numbered(id));
    (tokio::spawn(handler.run(Arc::new(numbered(id)), ctx.clone())), ctx)
}

fn context_of(job: Job) -> JobContext {
    JobContext::detached(Arc::new(job), Duration::from_secs(60))
}

async fn outcomes(handler: &Http, ids: &[&str]) -> Vec<Outcome> {
    let running: Vec<_> = ids.iter().map(|id| start(handler, id).0).collect();
    let mut outcomes = Vec::new();
    for running in running {
        outcomes.push(running.await.unwrap());
    }
    outcomes
}

fn body(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

fn ids(request: &Request) -> Vec<String> {
    let body = body(request);
    let jobs = body["jobs"].as_array().unwrap().iter();
    jobs.map(|envelope| envelope["job"]["id"].as_str().unwrap().to_owned()).collect()
}

fn json_answer(body: &Value) -> String {
    answer("200 OK", "content-type: application/json\r\n", &body.to_string())
}

#[tokio::test]
async fn a_full_batch_is_one_call_with_a_result_for_each_job() {
    let results = json!({"results": [
        {"id": "e", "outcome": "defer", "message": "later", "after": "2h"},
        {"id": "b", "outcome": "retry", "message": "no paper", "stack": "at line 1", "after": "90s"},
        {"id": "a", "result": {"n": 1}},
        {"id": "c", "outcome": "fail"},
        {"id": "d", "outcome": "discard", "message": "unsubscribed"},
    ]});
    let mut peer = Peer::saying(&json_answer(&results)).await;
    let mut config = batching(&peer, 6, LONG);
    config.signing_secrets = vec![crate::config::Secret::new("twenty-four bytes or more".into())];
    let handler = Http::new(config).unwrap();
    let told = outcomes(&handler, &["a", "b", "c", "d", "e", "f"]).await;
    let shown: Vec<String> = told.iter().map(|outcome| format!("{outcome:?}")).collect();
    assert_eq!(
        shown,
        [
            r#"Complete(RawValue({"n":1}))"#,
            r#"Retry { failure: Failure { message: "no paper", stack: Some("at line 1") }, after: Some(90s) }"#,
            r#"Fail(Failure { message: "the endpoint gives up", stack: None })"#,
            r#"Discard { reason: "unsubscribed" }"#,
            r#"Defer { reason: "later", after: 3600s }"#,
            r#"Retry { failure: Failure { message: "the answer to the batch has no result for this job", stack: None }, after: None }"#,
        ]
    );
    let request = peer.requests.recv().await.unwrap();
    assert!(peer.requests.try_recv().is_err());
    assert_eq!(ids(&request), ["a", "b", "c", "d", "e", "f"]);
    let first = &body(&request)["jobs"][0];
    assert_eq!(first["data"], json!({"n": "a"}));
    assert_eq!(first["job"]["idempotencyKey"], wire::idempotency_key(&numbered("a"), &context()));
    assert_eq!((request.header("oxherd-batch"), request.header("oxherd-queue")), (Some("6"), Some("email")));
    assert_eq!((request.header("oxherd-job-id"), request.header("oxherd-attempt")), (None, None));
    assert!(request.header("oxherd-deadline").is_some());
    assert_eq!(request.header("webhook-id"), request.header("idempotency-key"));
    assert!(request.header("webhook-signature").unwrap().starts_with("v1,"));
    // the same jobs in another order are the same batch
    outcomes(&handler, &["f", "e", "d", "c", "b", "a"]).await;
    let again = peer.requests.recv().await.unwrap();
    assert_eq!(again.header("webhook-id"), request.header("webhook-id"));
    outcomes(&handler, &["f", "e", "d", "c", "b", "x"]).await;
    let other = peer.requests.recv().await.unwrap();
    assert_ne!(other.header("webhook-id"), request.header("webhook-id"));
}

#[tokio::test]
async fn a_batch_leaves_when_its_time_is_over() {
    let mut peer = Peer::saying(&json_answer(&json!({"results": [{"result": 1}, {"result": 2}]}))).await;
    let handler = Http::new(batching(&peer, 50, BLINK)).unwrap();
    let told = outcomes(&handler, &["a", "b"]).await;
    assert_eq!(told.into_iter().map(returned).collect::<Vec<_>>(), ["1", "2"], "by their place where no id is");
    assert_eq!(ids(&peer.requests.recv().await.unwrap()), ["a", "b"]);
    // without a time those go together that are ready
    let handler = Http::new(batching(&peer, 50, Duration::ZERO)).unwrap();
    outcomes(&handler, &["a", "b"]).await;
    assert_eq!(ids(&peer.requests.recv().await.unwrap()), ["a", "b"]);
    assert_eq!(returned(outcomes(&handler, &["c"]).await.remove(0)), "1");
    assert_eq!(ids(&peer.requests.recv().await.unwrap()), ["c"]);
    assert!(peer.requests.try_recv().is_err());
}

#[tokio::test]
async fn batches_are_of_one_queue_and_url_and_of_a_bounded_size() {
    let mut peer = Peer::saying(&answer("204 No Content", "", "")).await;
    let mut config = batching(&peer, 2, LONG);
    config.url = format!("http://{}/{{data.n}}", peer.address);
    let handler = Http::new(config.clone()).unwrap();
    let mut running: Vec<_> = ["a", "b", "a", "b"].map(|id| start(&handler, id).0).into();
    let mut elsewhere = numbered("a");
    elsewhere.queue = QueueName::new("other").unwrap();
    for _ in 0..2 {
        let ctx = context_of(elsewhere.clone());
        running.push(tokio::spawn(handler.run(Arc::new(elsewhere.clone()), ctx)));
    }
    for running in running {
        assert_eq!(returned(running.await.unwrap()), "null", "an answer without a word is for all");
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let request = peer.requests.recv().await.unwrap();
        let path = request.head.split(' ').nth(1).unwrap().to_owned();
        seen.push((path, ids(&request).len(), request.header("oxherd-queue").unwrap().to_owned()));
    }
    seen.sort();
    let of = |path: &str, queue: &str| (path.to_owned(), 2, queue.to_owned());
    assert_eq!(seen, [of("/a", "email"), of("/a", "other"), of("/b", "email")]);

    config.url = format!("http://{}/", peer.address);
    config.batch = Some(Batch { max: 50, wait: BLINK, max_body: 1200 });
    let handler = Http::new(config).unwrap();
    let big = |id: &str, bytes: usize| {
        let mut job = numbered(id);
        job.data = RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap();
        tokio::spawn(handler.run(Arc::new(job.clone()), context_of(job)))
    };
    for running in [big("a", 100), big("b", 5000), big("c", 100), big("d", 100), big("e", 500)] {
        running.await.unwrap();
    }
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.push(ids(&peer.requests.recv().await.unwrap()));
    }
    sent.sort();
    assert_eq!(sent, [vec!["a"], vec!["b"], vec!["c", "d"], vec!["e"]]);
    assert!(peer.requests.try_recv().is_err());
}

#[tokio::test]
async fn a_job_that_is_stopped_leaves_the_batch_and_the_others_do_not_notice() {
    let all = json!({"results": [{"id": "a", "result": 1}, {"id": "b", "result": 2}, {"id": "c", "result": 3}]});
    let whole = json_answer(&all);
    let parts = vec![whole[..20].to_owned(), whole[20..].to_owned()];
    let mut peer = Peer::start(move |_| Step::Parts(parts.clone(), Duration::from_millis(100))).await;
    let handler = Http::new(batching(&peer, 3, LONG)).unwrap();
    // before it leaves
    let (gone, ctx) = start(&handler, "gone");
    let (one, _) = start(&handler, "a");
    tokio::task::yield_now().await;
    ctx.cancel(CancelReason::LockLost);
    assert!(matches!(gone.await.unwrap(), Outcome::Interrupted));
    let (two, stopped) = start(&handler, "b");
    let (three, _) = start(&handler, "c");
    assert_eq!(ids(&peer.requests.recv().await.unwrap()), ["a", "b", "c"], "its place is taken");
    // under way
    stopped.cancel(CancelReason::Requested);
    assert!(matches!(two.await.unwrap(), Outcome::Cancelled { .. }));
    assert_eq!((returned(one.await.unwrap()), returned(three.await.unwrap())), ("1".into(), "3".into()));
}

#[tokio::test]
async fn f91_a_batch_nobody_waits_for_is_given_up_at_once() {
    let mut peer = Peer::start(|_| Step::Hang("HTTP/1.1 200 OK\r\n".into())).await;
    let handler = Http::new(batching(&peer, 2, LONG)).unwrap();
    let (one, first) = start(&handler, "a");
    let (two, second) = start(&handler, "b");
    peer.requests.recv().await.unwrap();
    first.cancel(CancelReason::Timeout);
    assert!(retry_reason(one.await.unwrap()).starts_with("timed out after"));
    assert!(peer.closed.try_recv().is_err(), "the other one waits");
    second.cancel(CancelReason::Shutdown);
    assert!(matches!(two.await.unwrap(), Outcome::Interrupted));
    peer.closed.recv().await.expect("the connection is closed");
    // and one that has not left does not leave
    let (three, third) = start(&handler, "c");
    tokio::task::yield_now().await;
    third.cancel(CancelReason::Timeout);
    three.await.unwrap();
    assert!(peer.requests.try_recv().is_err());
}

#[tokio::test]
async fn a_status_without_results_is_for_all() {
    let later = answer("503 Service Unavailable", "Retry-After: 7\r\n", "busy");
    let no = answer("400 Bad Request", "", "{\"error\":\"no\"}");
    for (text, want) in [
        (later.clone(), r#"Defer { reason: "HTTP 503 Service Unavailable: busy", after: 7s }"#),
        (no, r#"Fail(Failure { message: "HTTP 400 Bad Request: {\"error\":\"no\"}", stack: None })"#),
        (answer("200 OK", "Oxherd-Outcome: discard\r\n", "all"), r#"Discard { reason: "HTTP 200 OK: all" }"#),
        (answer("200 OK", "", " \n"), "Complete(RawValue(null))"),
    ] {
        let peer = Peer::saying(&text).await;
        let handler = Http::new(batching(&peer, 2, LONG)).unwrap();
        for outcome in outcomes(&handler, &["a", "b"]).await {
            assert_eq!(format!("{outcome:?}"), want);
        }
    }
    // with results they count, and the status for those without
    let some = json!({"results": [{"id": "a", "result": 1}]}).to_string();
    let peer = Peer::saying(&answer("500 Internal Server Error", "", &some)).await;
    let told = outcomes(&Http::new(batching(&peer, 2, LONG)).unwrap(), &["a", "b"]).await;
    assert_eq!(format!("{:?}", told[0]), "Complete(RawValue(1))");
    assert_eq!(retry_reason(told[1].clone()), "HTTP 500 Internal Server Error");
    let refused = Http::new({
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        HttpHandler { url: format!("http://{address}/"), ..batching(&peer, 2, LONG) }
    });
    for outcome in outcomes(&refused.unwrap(), &["a", "b"]).await {
        assert!(retry_reason(outcome).starts_with("could not connect to 127.0.0.1:"));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_list_of_results_is_tried_again() {
    let long = json!({"results": [{"id": "a", "result": "x".repeat(5000)}, {"id": "b", "result": 1}]});
    for (text, want) in [
        (answer("200 OK", "", "OK"), r#"the answer to the batch is no {"results":[…]}: OK"#),
        (json_answer(&json!({"result": 1})), r#"the answer to the batch is no {"results":[…]}: {"result":1}"#),
        (
            json_answer(&json!({"results": [{"id": "x"}, {"id": "y"}]})),
            "no result for this job, but 2 for jobs that are not",
        ),
        (
            json_answer(&json!({"results": [{"id": "a"}, {"id": "b"}]})),
            "the result of this job cannot be used: line not understood",
        ),
        (json_answer(&long), "answered more than 4096 bytes (max_response)"),
    ] {
        let peer = Peer::saying(&text).await;
        let mut config = batching(&peer, 2, LONG);
        config.max_response = 4096;
        for outcome in outcomes(&Http::new(config).unwrap(), &["a", "b"]).await {
            let reason = retry_reason(outcome);
            assert!(reason.contains(want), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_streamed_answer_ends_each_job_as_it_is_said() {
    let head = stream("", &[]);
    let line = |value: Value| {
        let text = value.to_string();
        format!("{:x}\r\n{text}\n\r\n", text.len() + 1)
    };
    let begin = [
        head.clone(),
        line(json!({"id": "a", "progress": 40})),
        line(json!({"id": "b", "log": "half way"})),
        line(json!({"log": "whose?"})),
        line(json!({"id": "x", "result": 1})),
        line(json!({"id": "b", "result": 2})),
        line(json!({"id": "b", "outcome": "fail"})),
    ];
    let parts = vec![begin.concat(), String::new(), format!("{}0\r\n\r\n", line(json!({"id": "a", "result": 1})))];
    let mut peer = Peer::start(move |_| Step::Parts(parts.clone(), Duration::from_millis(100))).await;
    let handler = Http::new(batching(&peer, 3, LONG)).unwrap();
    let ((one, first), (two, second), (three, _)) = (start(&handler, "a"), start(&handler, "b"), start(&handler, "c"));
    assert_eq!(returned(two.await.unwrap()), "2", "its first outcome");
    assert!(!one.is_finished(), "the answer goes on");
    assert_eq!(returned(one.await.unwrap()), "1");
    assert_eq!(retry_reason(three.await.unwrap()), "the answer to the batch has no result for this job");
    assert_eq!(first.close_report().progress.unwrap().get(), "40");
    let lines = second.close_report().lines;
    assert_eq!(lines[0], "half way");
    assert_eq!(lines[1], r#"answer: a line that names no job of the batch: {"log":"whose?"}"#);
    // the connection is kept, though nobody waited for the end
    let again = start(&handler, "a");
    let _others = (start(&handler, "b"), start(&handler, "c"));
    assert_eq!(returned(again.0.await.unwrap()), "1");
    let connections = (peer.requests.recv().await.unwrap().connection, peer.requests.recv().await.unwrap().connection);
    assert_eq!(connections, (0, 0));

    let broken = [head, line(json!({"id": "a", "result": 1}))].concat();
    let peer = Peer::start(move |_| Step::SayAndClose(broken.clone())).await;
    let mut told = outcomes(&Http::new(batching(&peer, 2, LONG)).unwrap(), &["a", "b"]).await;
    assert!(retry_reason(told.pop().unwrap()).contains("broke off its answer after"));
    assert_eq!(returned(told.pop().unwrap()), "1");
}
