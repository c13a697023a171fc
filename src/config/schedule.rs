//! `[schedules.NAME]`: one recurring job.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::job::schedule::local;
use crate::job::{JobOptions, QueueName, SchedulerSpec, UnixMillis};

/// When a job comes back, what it is, and what happens when times are missed or meet.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The table's name, and the id of the job scheduler in Redis.
    pub name: String,
    pub queue: QueueName,
    /// Pattern or interval, zone, first and last moment, most times; the offset, `immediately` and the mark are not the
    /// file's to say. A pattern read from a file always has its zone.
    pub spec: SchedulerSpec,
    /// Name of the jobs.
    pub job_name: String,
    /// JSON text; may hold `{scheduled.date}`, `{scheduled.time}` and `{scheduled.ms}`.
    pub data: Box<RawValue>,
    pub opts: JobOptions,
    pub overlap: Overlap,
    pub catch_up: CatchUp,
    /// Times missed for longer than this are gone.
    pub catch_up_window: Duration,
    /// Jobs come up to this much later than their time, each schedule always by the same.
    pub jitter: Duration,
    pub description: Option<String>,
    pub enabled: bool,
    /// Of two definitions under one name the one with the higher revision holds; of equal ones that loaded last.
    pub revision: u32,
}

/// What happens at a time whose predecessor's job has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// No job comes.
    #[default]
    Skip,
    /// One job comes and waits for the one that runs to end; while it waits, no further one comes.
    Queue,
    Allow,
}

/// What becomes of times that nobody was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    None,
    /// The latest of them is made up for, once.
    #[default]
    Last,
    /// Each of them.
    All,
}

impl Overlap {
    /// As a file says it.
    pub const WORDS: [(&'static str, Self); 3] = [("skip", Self::Skip), ("queue", Self::Queue), ("allow", Self::Allow)];
}

impl CatchUp {
    /// As a file says it.
    pub const WORDS: [(&'static str, Self); 3] = [("none", Self::None), ("last", Self::Last), ("all", Self::All)];
}

impl Schedule {
    /// The window of a schedule that names none.
    pub const CATCH_UP_WINDOW: Duration = Duration::from_secs(24 * 3600);

    /// What the data may hold in a text: `{scheduled.date}` and so on.
    pub const PLACEHOLDERS: [&'static str; 3] = ["scheduled.date", "scheduled.time", "scheduled.ms"];

    /// Bounds of an interval.
    pub const SHORTEST: Duration = Duration::from_millis(100);
    pub const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

    /// Longest name in characters: it is part of each job's id.
    pub const LONGEST_NAME: usize = 256;

    /// Whether a schedule may have this name.
    pub fn is_name(name: &str) -> bool {
        !name.is_empty()
            && name.chars().count() <= Self::LONGEST_NAME
            && !name.chars().any(|c| c == ':' || c.is_control())
    }

    /// What stands in a text like a placeholder and is none, as `scheduled.day`.
    pub fn unknown_placeholders(text: &str) -> impl Iterator<Item = &str> {
        text.match_indices("{scheduled").filter_map(|(at, _)| {
            let name = text[at + 1..].split('}').next().unwrap_or_default();
            let is_known = Self::PLACEHOLDERS.contains(&name) && text[at + 1 + name.len()..].starts_with('}');
            let looks_like_one = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
            (!is_known && looks_like_one).then_some(name)
        })
    }

    /// Whether the data differs from one time to the next.
    #[must_use]
    pub fn has_placeholders(&self) -> bool {
        let data = self.data.get();
        data.contains(MARK) && Self::PLACEHOLDERS.iter().any(|name| data.contains(&format!("{{{name}}}")))
    }

    /// The data of the job of this time, placeholders filled in as the clocks of the schedule's zone have it; `zone`
    /// where it names none.
    #[must_use]
    pub fn render(&self, at: UnixMillis, zone: &str) -> Box<RawValue> {
        if !self.has_placeholders() {
            return self.data.clone();
        }
        let wall = local(at, self.spec.timezone.as_deref().unwrap_or(zone));
        let values = [wall.format("%Y-%m-%d").to_string(), wall.format("%H:%M:%S").to_string(), at.to_string()];
        // a brace with a dot behind its word is nothing in JSON but text, and digits need no escape there
        let filled = Self::PLACEHOLDERS
            .iter()
            .zip(values)
            .fold(self.data.get().to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), &value));
        RawValue::from_string(filled).expect("digits within a text of JSON are JSON")
    }

    /// Whether a BullMQ job scheduler says all there is to this schedule, so that BullMQ workers and dashboards treat
    /// it as oxherd does; else the settings it has no place for.
    ///
    /// Such a scheduler makes up for its last time however long ago that was. That is no reason against it unless the
    /// schedule names a window of its own.
    pub fn fits_bullmq(&self) -> Result<(), Vec<&'static str>> {
        let reasons = [
            (self.overlap != Overlap::Allow, "overlap"),
            (self.catch_up != CatchUp::Last, "catch_up"),
            (self.catch_up_window != Self::CATCH_UP_WINDOW, "catch_up_window"),
            (!self.jitter.is_zero(), "jitter"),
            (self.has_placeholders(), "placeholders in data"),
        ];
        let reasons: Vec<_> = reasons.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name).collect();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }
}

/// What every placeholder begins with.
const MARK: &str = "{scheduled.";

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        let data = self.data.get() == other.data.get();
        data && (&self.name, &self.queue, &self.spec, &self.job_name, &self.opts, &self.description)
            == (&other.name, &other.queue, &other.spec, &other.job_name, &other.opts, &other.description)
            && (self.overlap, self.catch_up, self.catch_up_window, self.jitter, self.enabled, self.revision)
                == (other.overlap, other.catch_up, other.catch_up_window, other.jitter, other.enabled, other.revision)
    }
}

