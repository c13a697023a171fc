//! A scripted server on real sockets, for the tests of the handler.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

/// What the peer does once it has read a whole request.
pub(super) enum Step {
    Say(String),
    SayAndClose(String),
    /// Closes the connection so that the other side sees a reset.
    Reset,
    /// Says something, then nothing more.
    Hang(String),
    /// Says what is no text.
    Bytes(Vec<u8>),
    /// Says one part after the other, with so much time before each.
    Parts(Vec<String>, Duration),
    /// Says something, and then something again and again, with so much time before each.
    Drip(String, &'static str, Duration),
    /// Says something and then bytes for as long as anybody listens.
    Flood(String),
}

pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: String,
    pub(super) connection: usize,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A connection of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Makes that closing it is a reset, where there is such a thing.
    fn reset_when_closed(&self) {}
}

impl Stream for TcpStream {
    fn reset_when_closed(&self) {
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Stream for UnixStream {}

impl Stream for TlsStream<TcpStream> {}

/// Where the peer listens.
pub(super) enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
    Tls(TcpListener, TlsAcceptor),
}

impl Door {
    async fn accept(&self) -> Option<Box<dyn Stream>> {
        Some(match self {
            Self::Tcp(listener) => Box::new(listener.accept().await.ok()?.0),
            Self::Unix(listener) => Box::new(listener.accept().await.ok()?.0),
            Self::Tls(listener, acceptor) => loop {
                // those who do not like our certificate go away
                if let Ok(stream) = acceptor.accept(listener.accept().await.ok()?.0).await {
                    break Box::new(stream);
                }
            },
        })
    }
}

/// A server that follows a script, request by request, over all its connections.
pub(super) struct Peer {
    /// Of one on TCP.
    pub(super) address: SocketAddr,
    pub(super) requests: UnboundedReceiver<Request>,
    /// One message for each connection the other side has closed or we have.
    pub(super) closed: UnboundedReceiver<usize>,
}

impl Peer {
    pub(super) async fn start(script: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::behind(listener.local_addr().unwrap(), Door::Tcp(listener), script)
    }

    /// A peer on a unix socket at this path.
    pub(super) fn on_socket(path: &Path, script: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        Self::behind(([0, 0, 0, 0], 0).into(), Door::Unix(UnixListener::bind(path).unwrap()), script)
    }

    /// A peer that speaks TLS.
    pub(super) async fn with_tls(
        acceptor: TlsAcceptor,
        script: impl Fn(usize) -> Step + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::behind(listener.local_addr().unwrap(), Door::Tls(listener, acceptor), script)
    }

    fn behind(address: SocketAddr, door: Door, script: impl Fn(usize) -> Step + Send + Sync + 'static) -> Self {
        let (sender, requests) = unbounded_channel();
        let (closing, closed) = unbounded_channel();
        let script = Arc::new(script);
        let count = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            for connection in 0.. {
                let Some(stream) = door.accept().await else { return };
                let (sender, closing, script, count) =
                    (sender.clone(), closing.clone(), Arc::clone(&script), Arc::clone(&count));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read_request(&mut stream, connection).await {
                        let _ = sender.send(request);
                        let step = script(count.fetch_add(1, Ordering::SeqCst));
                        if !follow(step, &mut stream).await {
                            break;
                        }
                    }
                    drop(stream);
                    let _ = closing.send(connection);
                });
            }
        });
        Self { address, requests, closed }
    }

    /// A peer that gives every request the same answer.
    pub(super) async fn saying(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(move |_| Step::Say(answer.clone())).await
    }

    pub(super) fn config(&self) -> HttpHandler {
        HttpHandler::new(format!("http://{}/jobs", self.address))
    }

    pub(super) fn handler(&self) -> Http {
        Http::new(self.config()).unwrap()
    }
}

async fn read_request(stream: &mut BufReader<Box<dyn Stream>>, connection: usize) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { head, body: String::from_utf8(body).unwrap(), connection })
}

/// Whether the connection stays open.
async fn follow(step: Step, stream: &mut BufReader<Box<dyn Stream>>) -> bool {
    match step {
        Step::Say(text) => stream.write_all(text.as_bytes()).await.is_ok(),
        Step::SayAndClose(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            false
        }
        Step::Reset => {
            stream.get_ref().reset_when_closed();
            false
        }
        Step::Hang(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            // until the other side has had enough
            let _ = stream.read(&mut [0]).await;
            false
        }
        Step::Bytes(bytes) => stream.write_all(&bytes).await.is_ok(),
        Step::Parts(parts, pause) => {
            for part in parts {
                tokio::time::sleep(pause).await;
                if stream.write_all(part.as_bytes()).await.is_err() {
                    return false;
                }
            }
            true
        }
        Step::Drip(text, drop, pause) => {
            let _ = stream.write_all(text.as_bytes()).await;
            while stream.write_all(drop.as_bytes()).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
            false
        }
        Step::Flood(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let chunk = vec![b'x'; 64 * 1024];
            while stream.write_all(&chunk).await.is_ok() {}
            false
        }
    }
}

pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}
