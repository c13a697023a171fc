//! Keepers: small processes between the daemon and the programs it runs. [`super::child`] is their caller.
//!
//! A keeper runs one program at a time, and all that the program starts stays below it: what loses its parent becomes
//! the keeper's child, in whatever group or session it is (`PR_SET_CHILD_SUBREAPER`). So it is certain what belongs to
//! a job, nobody else's children are waited for, and what a job leaves behind is killed and collected to the last. A
//! keeper that has nothing below it any more is used again.
//!
//! A keeper lives as long as the daemon holds its end of a socket. However the daemon ends, the socket closes, and the
//! keeper kills what is below it before it ends as well. Should a keeper itself be killed, the kernel kills the program.
//!
//! A keeper is forked, and is nothing but a loop of system calls from then on ([`serve`]). It starts programs without
//! copying itself, so a start costs the same however large the daemon is ([`launch`]).

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

#[expect(unsafe_code, reason = "between fork and exec, see there")]
mod launch;
mod order;
mod report;
#[expect(unsafe_code, reason = "system calls alone, after a fork of many threads")]
mod serve;

pub(crate) use order::{Account, Launch, Limits, NONE};
pub(crate) use report::{Ended, Step};

pub(super) use report::Report;

/// What process listings call a keeper.
pub(super) const NAME: &std::ffi::CStr = c"oxherd-keeper";

/// The keepers of one handler. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Keepers {
    /// The last one used is used first: its memory is still near.
    idle: Arc<Mutex<Vec<Keeper>>>,
}

/// A keeper and our end of its socket. Dropping it ends it and all it keeps.
pub(super) struct Keeper {
    socket: UnixStream,
    pid: Pid,
    /// Reports that were not yet asked for.
    heard: Vec<u8>,
}

/// Why a program did not start.
#[derive(Debug)]
pub(crate) struct NotStarted {
    /// What was being done.
    pub(crate) step: Step,
    pub(crate) error: io::Error,
}

impl From<io::Error> for NotStarted {
    /// Before anything was tried.
    fn from(error: io::Error) -> Self {
        Self { step: Step::Fork, error }
    }
}

impl Keepers {
    /// Has a keeper start the program with the descriptors as its own from 0 up. Returns once it runs, and a little later at
    /// that: of a program that is quick the end is reported at the same time.
    ///
    /// Cancel safe: whatever has been started then is killed.
    pub(super) async fn launch(
        &self,
        launch: &Launch,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Keeper, Pid), NotStarted> {
        let order = launch.order()?;
        loop {
            let idle = self.idle().pop();
            let is_new = idle.is_none();
            let mut keeper = idle.map_or_else(Keeper::fork, Ok)?;
            let report = match keeper.send(&order, descriptors).await {
                Ok(()) => keeper.hear().await,
                Err(error) => Err(error),
            };
            match report {
                Ok(Report::Started(pid)) => return Ok((keeper, pid)),
                Ok(Report::NotStarted(step, errno)) => {
                    self.put_back(keeper);
                    return Err(NotStarted { step, error: errno.into() });
                }
                Ok(Report::Ended { .. } | Report::Gone) => return Err(io::Error::from(Errno::EPROTO).into()),
                // somebody has killed it while it had nothing to do: the order was not read
                Err(error) if !is_new && matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                }
                Err(error) => return Err(NotStarted { step: Step::Keeper, error }),
            }
        }
    }

    /// Takes back one that keeps nothing.
    pub(super) fn put_back(&self, keeper: Keeper) {
        self.idle().push(keeper);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Keeper>> {
        self.idle.lock().expect("no code panics while holding this lock")
    }
}

impl Keeper {
    fn fork() -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        // SAFETY: the new process makes system calls on memory of its own, and nothing else
        #[expect(unsafe_code, reason = "what may be done after a fork of many threads is done in one place")]
        match unsafe { nix::unistd::fork() }? {
            ForkResult::Child => serve::serve(theirs.as_raw_fd()),
            ForkResult::Parent { child } => {
                Ok(Self { socket, pid: child, heard: Vec::with_capacity(4 * report::LENGTH) })
            }
        }
    }

    async fn send(&mut self, order: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let numbers: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let socket = self.socket.as_raw_fd();
        let send = || Ok(sendmsg::<()>(socket, &[IoSlice::new(order)], &rights, MsgFlags::MSG_NOSIGNAL, None)?);
        // what is sent is sent at once as a rule; only else is it waited for
        let sent = self.socket.async_io(Interest::WRITABLE, send).await?;
        self.socket.write_all(&order[sent..]).await
    }

    /// What it reports next. An error is its end. Cancel safe.
    pub(super) async fn hear(&mut self) -> io::Result<Report> {
        loop {
            if let Some((bytes, _)) = self.heard.split_first_chunk() {
                let report = Report::read(*bytes);
                self.heard.drain(..report::LENGTH);
                return report.ok_or_else(|| Errno::EPROTO.into());
            }
            if self.socket.read_buf(&mut self.heard).await? == 0 {
                return Err(Errno::ESRCH.into());
            }
        }
    }

    /// TERM to the group of the program.
    pub(super) fn ask_to_stop(&self) {
        self.tell(serve::TERM);
    }

    /// KILL to the program and all below it.
    pub(super) fn kill(&self) {
        self.tell(serve::KILL);
    }

    /// Fails only when it is gone, which is heard elsewhere.
    fn tell(&self, word: u64) {
        let _ = self.socket.try_write(&word.to_ne_bytes());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // the socket is closed right after this; the process ends once nothing is left below it
        let pid = self.pid;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let mut pause = Duration::from_millis(1);
                while waitpid(pid, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive) {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            });
        }
    }
}
