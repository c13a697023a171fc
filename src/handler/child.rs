//! A program as a process group of its own: started, signalled, and gone for certain at the
//! end. The command handler is its caller.
//!
//! The leader is the process we start; what it starts stays in its group unless it leaves on
//! purpose (`setsid`). Nothing in the group outlives the job: the group is killed when the
//! leader has ended, when it does not stop in time, and when [`Child`] is dropped. Should we die
//! ourselves without a chance to do any of that, the kernel kills the leader.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid, getppid};
use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

/// How long the remains of a group may take to go after KILL. Longer only when the kernel cannot
/// end a process, or nobody collects the dead.
const SWEEP: Duration = Duration::from_secs(1);

/// A running program and its group.
pub(crate) struct Child {
    leader: Box<dyn ChildWrapper>,
    group: Pid,
    /// Nobody is left in the group; from here on its number may belong to others.
    empty: bool,
}

impl Child {
    /// Starts the program; the channels become its descriptors 3 and up.
    ///
    /// To be called from a thread that lives as long as the runtime, as its workers do, and not
    /// from one of the blocking pool: the kernel takes the end of the *thread* that forked for
    /// our death.
    pub(crate) fn spawn(mut command: Command, channels: &[OwnedFd]) -> io::Result<Self> {
        // the channels themselves stay open meanwhile: as they were opened first, the standard library finds no low
        // place for the pipe it needs until the program runs
        between_fork_and_exec(&mut command, out_of_the_way(channels)?);
        let leader = CommandWrap::from(command).wrap(ProcessGroup::leader()).wrap(KillOnDrop).spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).expect("a child not yet waited for has a pid");
        Ok(Self { leader, group: Pid::from_raw(id), empty: false })
    }

    /// The standard streams, those that were asked to be pipes and not taken before.
    pub(crate) fn streams(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (self.leader.stdin().take(), self.leader.stdout().take(), self.leader.stderr().take())
    }

    /// Waits for the leader alone, whatever it left behind. Cancel safe.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        // the wrapper's own wait would also wait for group members we have adopted
        self.leader.inner_mut().wait().await
    }

    /// TERM to the group, KILL when the leader has not ended within `patience`. Returns once the
    /// leader has ended.
    pub(crate) async fn stop(&mut self, patience: Duration) {
        // an error means that the group is gone already, and the wait ends at once
        let _ = self.leader.signal(Signal::SIGTERM as i32);
        if tokio::time::timeout(patience, self.wait()).await.is_err() {
            let _ = self.leader.start_kill();
            let _ = self.wait().await;
        }
    }

    /// Kills what the leader left behind, again until nobody is left. The leader has ended.
    pub(crate) async fn sweep(&mut self) {
        let started = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(1);
        while let Ok(()) = self.leader.start_kill() {
            // orphans come to us where we are the first process, as in a container
            let _ = waitpid(Pid::from_raw(-self.group.as_raw()), Some(WaitPidFlag::WNOHANG));
            if started.elapsed() > SWEEP {
                tracing::warn!(group = self.group.as_raw(), "processes of a command are still there after KILL");
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        self.empty = true;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.empty {
            let _ = self.leader.start_kill();
        }
    }
}

/// Duplicates with numbers so high that none is where another is to go.
fn out_of_the_way(channels: &[OwnedFd]) -> io::Result<Vec<OwnedFd>> {
    let lowest = 3 + i32::try_from(channels.len()).unwrap_or(i32::MAX);
    let away = |channel: &OwnedFd| {
        let number = fcntl(channel, FcntlArg::F_DUPFD_CLOEXEC(lowest))?;
        #[expect(unsafe_code, reason = "makes an owner of a number that was just given to us")]
        // SAFETY: nobody else has it
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    channels.iter().map(away).collect()
}

/// What the new process does to itself before it becomes the program.
#[expect(
    unsafe_code,
    reason = "only system calls that are safe between fork and exec are made, and nothing is allocated"
)]
fn between_fork_and_exec(command: &mut Command, channels: Vec<OwnedFd>) {
    let parent = getpid();
    let prepare = move || {
        // a dump of a job's data belongs in no file
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        #[cfg(target_os = "linux")]
        {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // or we died before that line, and the signal will never come
            if getppid() != parent {
                return Err(Errno::ESRCH.into());
            }
            // Rust opens everything close-on-exec; this is for what others have handed to us.
            // Kernels before 5.11 do not know the flag, and then it stays at that.
            let (first, last) = (3 as libc::c_uint, libc::c_uint::MAX);
            // SAFETY: a system call on numbers, no memory involved
            unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
        }
        for (place, channel) in (3..).zip(&channels) {
            // SAFETY: the channel is open as long as this closure lives
            if unsafe { libc::dup2(channel.as_raw_fd(), place) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: see the reason above
    unsafe { command.pre_exec(prepare) };
}
