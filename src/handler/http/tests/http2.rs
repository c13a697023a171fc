//! HTTP/2 with a peer whose frames are written by hand.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::tls::Authority;
use super::*;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
#[cfg(target_os = "linux")]
const PING: u8 = 6;
const GOAWAY: u8 = 7;
#[cfg(target_os = "linux")]
const WINDOW_UPDATE: u8 = 8;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// Protocol: RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:status 200` and a body of one digit.
fn ok(stream: u32) -> Vec<u8> {
    [frame(HEADERS, 0x4, stream, &[0x88]), frame(0, 0x1, stream, b"1")].concat()
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// What is done when a request is there.
enum Then {
    Say(Vec<u8>),
    SayAndClose(Vec<u8>),
    Nothing,
    /// Says this again and again, for as long as it is taken.
    Flood(Vec<u8>),
}

/// A server that reads frames and does what the script says of each request: its number over all connections, from 0,
/// and its stream.
struct Peer2 {
    address: SocketAddr,
    /// Connection and stream of each request.
    requests: UnboundedReceiver<(usize, u32)>,
    closed: UnboundedReceiver<usize>,
    /// Bytes of floods that were taken.
    flooded: Arc<AtomicUsize>,
}

type Script = dyn Fn(usize, u32) -> Then + Send + Sync;

impl Peer2 {
    async fn start(script: impl Fn(usize, u32) -> Then + Send + Sync + 'static) -> Self {
        Self::behind(None, script).await
    }

    async fn behind(
        tls: Option<tokio_rustls::TlsAcceptor>,
        script: impl Fn(usize, u32) -> Then + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = unbounded_channel();
        let (closing, closed) = unbounded_channel();
        let (count, flooded) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (script, taken): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&flooded));
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (sender, closing, script, taken) =
                    (sender.clone(), closing.clone(), Arc::clone(&script), Arc::clone(&taken));
                let (count, tls) = (Arc::clone(&count), tls.clone());
                tokio::spawn(async move {
                    let note = |stream| {
                        let _ = sender.send((connection, stream));
                        script(count.fetch_add(1, Ordering::SeqCst), stream)
                    };
                    let _ = match tls {
                        Some(tls) => serve(tls.accept(stream).await.unwrap(), note, &taken).await,
                        None => serve(stream, note, &taken).await,
                    };
                    let _ = closing.send(connection);
                });
            }
        });
        Self { address, requests, closed, flooded }
    }

    fn config(&self) -> HttpHandler {
        let mut config = HttpHandler::new(format!("http://{}/jobs", self.address));
        config.http2 = true;
        config.breaker = None;
        config
    }

    fn handler(&self) -> Http {
        Http::new(self.config()).unwrap()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    note: impl Fn(u32) -> Then,
    taken: &AtomicUsize,
) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut preface = [0; 24];
    reader.read_exact(&mut preface).await?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    writer.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        reader.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        reader.read_exact(&mut payload).await?;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        match (kind, flags & 1) {
            (SETTINGS, 0) => writer.write_all(&frame(SETTINGS, 1, 0, &[])).await?,
            // the end of a request's body
            (0, 1) => match note(stream) {
                Then::Nothing => {}
                Then::Say(frames) => writer.write_all(&frames).await?,
                Then::SayAndClose(frames) => {
                    writer.write_all(&frames).await?;
                    writer.flush().await?;
                    return Ok(());
                }
                Then::Flood(frames) => {
                    let many = frames.repeat(1000);
                    let mut heard = vec![0; 65536];
                    let reading = async { while reader.read(&mut heard).await.is_ok_and(|bytes| bytes > 0) {} };
                    let flooding = async {
                        while writer.write_all(&many).await.is_ok() {
                            taken.fetch_add(many.len(), Ordering::Relaxed);
                        }
                    };
                    tokio::join!(reading, flooding);
                    return Ok(());
                }
            },
            _ => {}
        }
    }
}

#[tokio::test]
async fn clear_text_http2_is_spoken_where_it_is_asked_for() {
    let mut peer = Peer2::start(|_, stream| Then::Say(ok(stream))).await;
    let handler = peer.handler();
    for stream in [1, 3, 5] {
        assert_eq!(returned(run(&handler).await), "1");
        assert_eq!(peer.requests.recv().await.unwrap(), (0, stream), "one connection, a stream each");
    }
}

#[tokio::test]
async fn http2_is_spoken_where_tls_offers_it() {
    let authority = Authority::new();
    let tls = authority.server("localhost", &["h2", "http/1.1"], |_| {});
    let mut peer = Peer2::behind(Some(tls), |_, stream| Then::Say(ok(stream))).await;
    let mut config = HttpHandler::new(format!("https://localhost:{}/jobs", peer.address.port()));
    config.ca = Some(authority.trusted());
    assert_eq!(returned(run(&Http::new(config.clone()).unwrap()).await), "1");
    assert_eq!(peer.requests.recv().await.unwrap(), (0, 1));
    // and HTTP/1.1 where it does not, unless nothing else will do
    let tls = authority.server("localhost", &["http/1.1"], |_| {});
    let plain = Peer::with_tls(tls, |_| Step::Say(answer("200 OK", "", "2"))).await;
    config.url = format!("https://localhost:{}/jobs", plain.address.port());
    assert_eq!(returned(run(&Http::new(config.clone()).unwrap()).await), "2");
    config.http2 = true;
    let reason = retry_reason(run(&Http::new(config).unwrap()).await);
    assert!(reason.starts_with("could not connect to localhost:"), "{reason}");
}

