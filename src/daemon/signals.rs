//! OS signals → [`Command`]. Used by the daemon's main loop.

use std::io;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::Command;

/// The signals we listen to, from the moment of creation.
pub struct Signals {
    stream: signal_hook_tokio::Signals,
    stop_seen: bool,
}

impl Signals {
    /// Takes over TERM, INT, QUIT, HUP, USR1 and USR2 for this process.
    pub fn listen() -> io::Result<Self> {
        let stream = signal_hook_tokio::Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2])?;
        Ok(Self { stream, stop_seen: false })
    }

    /// The next order. Cancel safe. Never ends: a closed stream stays pending.
    pub async fn next(&mut self) -> Command {
        match self.stream.next().await {
            Some(signal) => self.command(signal),
            None => std::future::pending().await,
        }
    }

    fn command(&mut self, signal: i32) -> Command {
        match signal {
            SIGHUP => Command::Reload,
            SIGUSR1 => Command::Quiet,
            SIGUSR2 => Command::Report,
            SIGQUIT => Command::HandBack,
            // TERM or INT: the second one means that somebody is tired of waiting
            _ if self.stop_seen => Command::HandBack,
            _ => {
                self.stop_seen = true;
                Command::Stop
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_stop_skips_to_handing_back() {
        let mut signals = Signals::listen().unwrap();
        assert_eq!(signals.command(SIGHUP), Command::Reload);
        assert_eq!(signals.command(SIGTERM), Command::Stop);
        assert_eq!(signals.command(SIGUSR2), Command::Report);
        assert_eq!(signals.command(SIGINT), Command::HandBack);
        assert_eq!(signals.command(SIGQUIT), Command::HandBack);
    }

    #[tokio::test]
    async fn a_signal_arrives() {
        let mut signals = Signals::listen().unwrap();
        signal_hook::low_level::raise(SIGUSR1).unwrap();
        assert_eq!(signals.next().await, Command::Quiet);
    }
}
