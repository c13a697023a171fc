//! Which time zone is this host's? For cron patterns that name none.

use crate::job::Schedule;

/// The zone of the process: `TZ`, else the host's, else UTC. A name of the tz database.
///
/// Protocol: appendix A; BullMQ takes the same for a pattern without a zone.
#[must_use]
pub fn local_zone() -> String {
    let given = std::env::var("TZ").ok();
    of_host(given.as_deref()).unwrap_or_else(|| {
        tracing::warn!(
            TZ = given,
            "the time zone of this host is not known: cron patterns without one follow UTC; \
             set TZ to a name as in Europe/Berlin"
        );
        UNKNOWN.to_owned()
    })
}

/// What a host follows whose zone is not known.
pub(super) const UNKNOWN: &str = "UTC";

/// The zone of a host where `TZ` says this; `None` when it is not known.
pub(super) fn of_host(given: Option<&str>) -> Option<String> {
    match given.filter(|zone| !zone.is_empty()) {
        Some(zone) => named(zone),
        None => iana_time_zone::get_timezone().ok().and_then(|zone| named(&zone)),
    }
}

/// A zone's name, out of what stands in `TZ`: also with a colon in front, or as the path of its file.
fn named(text: &str) -> Option<String> {
    let text = text.trim_start_matches(':');
    let name = text.rsplit_once("zoneinfo/").map_or(text, |(_, name)| name);
    Schedule::parse_stored("0 0 * * *", Some(name)).is_ok().then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_as_tz_names_them() {
        for text in ["Europe/Berlin", ":Europe/Berlin", "/usr/share/zoneinfo/Europe/Berlin"] {
            assert_eq!(named(text).as_deref(), Some("Europe/Berlin"), "{text}");
        }
        assert_eq!(named("UTC").as_deref(), Some("UTC"));
        for text in ["CET-1CEST,M3.5.0,M10.5.0/3", "/etc/localtime", "nowhere"] {
            assert_eq!(named(text), None, "{text}");
        }
    }

    #[test]
    fn some_zone_is_found() {
        assert!(named(&local_zone()).is_some());
    }
}
