//! The kernel under Redis, where that is this host's.

use std::fs;

use super::access::Way;
use super::codes::REDIS_HOST;
use super::facts::Facts;
use super::finding::{Finding, Known};

pub fn examine(facts: &Facts, way: &Known<Way>) -> Finding {
    if way.as_ref().is_ok_and(|way| *way != Way::Here) {
        return REDIS_HOST.unknown("Redis is on another host");
    }
    // a port of this host may lead elsewhere, as into a container
    let process = facts.number("process_id").ok().and_then(|id| fs::read_to_string(format!("/proc/{id}/comm")).ok());
    if !process.is_some_and(|name| ["redis", "valkey", "keydb"].iter().any(|known| name.contains(known))) {
        return REDIS_HOST.unknown("the process of Redis is not seen from here");
    }
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let settings = || -> Known<_> {
        Ok((read("/proc/sys/vm/overcommit_memory")?, read("/sys/kernel/mm/transparent_hugepage/enabled")?))
    };
    REDIS_HOST.judge(settings(), |_, (overcommit, huge)| verdict(overcommit.trim(), huge.trim()))
}

fn verdict(overcommit: &str, huge: &str) -> Finding {
    let mut seen = Vec::new();
    if overcommit != "1" {
        seen.push(format!("vm.overcommit_memory is {overcommit}: saving may fail when memory is short"));
    }
    if huge.contains("[always]") {
        seen.push("transparent huge pages are always on: saving uses more memory and makes Redis slow".to_owned());
    }
    if seen.is_empty() { REDIS_HOST.ok("as Redis wants it") } else { REDIS_HOST.note(seen.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::checkup::Severity;

    #[test]
    fn settings_that_redis_warns_of_are_told() {
        assert_eq!(verdict("1", "always [madvise] never").severity, Severity::Ok);
        assert_eq!(verdict("0", "always [madvise] never").severity, Severity::Note);
        assert_eq!(verdict("1", "[always] madvise never").severity, Severity::Note);
    }
}
