//! What is known about the server: kind, version, eviction, replicas.

use std::time::Duration;

use super::connection::Connection;
use super::error::Error;
use super::reply;

/// The program behind the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    Redis,
    Valkey,
    Dragonfly,
    KeyDb,
}

/// What `INFO` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    pub kind: ServerKind,
    /// The program's own version.
    pub version: String,
    /// The Redis version whose commands it has.
    pub redis_version: String,
    /// `maxmemory-policy`, where the server shows it.
    pub eviction: Option<String>,
    pub connected_replicas: u32,
    /// Changes when the server process does.
    pub run_id: String,
    /// Seconds since it started.
    pub uptime: u64,
}

/// What the server has used up since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerUsage {
    /// User and system time of its process.
    pub cpu: Duration,
    /// Commands processed, those inside scripts included.
    pub commands: u64,
}

impl ServerUsage {
    pub(super) async fn read(connection: &Connection) -> Result<Self, Error> {
        let text = reply::text("INFO", connection.call("INFO", vec!["all".into()]).await?)?;
        Self::parse(&text).ok_or_else(|| Error::Reply {
            what: "INFO",
            expected: "used_cpu_user, used_cpu_sys and total_commands_processed",
            got: format!("{} lines without them", text.lines().count()),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let seconds =
            |name| field(text, name)?.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Some(Self {
            cpu: seconds("used_cpu_user")? + seconds("used_cpu_sys")?,
            commands: field(text, "total_commands_processed")?.parse().ok()?,
        })
    }
}

/// One line of `INFO`, its name and colon taken off.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

impl ServerInfo {
    pub(crate) async fn read(connection: &Connection) -> Result<Self, Error> {
        let text = reply::text("INFO", connection.call("INFO", Vec::new()).await?)?;
        Ok(Self::parse(&text))
    }

    pub(super) fn parse(text: &str) -> Self {
        let field = |name: &str| field(text, name).map(str::to_owned);
        let redis_version = field("redis_version").unwrap_or_default();
        let (kind, version) = if let Some(version) = field("valkey_version") {
            (ServerKind::Valkey, version)
        } else if let Some(version) = field("dragonfly_version") {
            (ServerKind::Dragonfly, version)
        } else if field("executable").is_some_and(|path| path.contains("keydb")) {
            (ServerKind::KeyDb, redis_version.clone())
        } else {
            (ServerKind::Redis, redis_version.clone())
        };
        Self {
            kind,
            version,
            redis_version,
            eviction: field("maxmemory_policy"),
            connected_replicas: field("connected_slaves").and_then(|n| n.parse().ok()).unwrap_or(0),
            run_id: field("run_id").unwrap_or_default(),
            uptime: field("uptime_in_seconds").and_then(|n| n.parse().ok()).unwrap_or(0),
        }
    }

    /// Refuses servers without what the scripts use.
    pub(crate) fn require(&self) -> Result<(), Error> {
        let mut parts = self.redis_version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if version < (6, 2) {
            return Err(Error::Incompatible { found: self.to_string() });
        }
        Ok(())
    }

    /// False when the server may delete our keys to make room; unknown counts as true.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        self.eviction.as_deref().is_none_or(|policy| policy == "noeviction")
    }
}

impl std::fmt::Display for ServerInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            ServerKind::Redis => "redis",
            ServerKind::Valkey => "valkey",
            ServerKind::Dragonfly => "dragonfly",
            ServerKind::KeyDb => "keydb",
        };
        let version = if self.version.is_empty() { "of unknown version" } else { &self.version };
        write!(f, "{kind} {version}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused_and_relatives_known() {
        let old = ServerInfo::parse("redis_version:6.0.16\r\nmaxmemory_policy:noeviction\r\n");
        let error = old.require().unwrap_err().to_string();
        assert!(error.starts_with("redis 6.0.16 is too old: expected redis 6.2"), "{error}");
        for good in ["6.2.0", "7.0.15", "8.2.1", "10.0.0"] {
            ServerInfo::parse(&format!("redis_version:{good}\r\n")).require().unwrap();
        }
        assert!(ServerInfo::parse("").require().is_err());
        let valkey = ServerInfo::parse("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.0\r\n");
        assert_eq!((valkey.kind, valkey.to_string().as_str()), (ServerKind::Valkey, "valkey 9.1.0"));
        valkey.require().unwrap();
    }

    #[test]
    fn eviction_is_unknown_rather_than_wrong() {
        assert!(ServerInfo::parse("redis_version:7.0.0\r\n").keeps_everything());
        assert!(!ServerInfo::parse("maxmemory_policy:allkeys-lru\r\n").keeps_everything());
    }

    #[test]
    fn usage_is_read_or_missed() {
        let text = "used_cpu_sys:1.250000\r\nused_cpu_user:0.500000\r\ntotal_commands_processed:42\r\n";
        let expected = ServerUsage { cpu: Duration::from_millis(1750), commands: 42 };
        assert_eq!(ServerUsage::parse(text), Some(expected));
        assert_eq!(ServerUsage::parse("used_cpu_sys:1\r\n"), None);
    }
}
