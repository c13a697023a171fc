//! A program and all it starts: started, told to stop, and gone for certain at the end. The command handler and the pools
//! of processes are its callers; a keeper does the work ([`super::keeper`]).
//!
//! The program leads a process group of its own. Nothing it starts outlives it, in its group or not: what is left is
//! killed when the program has ended, when it does not stop in time, when [`Child`] is dropped, and when we die without a
//! chance to do any of that.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::keeper::{Ended, Keeper, Keepers, Launch, NotStarted, Report};
use super::pipes::{self, Incoming};

/// How long what a program left behind may take to go after KILL. Longer only when the kernel cannot end a process.
const SWEEP: Duration = Duration::from_secs(1);

/// A running program.
pub(crate) struct Child {
    keepers: Keepers,
    /// None once it is at leisure.
    keeper: Option<Keeper>,
    pid: Pid,
    end: Option<Ended>,
    /// Nothing is left of it.
    is_gone: bool,
    /// It was told something, which its keeper may hear when it does not matter any more.
    is_told: bool,
}

/// What a program finds on its standard input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    /// This, and the end.
    Text(&'a [u8]),
    /// Whatever is written to [`Streams::stdin`].
    Open,
}

/// Our ends of the standard streams.
pub(crate) struct Streams {
    /// Does not block. Closed already when a text is written whole.
    pub(crate) stdin: Option<OwnedFd>,
    /// Bytes of the text that are written.
    pub(crate) written: usize,
    pub(crate) stdout: Incoming,
    pub(crate) stderr: Incoming,
}

impl Child {
    /// Starts the program; the channels become its descriptors 3 and up. Returns once it runs.
    ///
    /// Cancel safe: what has been started then is killed.
    pub(crate) async fn spawn(
        keepers: &Keepers,
        launch: &Launch,
        input: Input<'_>,
        channels: Vec<OwnedFd>,
    ) -> Result<(Self, Streams), NotStarted> {
        let (standard_input, stdin) = pipes::to_child()?;
        let (stdout, standard_output) = pipes::from_child()?;
        let (stderr, standard_error) = pipes::from_child()?;
        // as a rule all of it fits into the pipe
        let (stdin, written) = match input {
            Input::Open => (Some(stdin), 0),
            Input::Text(text) => {
                let written = if text.is_empty() { 0 } else { nix::unistd::write(&stdin, text).unwrap_or_default() };
                ((written < text.len()).then_some(stdin), written)
            }
        };
        let (keeper, pid) = {
            let standard = [&standard_input, &standard_output, &standard_error];
            let descriptors: Vec<_> = standard.into_iter().chain(&channels).map(AsFd::as_fd).collect();
            let launched = keepers.launch(launch, &descriptors).await;
            // or the end of a stream would never be seen
            drop((standard_input, standard_output, standard_error, channels));
            launched?
        };
        let (keepers, keeper) = (keepers.clone(), Some(keeper));
        let child = Self { keepers, keeper, pid, end: None, is_gone: false, is_told: false };
        Ok((child, Streams { stdin, written, stdout, stderr }))
    }

    /// The process that leads.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the program alone, whatever it left behind. An error: nobody knows what became of it. Cancel safe.
    pub(crate) async fn wait(&mut self) -> io::Result<Ended> {
        loop {
            if let Some(end) = self.end {
                return Ok(end);
            }
            self.hear().await?;
        }
    }

    /// TERM to the group, KILL to all when the program has not ended within `patience`. Returns once it has ended.
    pub(crate) async fn stop(&mut self, patience: Duration) {
        self.tell(Keeper::ask_to_stop);
        if tokio::time::timeout(patience, self.wait()).await.is_err() {
            self.kill();
            let _ = self.wait().await;
        }
    }

    /// KILL to the program and all it has started.
    pub(crate) fn kill(&mut self) {
        self.tell(Keeper::kill);
    }

    /// Waits until nothing is left of what the program left behind; it is being killed. The program has ended.
    pub(crate) async fn sweep(&mut self) {
        if !self.is_gone && tokio::time::timeout(SWEEP, self.gone()).await.is_err() {
            tracing::warn!(pid = self.pid.as_raw(), "processes of a program are still there after KILL");
        }
        // any other keeper goes on alone, and ends when it is done
        if let Some(keeper) = self.keeper.take()
            && self.is_gone
            && !self.is_told
        {
            self.keepers.put_back(keeper);
        }
    }

    async fn gone(&mut self) {
        while !self.is_gone && self.hear().await.is_ok() {}
    }

    async fn hear(&mut self) -> io::Result<()> {
        let keeper = self.keeper.as_mut().ok_or(Errno::ESRCH)?;
        match keeper.hear().await? {
            Report::Ended { end, is_alone } => (self.end, self.is_gone) = (Some(end), is_alone),
            Report::Gone => self.is_gone = true,
            Report::Started(_) | Report::NotStarted(..) => return Err(Errno::EPROTO.into()),
        }
        Ok(())
    }

    fn tell(&mut self, tell: impl FnOnce(&Keeper)) {
        self.is_told = true;
        if let Some(keeper) = &self.keeper {
            tell(keeper);
        }
    }
}
