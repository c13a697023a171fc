//! A private redis-server of our own, its data and socket in one directory.

use std::path::{Path, PathBuf};

use super::error::Error;

/// Where the server of this directory listens.
#[allow(clippy::unnecessary_wraps, reason = "a long path will be refused")]
pub(crate) fn socket_of(directory: &Path) -> Result<PathBuf, Error> {
    Ok(directory.join("redis.sock"))
}
