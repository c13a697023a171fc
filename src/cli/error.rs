//! Why a verb did not do what it was asked, and with which exit code that ends.

use std::io;

use super::bulk::BulkError;
use super::exit::Exit;
use crate::{config, daemon, engine, handler, store};

/// A verb's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The answer is no.
    #[error("{0}")]
    No(String),
    /// Arguments that only make sense together, or only apart.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Input(String),
    #[error(transparent)]
    Bulk(#[from] BulkError),
    #[error("redis does not answer: {0}")]
    NoAnswer(String),
    /// No daemon is there to be told something.
    #[error("{0}")]
    Absent(String),
    /// A daemon that was told something.
    #[error(transparent)]
    Silent(#[from] daemon::NoAnswer),
    /// Printed as the problems themselves.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A handler that cannot be built from its settings.
    #[error(transparent)]
    Handler(#[from] handler::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Daemon(#[from] daemon::Error),
    #[error("cannot write the result")]
    Output(#[from] io::Error),
    #[error("cannot start: {what}")]
    Start {
        what: &'static str,
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub fn exit(&self) -> Exit {
        match self {
            Self::No(_) => Exit::No,
            Self::Usage(_) => Exit::Usage,
            Self::Input(_) | Self::Bulk(_) => Exit::BadInput,
            Self::NoAnswer(_) | Self::Absent(_) => Exit::Unreachable,
            Self::Silent(error) => match error {
                daemon::NoAnswer::NotOurs(_) => Exit::NoPermission,
                daemon::NoAnswer::Unreadable(source) => io_exit(source),
                _ => Exit::Unreachable,
            },
            Self::Config(_) | Self::Handler(_) => Exit::Refused,
            Self::Store(error) => store_exit(error),
            Self::Daemon(error) => daemon_exit(error),
            Self::Output(error) => io_exit(error),
            Self::Start { source, .. } => io_exit(source),
        }
    }

    /// Whoever read our output has gone away, and that is their right.
    pub fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl Error {
    /// The failure and its causes as one line of text.
    pub fn one_line(&self) -> String {
        if let Self::Config(error) = self {
            let first = error.problems.first().map_or("no reason given", |problem| problem.message.as_str());
            return match error.problems.len() {
                0 | 1 => first.to_owned(),
                n => format!("{first} (and {} more problems)", n - 1),
            };
        }
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

fn store_exit(error: &store::Error) -> Exit {
    match error {
        store::Error::Denied { .. } => Exit::NoPermission,
        store::Error::Setup(_) => Exit::Refused,
        store::Error::Rejected { .. } | store::Error::JobsActive { .. } => Exit::No,
        error if error.is_temporary() => Exit::Unreachable,
        store::Error::Embedded { .. } | store::Error::Incompatible { .. } => Exit::Unreachable,
        _ => Exit::Internal,
    }
}

fn daemon_exit(error: &daemon::Error) -> Exit {
    match error {
        daemon::Error::State { source, .. } | daemon::Error::Listen { source, .. } => io_exit(source),
        daemon::Error::LogLevel(_)
        | daemon::Error::Traces(_)
        | daemon::Error::Engine(engine::Error::NoQueues | engine::Error::UnknownQueue { .. }) => Exit::Refused,
        daemon::Error::Engine(engine::Error::Store(error)) => store_exit(error),
        daemon::Error::Held { .. }
        | daemon::Error::Signals(_)
        | daemon::Error::Log(_)
        | daemon::Error::Thread(_)
        | daemon::Error::Engine(_)
        | daemon::Error::Panicked => Exit::Internal,
    }
}

fn io_exit(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::PermissionDenied { Exit::NoPermission } else { Exit::Internal }
}
