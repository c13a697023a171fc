//! What has become of schedules in this process, for those who look. The scheduler writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

use crate::job::{QueueName, UnixMillis};
use crate::store::Claim;

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduleSnapshot {
    pub queue: QueueName,
    pub name: String,
    /// How long ago its next time came that nobody has claimed yet.
    pub overdue: Duration,
    /// How late the last time was claimed that was claimed here.
    pub late: Duration,
    /// Times claimed here that brought jobs.
    pub fired: u64,
    /// Times claimed here without a job: the one before had not ended, or the schedule was paused.
    pub skipped: u64,
}

#[derive(Default)]
pub(crate) struct Timetable(Mutex<BTreeMap<(QueueName, Arc<str>), Row>>);

#[derive(Default, Clone, Copy)]
struct Row {
    /// `None` while its job waits for the one before to end.
    next: Option<UnixMillis>,
    late: Duration,
    fired: u64,
    skipped: u64,
}

impl Timetable {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<(QueueName, Arc<str>), Row>> {
        self.0.lock().expect("no code panics while holding this lock")
    }

    /// These are the schedules of the queue.
    pub(crate) fn read(&self, queue: &QueueName, standing: impl Iterator<Item = (Arc<str>, Option<UnixMillis>)>) {
        let mut rows = self.rows();
        let mut now = BTreeMap::new();
        for (name, next) in standing {
            let key = (queue.clone(), name);
            let row = rows.get(&key).copied().unwrap_or_default();
            now.insert(key, Row { next, ..row });
        }
        rows.retain(|(other, _), _| other != queue);
        rows.append(&mut now);
    }

    /// A time has come.
    pub(crate) fn came(&self, queue: &QueueName, name: &Arc<str>, next: Option<UnixMillis>, by: Claim, late: Duration) {
        let mut rows = self.rows();
        let row = rows.entry((queue.clone(), Arc::clone(name))).or_default();
        row.next = next;
        match by {
            Claim::Us { added, left } => {
                row.late = late;
                row.fired += u64::from(added > 0);
                row.skipped += left;
            }
            Claim::Paused => row.skipped += 1,
            Claim::Busy | Claim::Others => {}
        }
    }

    pub(crate) fn forget(&self, queue: &QueueName, name: &Arc<str>) {
        self.rows().remove(&(queue.clone(), Arc::clone(name)));
    }

    pub(crate) fn now(&self, now: UnixMillis) -> Vec<ScheduleSnapshot> {
        let rows = self.rows();
        let shown = rows.iter().map(|((queue, name), row)| ScheduleSnapshot {
            queue: queue.clone(),
            name: name.to_string(),
            overdue: row.next.map_or(Duration::ZERO, |next| now.since(next)),
            late: row.late,
            fired: row.fired,
            skipped: row.skipped,
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_nobody_claims_is_overdue_and_one_that_waits_is_not() {
        let (table, queue, name) = (Timetable::default(), QueueName::new("q").unwrap(), Arc::<str>::from("nightly"));
        table.read(&queue, [(Arc::clone(&name), Some(UnixMillis(1000)))].into_iter());
        let row = |now| table.now(UnixMillis(now)).remove(0);
        assert_eq!((row(500).overdue, row(61_000).overdue.as_secs()), (Duration::ZERO, 60));
        let late = Duration::from_secs(60);
        table.came(&queue, &name, Some(UnixMillis(100_000)), Claim::Us { added: 1, left: 0 }, late);
        table.came(&queue, &name, None, Claim::Busy, late);
        assert_eq!(row(900_000).overdue, Duration::ZERO);
        table.came(&queue, &name, Some(UnixMillis(100_000)), Claim::Us { added: 0, left: 1 }, late);
        table.came(&queue, &name, Some(UnixMillis(100_000)), Claim::Paused, late);
        table.came(&queue, &name, Some(UnixMillis(200_000)), Claim::Others, Duration::ZERO);
        // what was counted stays when it is read again, what is gone goes
        table.read(&queue, [(Arc::clone(&name), Some(UnixMillis(200_000)))].into_iter());
        let row = row(200_000);
        assert_eq!((row.fired, row.skipped, row.late, row.overdue), (1, 2, late, Duration::ZERO));
        table.read(&queue, std::iter::empty());
        assert!(table.now(UnixMillis(0)).is_empty());
    }
}
