//! Pipes between us and programs: one end is given away, ours never blocks. [`super::child`] and who uses it are the callers.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;

/// Our end of a pipe a program writes to. It is not watched before it is found empty and open: of a quick program all
/// is there at the first look, and the end too, and most of the cost would be the watching.
pub(crate) struct Incoming {
    state: State,
}

enum State {
    New(OwnedFd),
    Watched(pipe::Receiver),
    Ended,
}

/// A pipe a program writes to, and the end it is given.
pub(crate) fn from_child() -> io::Result<(Incoming, OwnedFd)> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    never_block(&ours)?;
    Ok((Incoming { state: State::New(ours) }, theirs))
}

/// A pipe a program reads from: the end it is given, and ours.
pub(crate) fn to_child() -> io::Result<(OwnedFd, OwnedFd)> {
    let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
    never_block(&ours)?;
    Ok((theirs, ours))
}

fn never_block(fd: &OwnedFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

impl AsyncRead for Incoming {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let State::New(fd) = &self.state {
            match read(fd, buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Poll::Ready(Err(errno.into())),
            }
            let State::New(fd) = std::mem::replace(&mut self.state, State::Ended) else { return Poll::Ready(Ok(())) };
            self.state = State::Watched(pipe::Receiver::from_owned_fd_unchecked(fd)?);
        }
        match &mut self.state {
            State::Watched(pipe) => Pin::new(pipe).poll_read(cx, buffer),
            State::New(_) | State::Ended => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_there_is_read_and_what_comes_is_waited_for() {
        let (mut incoming, theirs) = from_child().unwrap();
        nix::unistd::write(&theirs, b"one").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(incoming.read(&mut buffer).await.unwrap(), 3);
        let later = tokio::spawn(async move {
            tokio::task::yield_now().await;
            nix::unistd::write(&theirs, b"two").unwrap();
        });
        assert_eq!(incoming.read(&mut buffer).await.unwrap(), 3);
        later.await.unwrap();
        assert_eq!((incoming.read(&mut buffer).await.unwrap(), &buffer[..3]), (0, &b"two"[..]));
    }
}
