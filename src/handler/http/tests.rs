//! The handler against scripted peers on real sockets.

mod batch;
mod hosts;
mod http2;
mod peer;
mod slow;
mod socket;
mod table;
mod tls;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::handler::CancelReason;
use crate::handler::testing::{context, context_of, job};
use crate::job::JobId;
use peer::{Peer, Request, Step, answer};

async fn run(handler: &Http) -> Outcome {
    handler.run(Arc::new(job(r#"{"to":"a@example.org"}"#)), context()).await
}

fn retry_reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Retry { failure, .. } => failure.message,
        other => panic!("expected retry, got {other:?}"),
    }
}

fn fail_reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Fail(failure) => failure.message,
        other => panic!("expected fail, got {other:?}"),
    }
}

fn returned(outcome: Outcome) -> String {
    match outcome {
        Outcome::Complete(value) => value.get().to_owned(),
        other => panic!("expected complete, got {other:?}"),
    }
}

#[tokio::test]
async fn the_request_is_as_documented() {
    let mut peer = Peer::saying(&answer("200 OK", "", "{\"sent\": 1.10}")).await;
    let mut config = peer.config();
    config.url = format!("http://user:secret@{}/jobs/{{queue}}/{{name}}?to={{data.to}}", peer.address);
    config.headers.insert("X-Own".into(), "yes".into());
    let mut job = job(r#"{"to": "a@example.org"}"#);
    job.name = "größe 50%".into();
    job.opts.extra.insert(
        "tm".into(),
        r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=1"}"#.into(),
    );
    let outcome = Http::new(config).unwrap().run(Arc::new(job.clone()), context_of(job)).await;
    assert_eq!(returned(outcome), "{\"sent\": 1.10}");

    let request = peer.requests.recv().await.unwrap();
    assert!(
        request.head.starts_with("POST /jobs/email/gr%C3%B6%C3%9Fe%2050%25?to=a%40example.org HTTP/1.1\r\n"),
        "{}",
        request.head
    );
    for (name, want) in [
        ("content-type", "application/json"),
        ("oxherd-queue", "email"),
        ("oxherd-job-id", "1042"),
        ("oxherd-job-name", "gr%C3%B6%C3%9Fe%2050%25"),
        ("oxherd-attempt", "1"),
        ("oxherd-deadline", "1788253260000"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=1"),
        ("authorization", "Basic dXNlcjpzZWNyZXQ="),
        ("x-own", "yes"),
    ] {
        assert_eq!(request.header(name), Some(want), "{}", request.head);
    }
    assert_eq!(request.header("webhook-id"), request.header("idempotency-key"));
    assert!(request.header("webhook-id").unwrap().starts_with("msg_"));
    assert!(request.header("webhook-timestamp").unwrap().parse::<u64>().unwrap() > 1_600_000_000);
    assert!(request.body.ends_with(r#""data":{"to": "a@example.org"}}"#), "{}", request.body);
}

#[tokio::test]
async fn bodies_become_return_values() {
    for (text, want) in [
        (answer("200 OK", "", "[1, 2]"), "[1, 2]"),
        (answer("200 OK", "", "done ü\n"), "\"done ü\\n\""),
        (answer("201 Created", "", ""), "null"),
        ("HTTP/1.1 204 No Content\r\n\r\n".into(), "null"),
        ("HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n".into(), "null"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n".into(),
            "{\"a\":1}",
        ),
        (format!("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n{}", answer("200 OK", "", "7")), "7"),
    ] {
        let peer = Peer::saying(&text).await;
        assert_eq!(returned(run(&peer.handler()).await), want, "{text}");
    }
}

#[tokio::test]
async fn f102_statuses_over_the_wire() {
    let peer = Peer::saying(&answer("422 Unprocessable Entity", "", "no such\r\naddress")).await;
    assert_eq!(fail_reason(run(&peer.handler()).await), "HTTP 422 Unprocessable Entity: no such  address");
    let peer = Peer::saying(&answer("500 Internal Server Error", "", "")).await;
    assert_eq!(retry_reason(run(&peer.handler()).await), "HTTP 500 Internal Server Error");
    let peer = Peer::saying(&answer("200 OK", "Oxherd-Outcome: discard\r\n", "unsubscribed")).await;
    let outcome = run(&peer.handler()).await;
    assert!(matches!(&outcome, Outcome::Discard { reason } if reason == "HTTP 200 OK: unsubscribed"), "{outcome:?}");
    let mut config = peer.config();
    config.status = BTreeMap::from([(200, Answer::Fail)]);
    assert!(matches!(run(&Http::new(config).unwrap()).await, Outcome::Discard { .. }), "the header beats the file");
}

#[tokio::test]
async fn f98_a_busy_endpoint_defers() {
    let peer = Peer::saying(&answer("429 Too Many Requests", "Retry-After: 17\r\n", "slow down")).await;
    let outcome = run(&peer.handler()).await;
    let Outcome::Defer { reason, after } = outcome else { panic!("{outcome:?}") };
    assert_eq!((reason.as_str(), after.as_secs()), ("HTTP 429 Too Many Requests: slow down", 17));
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    let peer = Peer::saying(&answer("503 Service Unavailable", &format!("Retry-After: {date}\r\n"), "")).await;
    let outcome = run(&peer.handler()).await;
    assert!(matches!(outcome, Outcome::Defer { after, .. } if (90..=100).contains(&after.as_secs())), "{outcome:?}");
    let peer =
        Peer::saying(&answer("503 Service Unavailable", "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n", "")).await;
    assert_eq!(retry_reason(run(&peer.handler()).await), "HTTP 503 Service Unavailable");
}

#[tokio::test]
async fn f96_redirects_are_not_followed() {
    let mut target = Peer::saying(&answer("200 OK", "", "")).await;
    let elsewhere = format!("http://{}/?token=secret", target.address);
    let page = format!("<a href=\"{elsewhere}\">moved</a>");
    for (status, location) in [
        ("301 Moved Permanently", elsewhere.as_str()),
        ("302 Found", "/jobs"),
        ("303 See Other", "https://localhost:1/?token=secret"),
        ("307 Temporary Redirect", elsewhere.as_str()),
        ("308 Permanent Redirect", "file:///etc/passwd?token=secret"),
    ] {
        let mut peer = Peer::saying(&answer(status, &format!("Location: {location}\r\n"), &page)).await;
        let ctx = context();
        let outcome = peer.handler().run(Arc::new(job("1")), ctx.clone()).await;
        assert_eq!(retry_reason(outcome), format!("HTTP {status}: redirects are not followed"));
        assert_eq!(ctx.take_log(), Vec::<String>::new());
        peer.requests.recv().await.unwrap();
        assert!(peer.requests.try_recv().is_err(), "asked twice");
    }
    assert!(target.requests.try_recv().is_err(), "the target was contacted");
}

#[tokio::test]
async fn f97_an_endless_body_is_cut_and_the_status_decides() {
    let endless = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let mut peer = Peer::start(move |_| Step::Flood(endless.into())).await;
    let ctx = context();
    let outcome = peer.handler().run(Arc::new(job("1")), ctx.clone()).await;
    assert_eq!(returned(outcome), "null");
    assert_eq!(ctx.take_log(), ["answer longer than 1048576 bytes, not kept as return value"]);
    peer.closed.recv().await.expect("the connection is closed");

    let endless = "HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n";
    let peer = Peer::start(move |_| Step::Flood(endless.into())).await;
    assert!(fail_reason(run(&peer.handler()).await).starts_with("HTTP 400 Bad Request: xxx"));
}

#[tokio::test]
async fn f97_a_small_answer_that_unpacks_to_a_giant_is_cut() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        packed.write_all(&vec![b' '; 1024 * 1024]).unwrap();
    }
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 100_000);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let whole = [head.into_bytes(), packed].concat();
    let peer = Peer::start(move |_| Step::Bytes(whole.clone())).await;
    let ctx = context();
    let outcome = peer.handler().run(Arc::new(job("1")), ctx.clone()).await;
    assert_eq!(returned(outcome), "null");
    assert_eq!(ctx.take_log(), ["answer longer than 1048576 bytes, not kept as return value"]);
}

#[tokio::test]
async fn f97_an_endless_head_is_cut() {
    let mut peer = Peer::start(|_| Step::Flood("HTTP/1.1 200 OK\r\nx: ".into())).await;
    let reason = retry_reason(run(&peer.handler()).await);
    assert!(reason.starts_with(&format!("no answer from {}: ", peer.address)), "{reason}");
    peer.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn a_body_of_exactly_the_bound_is_kept() {
    let peer = Peer::saying(&answer("200 OK", "", "\"12345678\"")).await;
    let mut config = peer.config();
    config.max_response = 10;
    assert_eq!(returned(run(&Http::new(config.clone()).unwrap()).await), "\"12345678\"");
    config.max_response = 9;
    assert_eq!(returned(run(&Http::new(config).unwrap()).await), "null");
}

#[tokio::test]
async fn f94_nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let handler = Http::new(HttpHandler::new(format!("http://{address}/?token=secret"))).unwrap();
    let reason = retry_reason(run(&handler).await);
    assert_eq!(reason, format!("could not connect to {address}: ECONNREFUSED: Connection refused"));
}

#[tokio::test]
async fn f94_no_such_host() {
    let handler = Http::new(HttpHandler::new("http://no-such-host.invalid/".into())).unwrap();
    let reason = retry_reason(run(&handler).await);
    assert!(reason.starts_with("could not resolve no-such-host.invalid:80: "), "{reason}");
}

#[tokio::test]
async fn f94_the_connection_takes_too_long() {
    // a full backlog answers no further connection
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let mut config = HttpHandler::new(format!("http://{address}/"));
    config.connect_timeout = Duration::from_millis(200);
    let reason = retry_reason(run(&Http::new(config).unwrap()).await);
    assert_eq!(reason, format!("could not connect to {address}: no connection within 200ms"));
}

#[tokio::test]
async fn f94_tls_that_is_none() {
    // answers the handshake with something else
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    });
    match Http::new(HttpHandler::new(format!("https://{address}/"))) {
        Ok(handler) => {
            let reason = retry_reason(run(&handler).await);
            assert!(reason.starts_with(&format!("could not connect to {address}: TLS: ")), "{reason}");
        }
        // a machine without root certificates cannot speak TLS, and says so at once
        Err(refused) => assert!(refused.to_string().starts_with("the HTTP client cannot be set up: "), "{refused}"),
    }
}

