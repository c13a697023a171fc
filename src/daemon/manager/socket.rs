//! The socket a service manager listens on, `sd_notify(3)`: each datagram tells it something.
//!
//! Nothing waits for the manager. What it has no room for is lost, so whatever matters is told again.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use sd_notify::NotifyState;

/// Where the manager wants to be told.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Ready to tell it.
#[derive(Debug)]
pub(super) struct Socket {
    ours: UnixDatagram,
    manager: SocketAddr,
}

impl Socket {
    /// Nothing where no manager wants to be told.
    pub(super) fn from_env() -> Option<io::Result<Self>> {
        let name = std::env::var_os(VARIABLE).filter(|name| !name.is_empty())?;
        Some(Self::to(&name))
    }

    /// `name` is a path, or a name without one (`@…`), as podman and session managers have them.
    pub(super) fn to(name: &OsStr) -> io::Result<Self> {
        let manager = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            #[cfg(target_os = "linux")]
            [b'@', rest @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(rest)?,
            _ => {
                let what = format!("{VARIABLE} is {}; expected a path from / on, or @NAME", name.display());
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
        };
        let ours = UnixDatagram::unbound()?;
        ours.set_nonblocking(true)?;
        Ok(Self { ours, manager })
    }

    /// Whether the manager has been told all of it, in this order.
    pub(super) fn tell(&self, news: &[NotifyState]) -> bool {
        let message: Vec<String> = news.iter().map(ToString::to_string).collect();
        // the manager may be started anew, so it is looked for each time
        match self.ours.send_to_addr(message.join("\n").as_bytes(), &self.manager) {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(%error, "the service manager cannot be told");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_by_path_and_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("oxherd-test-{}", std::process::id());
        let address = <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (manager, name) in [(by_path, path.into_os_string()), (by_name, format!("@{name}").into())] {
            let socket = Socket::to(&name).unwrap();
            assert!(socket.tell(&[NotifyState::Ready, NotifyState::Status("working")]));
            let mut message = [0; 64];
            let length = manager.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1\nSTATUS=working");
        }
    }

    #[test]
    fn a_manager_that_is_away_or_reads_nothing_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = Socket::to(path.as_os_str()).unwrap();
        assert!(!socket.tell(&[NotifyState::Watchdog]));
        let manager = UnixDatagram::bind(&path).unwrap();
        let told = (0..100_000).take_while(|_| socket.tell(&[NotifyState::Watchdog])).count();
        assert!((1..100_000).contains(&told), "{told}");
        manager.recv(&mut [0; 64]).unwrap();
        assert!(socket.tell(&[NotifyState::Watchdog]));
    }

    #[test]
    fn what_is_no_address_is_named() {
        for name in ["vsock:2:1234", "relative"] {
            let error = Socket::to(OsStr::new(name)).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("expected a path"), "{error}");
        }
    }
}
