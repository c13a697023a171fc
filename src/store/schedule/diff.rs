//! What a start or a reload would do about schedules: what stands in Redis and what the file says, compared.

use std::collections::{BTreeMap, BTreeSet};

use super::mark::{Mark, Origin};

/// What becomes of one schedule, or of a job scheduler that is not the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleStep {
    /// It is not there yet.
    Create,
    /// It is there with another definition; its next time stands where the times are the same.
    Change,
    Keep,
    /// The file says it no longer, or has it disabled.
    Remove,
    /// It is there with a higher revision, which holds: that definition is fired, not the file's.
    Outranked {
        revision: u32,
    },
    /// A job scheduler of that name is there that is not ours: the file's schedule never runs.
    Taken {
        by: Option<Origin>,
    },
    /// A job scheduler that is not ours and not the file's.
    Foreign {
        by: Option<Origin>,
    },
}

/// What stands under a job scheduler's id: text and meaning of its mark, `None` when it has none that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) mark: Option<(String, Mark)>,
}

/// A step for each schedule the file wants and each job scheduler seen, by name.
pub(super) fn diff(
    wanted: &BTreeMap<&str, &Mark>,
    seen: &BTreeMap<String, Seen>,
    owner: &str,
) -> BTreeMap<String, ScheduleStep> {
    let names: BTreeSet<&str> = wanted.keys().copied().chain(seen.keys().map(String::as_str)).collect();
    let step = |name: &str| {
        let Some(seen) = seen.get(name) else { return ScheduleStep::Create };
        let mark = seen.mark.as_ref().map(|(_, mark)| mark);
        let by = mark.map(|mark| mark.origin.clone());
        let own = mark.filter(|mark| mark.origin == Origin::File(owner.to_owned()));
        match (wanted.get(name), own) {
            (None, Some(_)) => ScheduleStep::Remove,
            (None, None) => ScheduleStep::Foreign { by },
            (Some(_), None) => ScheduleStep::Taken { by },
            (Some(wanted), Some(stored)) if *wanted == stored => ScheduleStep::Keep,
            (Some(wanted), Some(stored)) if wanted.revision < stored.revision => {
                ScheduleStep::Outranked { revision: stored.revision }
            }
            (Some(_), Some(_)) => ScheduleStep::Change,
        }
    };
    names.into_iter().map(|name| (name.to_owned(), step(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(owner: &str, revision: u32, hash: &str) -> Mark {
        Mark { origin: Origin::File(owner.into()), revision, hash: hash.into(), times: String::new() }
    }

    fn seen(mark: Mark) -> Seen {
        Seen { mark: Some((mark.text(), mark)) }
    }

    fn step(wanted: Option<&Mark>, stored: Option<Seen>) -> ScheduleStep {
        let wanted = wanted.map(|wanted| ("s", wanted)).into_iter().collect();
        let stored = stored.map(|stored| ("s".to_owned(), stored)).into_iter().collect();
        diff(&wanted, &stored, "me").remove("s").unwrap()
    }

    #[test]
    fn what_is_ours_follows_the_file() {
        let ours = mark("me", 0, "a");
        assert_eq!(step(Some(&ours), None), ScheduleStep::Create);
        assert_eq!(step(Some(&ours), Some(seen(ours.clone()))), ScheduleStep::Keep);
        assert_eq!(step(Some(&ours), Some(seen(mark("me", 0, "b")))), ScheduleStep::Change);
        assert_eq!(step(None, Some(seen(ours))), ScheduleStep::Remove);
    }

    #[test]
    fn f120_the_higher_revision_holds() {
        let ours = mark("me", 3, "a");
        assert_eq!(step(Some(&ours), Some(seen(mark("me", 4, "b")))), ScheduleStep::Outranked { revision: 4 });
        assert_eq!(step(Some(&ours), Some(seen(mark("me", 2, "b")))), ScheduleStep::Change);
        assert_eq!(step(Some(&ours), Some(seen(mark("me", 3, "b")))), ScheduleStep::Change);
    }

    #[test]
    fn what_is_others_is_left_alone() {
        let ours = mark("me", 9, "a");
        let other = mark("other", 0, "a");
        let by_hand = Mark { origin: Origin::Hand, ..ours.clone() };
        assert_eq!(step(Some(&ours), Some(Seen { mark: None })), ScheduleStep::Taken { by: None });
        assert_eq!(step(None, Some(Seen { mark: None })), ScheduleStep::Foreign { by: None });
        for stored in [other, by_hand] {
            let by = Some(stored.origin.clone());
            assert_eq!(step(Some(&ours), Some(seen(stored.clone()))), ScheduleStep::Taken { by: by.clone() });
            assert_eq!(step(None, Some(seen(stored))), ScheduleStep::Foreign { by });
        }
    }
}