#[tokio::test]
async fn f99_a_reset_after_the_request_is_not_repeated() {
    let mut peer = Peer::start(|n| if n == 0 { Step::Reset } else { Step::Say(answer("200 OK", "", "")) }).await;
    let handler = peer.handler();
    let reason = retry_reason(run(&handler).await);
    assert!(reason.starts_with(&format!("no answer from {}: ", peer.address)), "{reason}");
    let first = peer.requests.recv().await.unwrap();
    assert!(peer.requests.try_recv().is_err(), "sent twice");
    // the next attempt carries the same id
    let mut again = job(r#"{"to":"a@example.org"}"#);
    again.attempts_made = 1;
    assert_eq!(returned(handler.run(Arc::new(again), context()).await), "null");
    let second = peer.requests.recv().await.unwrap();
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(second.header("oxherd-attempt"), Some("2"));
}

#[tokio::test]
async fn f99_a_reset_on_a_kept_connection_is_not_repeated_either() {
    let mut peer = Peer::start(|n| if n == 1 { Step::Reset } else { Step::Say(answer("200 OK", "", "")) }).await;
    let handler = peer.handler();
    assert_eq!(returned(run(&handler).await), "null");
    assert!(retry_reason(run(&handler).await).starts_with("no answer from "));
    let (first, second) = (peer.requests.recv().await.unwrap(), peer.requests.recv().await.unwrap());
    assert_eq!(first.connection, second.connection, "the connection was kept");
    assert!(peer.requests.try_recv().is_err(), "sent twice");
}

/// Whether our kernel takes a connection to this address for open in both directions.
#[cfg(target_os = "linux")]
fn is_established(to: SocketAddr) -> bool {
    // local address, remote address, state: all hexadecimal
    let remote = format!(":{:04X}", to.port());
    std::fs::read_to_string("/proc/net/tcp").unwrap().lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&remote) && fields[3] == "01"
    })
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn f100_a_kept_connection_found_closed_costs_nothing() {
    let mut peer = Peer::start(|_| Step::SayAndClose(answer("200 OK", "connection: keep-alive\r\n", "1"))).await;
    let handler = peer.handler();
    for connection in 0..5 {
        assert_eq!(returned(run(&handler).await), "1");
        assert_eq!(peer.requests.recv().await.unwrap().connection, connection);
        assert_eq!(peer.closed.recv().await, Some(connection));
        // the peer's end is on its way through the kernel; what crosses it on the way is no fault of ours
        while is_established(peer.address) {
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn connections_are_kept_between_jobs() {
    let mut peer = Peer::saying(&answer("200 OK", "", "1")).await;
    let handler = peer.handler();
    for _ in 0..5 {
        run(&handler).await;
        assert_eq!(peer.requests.recv().await.unwrap().connection, 0);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_tried_again() {
    let peer = Peer::start(|_| Step::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\"".into())).await;
    let reason = retry_reason(run(&peer.handler()).await);
    assert!(reason.starts_with(&format!("{} broke off its answer after 4 bytes: ", peer.address)), "{reason}");
    // a failure stays what the status says
    let peer =
        Peer::start(|_| Step::SayAndClose("HTTP/1.1 400 Bad Request\r\ncontent-length: 100\r\n\r\nbad".into())).await;
    assert_eq!(fail_reason(run(&peer.handler()).await), "HTTP 400 Bad Request: bad");
    let peer = Peer::start(|_| Step::SayAndClose("what?\r\n\r\n".into())).await;
    assert!(retry_reason(run(&peer.handler()).await).contains("no answer from"));
}

#[tokio::test]
async fn f91_cancellation_closes_the_connection_at_once() {
    for (said, reason) in [
        ("", CancelReason::Timeout),
        ("HTTP/1.1 200 OK\r\n", CancelReason::Shutdown),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nslow", CancelReason::Requested),
    ] {
        let mut peer = Peer::start(move |_| Step::Hang(said.into())).await;
        let ctx = context();
        let running = tokio::spawn(peer.handler().run(Arc::new(job("1")), ctx.clone()));
        peer.requests.recv().await.unwrap();
        let asked = Instant::now();
        ctx.cancel(reason);
        let outcome = running.await.unwrap();
        assert!(asked.elapsed() < Duration::from_millis(250), "{reason:?} took {:?}", asked.elapsed());
        assert_eq!(outcome.as_str(), ctx.stopped(reason).as_str());
        peer.closed.recv().await.expect("the connection is closed");
    }
}

#[tokio::test]
async fn f95_a_failure_slow_to_explain_itself_is_not_waited_for() {
    let peer = Peer::start(|_| Step::Hang("HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\ngone".into())).await;
    let mut handler = peer.handler();
    Arc::get_mut(&mut handler.endpoint).unwrap().explain_within = Duration::from_millis(100);
    assert_eq!(retry_reason(run(&handler).await), "HTTP 404 Not Found: gone");
}

#[tokio::test]
async fn f104_names_no_header_can_carry_fail_the_job() {
    let mut peer = Peer::saying(&answer("200 OK", "", "")).await;
    let handler = peer.handler();
    for name in ["a\r\nX-Evil: 1", "a\0b", "tab\there", "\u{85}"] {
        let mut job = job("1");
        job.name = name.into();
        let reason = fail_reason(handler.run(Arc::new(job), context()).await);
        assert!(reason.starts_with("job name ") && reason.contains("control character"), "{reason}");
    }
    let mut bad_id = job("1");
    bad_id.id = JobId::stored("a\nb");
    assert!(fail_reason(handler.run(Arc::new(bad_id), context()).await).starts_with("job id "));
    assert!(peer.requests.try_recv().is_err());
    // no job fails for its trace
    let mut bad_trace = job("1");
    bad_trace.opts.extra.insert("tm".into(), r#"{"traceparent":"00\r\nX-Evil: 1"}"#.into());
    assert!(matches!(handler.run(Arc::new(bad_trace.clone()), context_of(bad_trace)).await, Outcome::Complete(_)));
    assert!(!peer.requests.recv().await.unwrap().head.to_lowercase().contains("trace"));
}

#[tokio::test]
async fn f104_a_url_without_its_data_fails_the_job() {
    let handler = Http::new(HttpHandler::new("http://127.0.0.1:1/{data.user.id}".into())).unwrap();
    assert_eq!(fail_reason(run(&handler).await), "the job has no data.user.id, and the url needs it");
}

/// A head without the end of the body in sight, and lines.
fn stream(headers: &str, lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("{:x}\r\n{line}\n\r\n", line.len() + 1)).collect();
    let lines = lines.concat();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: Application/X-NDJSON; charset=utf-8\r\n{headers}transfer-encoding: chunked\r\n\r\n{lines}"
    )
}

fn ended(stream: &str) -> String {
    format!("{stream}0\r\n\r\n")
}

#[tokio::test]
async fn a_streamed_answer_is_heard_while_the_job_is_done() {
    let said = stream("", &[r#"{"progress":40}"#, r#"{"log":"halfway"}"#, "nonsense", r#"{"extend":"1h"}"#]);
    let peer = Peer::start(move |_| Step::Hang(said.clone())).await;
    let ctx = context();
    let first = ctx.deadline();
    // so that an hour from now, bounded, is later by something
    tokio::time::sleep(Duration::from_millis(5)).await;
    let running = tokio::spawn(peer.handler().run(Arc::new(job("1")), ctx.clone()));
    // the answer has no end yet
    while ctx.deadline() == first {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    ctx.cancel(CancelReason::Timeout);
    assert!(matches!(running.await.unwrap(), Outcome::Retry { .. }));
    let told = ctx.close_report();
    assert_eq!((told.progress.unwrap().get(), told.lines[0].as_str()), ("40", "halfway"));
    assert!(told.lines[1].starts_with("answer: line not understood"), "{:?}", told.lines);
}

#[tokio::test]
async fn a_streamed_answer_states_the_outcome() {
    for (lines, want) in [
        (&[r#"{"outcome":"fail"}"#, r#"{"result":{"n":1.10}}"#][..], r#"Complete(RawValue({"n":1.10}))"#),
        (&[r#"{"outcome":"complete"}"#], "Complete(RawValue(null))"),
        (&[], "Complete(RawValue(null))"),
        (&[r#"{"outcome":"waiting-children"}"#], "WaitForChildren"),
        (&[r#"{"outcome":"defer","message":"m","after":"7d"}"#], r#"Defer { reason: "m", after: 3600s }"#),
        (&[r#"{"outcome":"discard"}"#], r#"Discard { reason: "the endpoint discards the job" }"#),
        (
            &[r#"{"data":1}"#, r#"{"outcome":"complete"}"#],
            "Retry { failure: Failure { message: \"cannot update the data: no engine runs this job\", stack: None }, after: None }",
        ),
    ] {
        let peer = Peer::saying(&ended(&stream("", lines))).await;
        assert_eq!(format!("{:?}", run(&peer.handler()).await), want, "{lines:?}");
    }
    let peer = Peer::saying(&ended(&stream("Oxherd-Outcome: discard\r\n", &[]))).await;
    assert!(matches!(run(&peer.handler()).await, Outcome::Discard { .. }));
    let peer = Peer::saying(&ended(&stream("Oxherd-Outcome: discard\r\n", &[r#"{"result":1}"#]))).await;
    assert_eq!(returned(run(&peer.handler()).await), "1", "what is said last counts");
    let peer = Peer::saying(&answer("200 OK", "Oxherd-Outcome: waiting-children\r\n", "")).await;
    assert!(matches!(run(&peer.handler()).await, Outcome::WaitForChildren));
}

#[tokio::test]
async fn a_streamed_answer_that_breaks_off_or_never_ends_completes_nothing() {
    let said = stream("", &[r#"{"log":"a"}"#]);
    let peer = Peer::start(move |_| Step::SayAndClose(said.clone())).await;
    assert!(retry_reason(run(&peer.handler()).await).contains("broke off its answer after 12 bytes: "));
    let said = stream("", &[r#"{"result":1}"#]);
    let peer = Peer::start(move |_| Step::SayAndClose(said.clone())).await;
    assert_eq!(returned(run(&peer.handler()).await), "1", "it was stated");
    let endless = format!("{}ffffffff\r\n", stream("", &[]));
    let mut peer = Peer::start(move |_| Step::Flood(endless.clone())).await;
    let reason = retry_reason(run(&peer.handler()).await);
    assert_eq!(reason, format!("{} answered more than 1048576 bytes", peer.address));
    peer.closed.recv().await.expect("the connection is closed");
}

#[test]
fn settings_are_checked_when_the_handler_is_built() {
    let with = |name: &str, value: &str| {
        let mut config = HttpHandler::new("http://api/".into());
        config.headers.insert(name.into(), value.into());
        Http::new(config).err().map(|refused| refused.to_string())
    };
    assert_eq!(with("Authorization", "Bearer x"), None);
    assert!(with("Webhook-Id", "1").unwrap().contains("set for every request by oxherd itself"));
    assert!(with("Content-Length", "1").unwrap().contains("set for every request by oxherd itself"));
    assert!(with("a b", "1").unwrap().contains("HTTP does not allow"));
    assert!(with("x-a", "1\r\nx-b: 2").unwrap().contains("HTTP does not allow"));
}
