//! A schedule as people and programs are shown it.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::super::time::roughly;
use crate::config::units::show_duration;
use crate::job::schedule::local;
use crate::job::{QueueName, SchedulerSpec, State, UnixMillis, millis};
use crate::store::{LastRun, NEVER, Origin, StoredScheduler};

/// The columns of a list of schedules.
pub const HEAD: [&str; 11] =
    ["NAME", "QUEUE", "WHEN", "NEXT", "LAST", "OUTCOME", "OWNER", "PAUSED", "KEPT BY", "ITERATIONS", "JOB"];

/// How moments are shown.
pub struct Clock<'a> {
    pub now: UnixMillis,
    pub zone: &'a str,
}

impl Clock<'_> {
    /// `2027-03-28 03:00:00 +02:00`.
    pub fn wall(&self, at: UnixMillis) -> String {
        // fractions only where there are any
        local(at, self.zone).format("%Y-%m-%d %H:%M:%S%.f %:z").to_string()
    }

    /// `2027-03-28 03:00:00 +02:00, in 5h 3m`.
    pub fn at_and_in(&self, at: UnixMillis) -> String {
        let ahead = at.0.saturating_sub(self.now.0);
        let distance = if ahead < 0 { format!("{} ago", roughly(-ahead)) } else { format!("in {}", roughly(ahead)) };
        format!("{}, {distance}", self.wall(at))
    }

    /// As `schedule next` has it.
    pub fn moment(&self, at: UnixMillis) -> Map<String, Value> {
        let wall = local(at, self.zone).to_rfc3339_opts(SecondsFormat::AutoSi, false);
        Map::from_iter([("at".to_owned(), wall.into()), ("ms".to_owned(), json!(at))])
    }
}

/// One schedule with all that is shown of it.
pub struct Shown<'a> {
    pub queue: &'a QueueName,
    pub stored: &'a StoredScheduler,
    pub last: Option<&'a LastRun>,
    pub now: UnixMillis,
    /// That of patterns which name none, and of intervals.
    pub zone: &'a str,
}

impl Shown<'_> {
    pub fn cells(&self) -> Vec<String> {
        let spec = self.spec();
        let last = |cell: &dyn Fn(&LastRun) -> String| self.last.map(cell).unwrap_or_default();
        vec![
            self.stored.id.clone(),
            self.queue.to_string(),
            spec.map(when).unwrap_or_default(),
            next(self.stored).map(|next| self.clock().at_and_in(next)).unwrap_or_default(),
            last(&|last| last.slot.map(|slot| self.clock().wall(slot)).unwrap_or_default()),
            last(&|last| outcome(last).to_owned()),
            match self.origin() {
                Some(Origin::File(daemon)) => format!("file of {daemon}"),
                Some(Origin::Hand) => "by hand".to_owned(),
                None => "foreign".to_owned(),
            },
            if self.is_paused() { "yes" } else { "no" }.to_owned(),
            self.keeper().to_owned(),
            self.iterations().map(|count| count.to_string()).unwrap_or_default(),
            last(&|last| last.id.to_string()),
        ]
    }

    pub fn json(&self) -> Value {
        let spec = self.spec();
        let owner = match self.origin() {
            Some(Origin::File(_)) => "file",
            Some(Origin::Hand) => "hand",
            None => "foreign",
        };
        let last = self.last.map(|last| {
            let mut shown = last.slot.map(|slot| self.clock().moment(slot)).unwrap_or_default();
            shown.insert("job".into(), json!(last.id));
            shown.insert("outcome".into(), outcome(last).into());
            shown.insert("finishedOn".into(), json!(last.finished));
            shown
        });
        let mut shown = json!({
            "name": self.stored.id,
            "queue": self.queue,
            "cron": spec.and_then(|spec| spec.pattern.as_deref()),
            "everyMs": spec.and_then(|spec| spec.every).map(millis),
            "timezone": spec.and_then(|spec| spec.timezone.as_deref()),
            "next": next(self.stored).map(|next| self.clock().moment(next)),
            "last": last,
            "owner": owner,
            "paused": self.is_paused(),
            "keptBy": self.keeper(),
            "iterations": self.iterations(),
        });
        if let Some(Origin::File(daemon)) = self.origin() {
            shown["daemon"] = daemon.as_str().into();
        }
        let own = self.stored.own.as_ref().and_then(|own| own.schedule.as_ref());
        if let Some(description) = own.and_then(|schedule| schedule.description.as_deref()) {
            shown["description"] = description.into();
        }
        shown
    }

    /// Whose software has each job followed by the next.
    fn keeper(&self) -> &'static str {
        match &self.stored.own {
            None => "bullmq",
            Some(own) if own.schedule.as_ref().is_some_and(|schedule| schedule.fits_bullmq().is_ok()) => "bullmq",
            Some(_) => "oxherd",
        }
    }

    fn clock(&self) -> Clock<'_> {
        Clock { now: self.now, zone: self.spec().and_then(|spec| spec.timezone.as_deref()).unwrap_or(self.zone) }
    }

    fn spec(&self) -> Option<&SchedulerSpec> {
        self.stored.definition.as_ref().map(|definition| &definition.spec)
    }

    fn origin(&self) -> Option<&Origin> {
        self.stored.own.as_ref().map(|own| &own.mark.origin)
    }

    fn is_paused(&self) -> bool {
        self.stored.own.as_ref().is_some_and(|own| own.is_paused)
    }

    fn iterations(&self) -> Option<u64> {
        self.stored.definition.as_ref().and_then(|definition| definition.iterations)
    }
}

/// When it comes next; `None` when no further time comes.
pub fn next(stored: &StoredScheduler) -> Option<UnixMillis> {
    stored.next.filter(|next| *next < NEVER)
}

/// `0 3 * * * Europe/Oslo`, `every 30m`.
pub fn when(spec: &SchedulerSpec) -> String {
    match (&spec.pattern, &spec.timezone, spec.every) {
        (Some(pattern), Some(zone), _) => format!("{pattern} {zone}"),
        (Some(pattern), None, _) => pattern.clone(),
        (None, _, Some(every)) => format!("every {}", show_duration(every)),
        (None, _, None) => String::new(),
    }
}

fn outcome(last: &LastRun) -> &'static str {
    last.state.map_or("removed", State::as_str)
}