#[cfg(test)]
impl Schedule {
    /// Three o'clock each night, everything else as a file has it that says nothing.
    pub(crate) fn sample(name: &str, queue: &str) -> Self {
        Self {
            name: name.into(),
            queue: QueueName::new(queue).unwrap(),
            spec: SchedulerSpec { pattern: Some("0 3 * * *".into()), ..SchedulerSpec::default() },
            job_name: name.into(),
            data: RawValue::from_string("{}".into()).unwrap(),
            opts: JobOptions::default(),
            overlap: Overlap::default(),
            catch_up: CatchUp::default(),
            catch_up_window: Self::CATCH_UP_WINDOW,
            jitter: Duration::ZERO,
            description: None,
            enabled: true,
            revision: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(data: &str) -> Schedule {
        let data = RawValue::from_string(data.into()).unwrap();
        Schedule { data, overlap: Overlap::Allow, ..Schedule::sample("s", "q") }
    }

    // 2027-03-28 00:30 in UTC, half an hour before the clocks of Oslo go forward
    const AT: UnixMillis = UnixMillis(1_806_193_800_000);

    #[test]
    fn placeholders_show_the_clock_of_the_zone() {
        let data = r#"{"day":"{scheduled.date}","at":"{scheduled.date}T{scheduled.time}","n":["{scheduled.ms}"],"{x}":"{{a}}"}"#;
        let mut schedule = schedule(data);
        let rendered = |schedule: &Schedule, at, zone| schedule.render(at, zone).get().to_owned();
        assert_eq!(
            rendered(&schedule, AT, "America/New_York"),
            r#"{"day":"2027-03-27","at":"2027-03-27T20:30:00","n":["1806193800000"],"{x}":"{{a}}"}"#
        );
        schedule.spec.timezone = Some("Europe/Oslo".into());
        let text = rendered(&schedule, UnixMillis(AT.0 + 3_600_000), "America/New_York");
        assert!(text.contains("2027-03-28T03:30:00"), "{text}");
        // a zone that is long gone, a moment no calendar has: still an answer
        schedule.spec.timezone = Some("Nowhere".into());
        assert!(rendered(&schedule, UnixMillis(i64::MAX), "UTC").contains("1970-01-01"));
    }

    #[test]
    fn data_without_placeholders_is_left_as_it_is() {
        let schedule = schedule(r#"{ "a" : "{scheduled}", "b": "{scheduled.soon}" }"#);
        assert!(!schedule.has_placeholders());
        assert_eq!(schedule.render(AT, "UTC").get(), schedule.data.get());
    }

    #[test]
    fn what_bullmq_has_no_place_for_is_named() {
        assert_eq!(schedule("{}").fits_bullmq(), Ok(()));
        let odd = Schedule {
            overlap: Overlap::Skip,
            catch_up: CatchUp::All,
            catch_up_window: Duration::from_secs(1),
            jitter: Duration::from_secs(1),
            ..schedule(r#""{scheduled.ms}""#)
        };
        let all = vec!["overlap", "catch_up", "catch_up_window", "jitter", "placeholders in data"];
        assert_eq!(odd.fits_bullmq(), Err(all));
    }
}
