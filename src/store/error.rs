//! What can go wrong with Redis, by what the caller can do about it.

use std::time::Duration;

use super::reply::Code;
use crate::job::{JobId, QueueName};

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was sent. Try again when Redis is back.
    #[error("cannot reach redis at {server}: {reason}")]
    Unreachable { server: String, reason: String },
    /// Sent, but the answer was lost: it may or may not have run. Ask before repeating.
    #[error("no answer to {command} from redis at {server}: {reason}; it may or may not have been carried out")]
    Ambiguous { server: String, command: &'static str, reason: String },
    /// The server is in a state that passes; try again later. A plain command changed nothing; a script
    /// stopped at its first refused write, so scripts begin with a write that needs memory.
    #[error("redis refuses {command} for now: {message}")]
    Refused { command: &'static str, message: String },
    /// Credentials or rights are missing. `message` is the server's and holds no secret.
    #[error("redis at {server} denies {command}: {message}")]
    Denied { server: String, command: &'static str, message: String },
    /// A key holds something that is not BullMQ's.
    #[error("{command} met a key of another type: {message}; is another program using the same prefix?")]
    WrongType { command: &'static str, message: String },
    /// A script raised an error of its own.
    #[error("script {script} failed: {message}")]
    Script { script: &'static str, message: String },
    /// The state of the job does not allow it; nothing was changed.
    #[error("cannot {operation} job {id}: {code}")]
    Rejected { operation: &'static str, id: JobId, code: Code },
    /// Not without `force`: jobs are active.
    #[error(
        "queue {queue} has {active} active jobs; it is paused now, so that no more begin: try again when these have \
         ended, force it, or resume the queue"
    )]
    JobsActive { queue: QueueName, active: u64 },
    /// Any other error the server answered a command with.
    #[error("redis answered {command} with an error: {message}")]
    Command { command: &'static str, message: String },
    /// An answer we cannot read.
    #[error("unexpected answer to {what}: expected {expected}, got {got}")]
    Reply { what: &'static str, expected: &'static str, got: String },
    /// The server cannot do what we need.
    #[error("{found} is too old: expected redis 6.2 or newer, or any valkey; upgrade the server")]
    Incompatible { found: String },
    /// The settings contradict themselves or the machine.
    #[error("{0}")]
    Setup(String),
    /// The private server of an `embedded:` URL.
    #[error("private redis-server in {directory}: {reason}")]
    Embedded { directory: String, reason: String },
    /// Something that was waited for did not come.
    #[error("{what} took longer than {}s", .limit.as_secs())]
    Timeout { what: &'static str, limit: Duration },
}

impl Error {
    /// The same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Ambiguous { .. } | Self::Refused { .. } | Self::Timeout { .. })
    }

    /// The call may have been carried out although it failed.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous { .. })
    }

    /// Redis was not there (as opposed to: answered something we do not like).
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Ambiguous { .. })
    }

    /// Memory is used up: what only shortens or extends (PEXPIRE, DEL) is still allowed.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.starts_with("OOM"))
    }
}

/// What an error reply's first word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerError {
    NoScript,
    Passing,
    /// Passing too, and this server is no primary any more: look for it again.
    ReadOnly,
    Denied,
    WrongType,
    Other,
}

/// Sorts an error reply. Redis 6.2 wraps what a command inside a script answered, as in
/// `ERR Error running script (call to f_…): @user_script:1: -OOM command not allowed …`.
pub(crate) fn sort(text: &str) -> (ServerError, &str) {
    let of = |text: &str| match text.split([' ', '\r', '\n']).next().unwrap_or_default() {
        "NOSCRIPT" => ServerError::NoScript,
        "OOM" | "LOADING" | "BUSY" | "MISCONF" | "NOREPLICAS" | "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" => {
            ServerError::Passing
        }
        "READONLY" => ServerError::ReadOnly,
        "NOAUTH" | "WRONGPASS" | "NOPERM" => ServerError::Denied,
        "WRONGTYPE" => ServerError::WrongType,
        _ => ServerError::Other,
    };
    let plain = of(text);
    if plain != ServerError::Other {
        return (plain, text);
    }
    // what a script handed on after it had looked at it, as in `ERR user_script:283: READONLY You can't write …`
    if let Some((_, inner)) = text.strip_prefix("ERR user_script:").and_then(|rest| rest.split_once(": "))
        && of(inner) != ServerError::Other
    {
        return (of(inner), inner);
    }
    if text.starts_with("ERR Error running script")
        && let Some(at) = text.find(": -")
    {
        let inner = &text[at + 3..];
        return (of(inner), inner);
    }
    if text.starts_with("ERR invalid password")
        || text.starts_with("ERR AUTH")
        || text.contains("max number of clients")
    {
        let kind = if text.contains("clients") { ServerError::Passing } else { ServerError::Denied };
        return (kind, text);
    }
    // 7.0 and newer answer ACL violations inside scripts in their own words
    if text.contains("ACL failure in script") || text.contains("user executing the script can't") {
        return (ServerError::Denied, text);
    }
    (ServerError::Other, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_sorted_by_what_can_be_done() {
        let kinds = [
            ("NOSCRIPT No matching script. Please use EVAL.", ServerError::NoScript),
            ("OOM command not allowed when used memory > 'maxmemory'.", ServerError::Passing),
            ("LOADING Redis is loading the dataset in memory", ServerError::Passing),
            ("READONLY You can't write against a read only replica.", ServerError::ReadOnly),
            ("NOPERM this user has no permissions", ServerError::Denied),
            ("WRONGTYPE Operation against a key", ServerError::WrongType),
            ("ERR user_script:1: attempt to index nil", ServerError::Other),
            ("ERR max number of clients reached", ServerError::Passing),
            ("ERR user_script:283: READONLY You can't write against a read only replica.", ServerError::ReadOnly),
            ("ERR user_script:7: OOM command not allowed when used memory > 'maxmemory'.", ServerError::Passing),
        ];
        for (text, kind) in kinds {
            assert_eq!(sort(text).0, kind, "{text}");
        }
    }

    #[test]
    fn what_old_servers_wrap_in_a_script_error_is_found() {
        let text = "ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): \
                    @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.";
        assert_eq!(sort(text), (ServerError::ReadOnly, "READONLY You can't write against a read only replica."));
    }
}