#[tokio::test]
async fn f101_a_refused_stream_is_sent_again_without_an_attempt() {
    let refuse = |n, stream| Then::Say(if n == 0 { reset(stream, REFUSED_STREAM) } else { ok(stream) });
    let mut peer = Peer2::start(refuse).await;
    assert_eq!(returned(run(&peer.handler()).await), "1");
    assert_eq!(peer.requests.recv().await.unwrap(), (0, 1));
    assert_eq!(peer.requests.recv().await.unwrap(), (0, 3));
    // one that refuses every time gets an attempt charged in the end
    let mut peer = Peer2::start(|_, stream| Then::Say(reset(stream, REFUSED_STREAM))).await;
    let reason = retry_reason(run(&peer.handler()).await);
    assert!(
        reason.starts_with(&format!("no answer from {}: ", peer.address)) && reason.contains("refused"),
        "{reason}"
    );
    let mut times = 0;
    while peer.requests.try_recv().is_ok() {
        times += 1;
    }
    assert!((2..=5).contains(&times), "sent {times} times");
}

#[tokio::test]
async fn f101_a_stream_that_is_reset_is_an_attempt() {
    for code in [NO_ERROR, INTERNAL_ERROR, CANCEL] {
        let mut peer = Peer2::start(move |_, stream| Then::Say(reset(stream, code))).await;
        let reason = retry_reason(run(&peer.handler()).await);
        assert!(reason.starts_with(&format!("no answer from {}: ", peer.address)), "{reason}");
        peer.requests.recv().await.unwrap();
        assert!(peer.requests.try_recv().is_err(), "sent twice after code {code}");
    }
}

#[tokio::test]
async fn f101_streams_above_the_last_one_are_sent_again_without_an_attempt() {
    // the second request meets a peer that has stopped listening after the first
    let first = Arc::new(Mutex::new(0));
    let script = {
        let first = Arc::clone(&first);
        move |n, stream| match n {
            0 => {
                *first.lock().unwrap() = stream;
                Then::Nothing
            }
            1 => Then::Say([goaway(1, NO_ERROR), ok(1)].concat()),
            _ => Then::Say(ok(stream)),
        }
    };
    let mut peer = Peer2::start(script).await;
    let handler = Arc::new(peer.handler());
    let one = tokio::spawn(handler.run(Arc::new(job("1")), context()));
    assert_eq!(peer.requests.recv().await.unwrap(), (0, 1));
    let two = tokio::spawn(handler.run(Arc::new(job("2")), context()));
    assert_eq!(peer.requests.recv().await.unwrap(), (0, 3));
    assert_eq!(returned(one.await.unwrap()), "1", "it was processed and is answered");
    assert_eq!(returned(two.await.unwrap()), "1");
    assert_eq!(peer.requests.recv().await.unwrap(), (1, 1), "over a connection of its own");
    assert!(peer.requests.try_recv().is_err());
}

#[tokio::test]
async fn f101_streams_up_to_the_last_one_are_ambiguous() {
    for code in [NO_ERROR, INTERNAL_ERROR] {
        let mut peer = Peer2::start(move |_, stream| Then::SayAndClose(goaway(stream, code))).await;
        let reason = retry_reason(run(&peer.handler()).await);
        assert!(reason.starts_with(&format!("no answer from {}: ", peer.address)), "{reason}");
        assert_eq!(peer.requests.recv().await.unwrap(), (0, 1));
        assert!(peer.requests.try_recv().is_err(), "sent twice after code {code}");
        // the next attempt has a connection of its own
        assert!(matches!(run(&peer.handler()).await, Outcome::Retry { .. }));
    }
}

/// Bytes of memory this process has.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A peer that answers a request with a flood: memory stays as it was, and the connection does not live long.
#[cfg(target_os = "linux")]
async fn flood(frames: Vec<u8>) {
    const MANY: usize = 20_000_000;
    let mut peer = Peer2::start(move |_, _| Then::Flood(frames.clone())).await;
    let handler = peer.handler();
    let before = resident();
    let ctx = context();
    let running = tokio::spawn(handler.run(Arc::new(job("1")), ctx.clone()));
    let flooded = Arc::clone(&peer.flooded);
    let enough = tokio::time::timeout(Duration::from_millis(500), async {
        while flooded.load(Ordering::Relaxed) < MANY {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut is_closed = false;
    tokio::select! {
        _ = enough => {}
        _ = peer.closed.recv() => is_closed = true,
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 16_000_000, "grew by {grown} bytes over {:?} flooded", peer.flooded);
    ctx.cancel(CancelReason::Timeout);
    assert!(matches!(running.await.unwrap(), Outcome::Retry { .. }));
    if !is_closed {
        // nobody uses it any more, so it leaves the pool
        let closed = tokio::time::timeout(Duration::from_secs(30), peer.closed.recv()).await;
        assert!(closed.is_ok(), "the connection is kept");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f101_a_flood_of_settings_is_left_with_bounded_memory() {
    flood([frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])].concat()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f101_a_flood_of_pings_is_left_with_bounded_memory() {
    flood(frame(PING, 0, 0, &[0; 8])).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f101_a_flood_of_nonsense_ends_the_connection() {
    // more room in steps of nothing, and answers to what nobody asked
    flood(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 0])).await;
    flood([frame(HEADERS, 0x4, 7, &[0x88]), reset(7, CANCEL)].concat()).await;
}
