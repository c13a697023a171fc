//! Endpoints that take their time, where they may and where they may not.

use super::*;

const BLINK: Duration = Duration::from_millis(10);
const WINDOW: Duration = Duration::from_millis(200);

/// A handler that wants so many bytes per second, looked at over a short time.
fn brisk(peer: &Peer, least: usize) -> Http {
    let mut config = peer.config();
    config.min_rate = Some(least);
    let mut handler = Http::new(config).unwrap();
    Arc::get_mut(&mut handler.endpoint).unwrap().pace.window = WINDOW;
    handler
}

fn chunked(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn f95_a_body_that_drips_is_cut_long_before_the_time_limit() {
    let mut peer = Peer::start(|_| Step::Drip(HEAD.into(), "1\r\nx\r\n", BLINK)).await;
    let begin = Instant::now();
    let reason = retry_reason(run(&brisk(&peer, 1000)).await);
    assert_eq!(reason, format!("{} sends its answer too slowly, less than 1KB per second (min_rate)", peer.address));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    peer.closed.recv().await.expect("the connection is closed");
    // one byte, and nothing more
    let peer = Peer::start(|_| Step::Hang(format!("{HEAD}1\r\nx\r\n"))).await;
    assert!(retry_reason(run(&brisk(&peer, 1)).await).contains("sends its answer too slowly"));
}

#[tokio::test]
async fn f95_a_head_that_drips_is_cut_as_well() {
    let mut peer = Peer::start(|_| Step::Drip("HTTP/1.1 200 OK\r\nx: ".into(), "x", BLINK)).await;
    let mut config = peer.config();
    config.response_timeout = Some(WINDOW);
    let begin = Instant::now();
    let reason = retry_reason(run(&Http::new(config).unwrap()).await);
    assert_eq!(reason, format!("no answer from {} within 200ms (response_timeout)", peer.address));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    peer.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn f95_who_is_slow_to_begin_or_keeps_up_is_heard() {
    // nothing for a while after the head, then everything
    let parts = vec![HEAD.to_owned(), chunked("[1,2"), format!("{}0\r\n\r\n", chunked("]"))];
    let peer = Peer::start(move |_| Step::Parts(parts.clone(), WINDOW / 2)).await;
    assert_eq!(returned(run(&brisk(&peer, 1)).await), "[1,2]");
    // more windows than one, each with enough in it
    let mut parts = vec![format!("{HEAD}{}", chunked("["))];
    parts.extend((0..30).map(|_| chunked("1,")));
    parts.push(format!("{}0\r\n\r\n", chunked("1]")));
    let peer = Peer::start(move |_| Step::Parts(parts.clone(), BLINK)).await;
    assert!(returned(run(&brisk(&peer, 5)).await).ends_with("1,1]"));
    // nobody asks for a rate
    let parts = vec![format!("{HEAD}{}", chunked("1")), String::new(), format!("{}0\r\n\r\n", chunked("2"))];
    let peer = Peer::start(move |_| Step::Parts(parts.clone(), WINDOW)).await;
    let mut handler = brisk(&peer, 1000);
    Arc::get_mut(&mut handler.endpoint).unwrap().pace.least = None;
    assert_eq!(returned(run(&handler).await), "12");
}

#[tokio::test]
async fn f95_a_streamed_answer_pauses_between_its_lines_only() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let lines = [r#"{"progress":1}"#, r#"{"progress":2}"#, r#"{"result":3}"#].map(|line| chunked(&format!("{line}\n")));
    let mut parts = vec![head.to_owned()];
    parts.extend(lines);
    parts.push("0\r\n\r\n".into());
    let peer = Peer::start(move |_| Step::Parts(parts.clone(), WINDOW * 3 / 2)).await;
    assert_eq!(returned(run(&brisk(&peer, 1000)).await), "3");
    let begun = format!("{head}{}", chunked("{\"progress\":1}\n{\"progress"));
    let peer = Peer::start(move |_| Step::Hang(begun.clone())).await;
    let ctx = context();
    let outcome = brisk(&peer, 1000).run(Arc::new(job("1")), ctx.clone()).await;
    assert!(retry_reason(outcome).contains("sends its answer too slowly"));
    assert_eq!(ctx.close_report().progress.unwrap().get(), "1", "what came before was heard");
}

#[tokio::test]
async fn f94_the_attempt_has_a_limit_over_all_of_it() {
    let peer = Peer::start(|_| Step::Hang(HEAD.into())).await;
    let ctx = context();
    let running = tokio::spawn(peer.handler().run(Arc::new(job("1")), ctx.clone()));
    ctx.cancel(CancelReason::Timeout);
    assert_eq!(retry_reason(running.await.unwrap()), "timed out after 60s");
}
