//! Connections, bounded: so many at a time, and none that takes nothing from us for a minute, be it that it never asks,
//! never reads, or is not there any more.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener as Accepting};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::seat::{self, KeptSeats, Seat};

/// How long a connection may go without taking a byte, beside the longest silence we keep ourselves.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long one has to ask for something, and to be answered.
const TO_ASK: Duration = Duration::from_secs(10);
/// Bytes the kernel keeps for a connection that does not read. It would grow to megabytes by itself.
const SEND_BUFFER: usize = 64 * 1024;

pub struct Listener {
    inner: TcpListener,
    /// One permit for each connection.
    room: Arc<Semaphore>,
    kept: KeptSeats,
    /// A reload may change it, also for those who are there.
    patience: watch::Receiver<Duration>,
}

impl Listener {
    pub fn new(inner: TcpListener, room: Arc<Semaphore>, patience: watch::Receiver<Duration>) -> Self {
        Self { inner, room, kept: KeptSeats::default(), patience }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Others have taken the room: there is a seat for who asks whether we live.
    pub is_extra: bool,
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        *stream.remote_addr()
    }
}

impl Accepting for Listener {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        // which waits and tries again where there are no descriptors left
        let (stream, _) = Accepting::accept(&mut self.inner).await;
        prepare(&stream);
        let seat = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => Seat::Usual { _permit: permit },
            Err(_) => self.kept.take().await,
        };
        let (first, evicted) = match &seat {
            Seat::Usual { .. } => (TO_ASK.min(*self.patience.borrow()), None),
            Seat::Kept(token) => (seat::MOST, Some(Box::pin(CancellationToken::clone(token).cancelled_owned()))),
        };
        let peer = Peer { is_extra: evicted.is_some() };
        let patience = self.patience.clone();
        let deadline = Box::pin(tokio::time::sleep(first));
        (
            Connection { stream, deadline, taken: None, first, patience, evicted, begun: Instant::now(), _seat: seat },
            peer,
        )
    }

    fn local_addr(&self) -> io::Result<Peer> {
        self.inner.local_addr().map(|_| Peer { is_extra: false })
    }
}

/// What cannot be set is not worth losing the connection for.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PATIENCE));
}

pub struct Connection {
    stream: TcpStream,
    /// When to look whether it is still of use.
    deadline: Pin<Box<Sleep>>,
    begun: Instant,
    /// When it last took a byte.
    taken: Option<Instant>,
    /// How long it has to take its first.
    first: Duration,
    patience: watch::Receiver<Duration>,
    /// Ends when another is to have its seat.
    evicted: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _seat: Seat,
}

impl Connection {
    fn check(&mut self, cx: &mut Context) -> io::Result<()> {
        if self.evicted.as_mut().is_some_and(|evicted| evicted.as_mut().poll(cx).is_ready()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "there are too many connections"));
        }
        while self.deadline.as_mut().poll(cx).is_ready() {
            let until = match self.taken {
                // an extra seat is taken for a moment, whatever is done with it
                Some(taken) if self.evicted.is_none() => taken + *self.patience.borrow(),
                _ => self.begun + self.first,
            };
            if until <= Instant::now() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was taken for too long"));
            }
            self.deadline.as_mut().reset(until);
        }
        Ok(())
    }

    fn written(&mut self, cx: &mut Context, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(count)) if count > 0 => self.taken = Some(Instant::now()),
            Poll::Ready(_) => {}
            Poll::Pending => self.check(cx)?,
        }
        result
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if result.is_pending() {
            self.check(cx)?;
        }
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        slices: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Read;
    use std::net::SocketAddr;

    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::routing::get;
    use futures_util::stream;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(400);

    /// Something that says a lot at once and then a little now and then.
    async fn chatter() -> Body {
        let lines = stream::unfold(0, |n| async move {
            if n > 200 {
                tokio::time::sleep(PATIENCE / 4).await;
            }
            let line = if n > 200 { Bytes::from_static(b":\n\n") } else { vec![b'x'; 64 * 1024].into() };
            (n < 212).then_some((Ok::<_, Infallible>(line), n + 1))
        });
        Body::from_stream(lines)
    }

    /// What comes of a connection that sends this and reads so many bytes before it pauses.
    fn watch(address: SocketAddr, request: &str, at_first: u64) -> usize {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = Read::by_ref(&mut stream).take(at_first).read_to_end(&mut bytes);
        std::thread::sleep(PATIENCE * 2);
        // whether it ends well or badly: it ends
        let _ = stream.read_to_end(&mut bytes);
        bytes.len()
    }

    #[tokio::test]
    async fn a_connection_lives_as_long_as_it_takes_something() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = inner.local_addr().unwrap();
        let room = Arc::new(Semaphore::new(4));
        let listener = Listener::new(inner, Arc::clone(&room), watch::Sender::new(PATIENCE).subscribe());
        let routes = Router::new().route("/", get(chatter));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        let ask = "GET / HTTP/1.0\r\n\r\n";
        let watch = |request, at_first| tokio::task::spawn_blocking(move || watch(address, request, at_first));
        // one reads, one never asks, one asks half, one stops reading
        let (all, mute, half, deaf) =
            tokio::join!(watch(ask, u64::MAX), watch("", 0), watch("GET / HT", 0), watch(ask, 1));
        assert!(all.unwrap() > 200 * 64 * 1024 + 30, "who reads hears everything");
        assert_eq!((mute.unwrap(), half.unwrap()), (0, 0));
        assert!(deaf.unwrap() < 200 * 64 * 1024);
        let free = tokio::time::timeout(Duration::from_secs(30), room.acquire_many(4)).await;
        assert!(free.is_ok(), "their places are free");
        serving.abort();
    }
}
