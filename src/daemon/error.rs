//! What keeps the daemon from starting.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::{engine, handler};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("state directory {} is held by {holder}; give this daemon a state_dir of its own", path.display())]
    Held { path: PathBuf, holder: String },
    #[error("cannot use state directory {}; check that it is writable, or set daemon.state_dir", path.display())]
    State {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error("cannot listen on {address}; set {key} to an address that is free")]
    Listen {
        key: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot start the log")]
    Log(#[source] io::Error),
    #[error(
        "log level {0:?} is not understood; expected error, warn, info, debug, trace or a list such as \"info,oxherd::store=debug\""
    )]
    LogLevel(String),
    #[error("cannot send traces; check [traces]")]
    Traces(#[source] handler::Refused),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("the engine has panicked; the log says where")]
    Panicked,
}
