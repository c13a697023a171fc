//! The keys of what an application keeps beside its queues.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::escaped;

/// The keys below one prefix. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AppKeys {
    /// `P:`
    base: Arc<str>,
}

impl AppKeys {
    /// What no entity of the cache may be called in a key, since other things stand there.
    pub(crate) const TAKEN: [&str; 5] = ["limit", "presence", "session", "sessions", "tag"];

    pub(crate) fn new(prefix: &str) -> Self {
        Self { base: format!("{prefix}:").into() }
    }

    /// `P:`, what all of them begin with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// A value of the cache, under the name its key builder made.
    pub(crate) fn cached(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// The `MATCH` pattern for values of the cache, `name` being one already.
    pub(crate) fn cached_pattern(&self, name: &str) -> String {
        format!("{}{name}", escaped(&self.base))
    }

    /// The name in a key of the cache, as [`AppKeys::cached`] was given it; `None`: it is no such key.
    pub(crate) fn name<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        let name = std::str::from_utf8(key).ok()?.strip_prefix(&*self.base)?;
        let entity = name.split(':').next().unwrap_or_default();
        (!Self::TAKEN.contains(&entity)).then_some(name)
    }

    /// The set of the keys that bear a tag, by their whole names: what the `tag-delete` handler works on.
    pub(crate) fn tag(&self, tag: &str) -> String {
        format!("{}tag:{tag}", self.base)
    }

    /// What the keys of log-in sessions begin with; the members of the indexes are what follows.
    pub(crate) fn session_base(&self) -> String {
        format!("{}session:", self.base)
    }

    /// A log-in session, by its member in the index.
    pub(crate) fn session(&self, member: &str) -> String {
        format!("{}session:{member}", self.base)
    }

    /// The index of a user's log-in sessions, in one slot with them.
    pub(crate) fn sessions(&self, part: &str, user: &str) -> String {
        format!("{}sessions:{{{part}}}:{}", self.base, segment(user))
    }

    /// What is left of a limit; each kind of limit and each period has its own.
    pub(crate) fn limit(&self, action: &str, user: &str, kind: char, per_ms: i64) -> String {
        format!("{}limit:{}:{}:{kind}{per_ms}", self.base, segment(action), segment(user))
    }

    /// Who is in a room. Beside it stands the same with `:about`.
    pub(crate) fn presence(&self, room: &str) -> String {
        format!("{}presence:{{{}}}", self.base, segment(room))
    }
}

/// The longest name that stands in a key as it is.
const READABLE: usize = 64;

/// A name somebody else has chosen, as one segment of a key: two names are never the same segment. Letters, digits and
/// `.@+-_` stand for themselves, other bytes are written `%XX`, and of a long name stands `~` and its SHA-256.
fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b".@+-_".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            write!(segment, "%{byte:02X}").expect("writing to a String cannot fail");
        }
        if segment.len() > READABLE {
            return format!("~{}", URL_SAFE_NO_PAD.encode(digest(&SHA256, name.as_bytes())));
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_one_segment_each_and_never_the_same() {
        assert_eq!(segment("ann@example.org"), "ann@example.org");
        assert_eq!(segment("a:b{c} \0é%"), "a%3Ab%7Bc%7D%20%00%C3%A9%25");
        let long = "x".repeat(65);
        assert_eq!(segment(&long).len(), 44);
        // what looks like the hash of another is a name like any
        assert_ne!(segment(&segment(&long)), segment(&long));
        assert_ne!(segment(&"x".repeat(66)), segment(&long));
        assert_eq!(segment(&"x".repeat(64)), "x".repeat(64));
    }

    #[test]
    fn what_one_script_touches_is_in_one_slot() {
        let keys = AppKeys::new("app");
        assert_eq!(keys.session("{Zm}:H"), "app:session:{Zm}:H");
        assert_eq!(keys.sessions("Zm", "a}b"), "app:sessions:{Zm}:a%7Db");
        assert_eq!(keys.presence("room 7"), "app:presence:{room%207}");
        assert_eq!(keys.limit("log in", "7", 'w', 60_000), "app:limit:log%20in:7:w60000");
    }
}
