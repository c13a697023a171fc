//! Every case of `cron-next.v6.json`: what BullMQ 6.7.0 answered, and where we mean to differ.

use serde::Deserialize;

use super::super::{Schedule, ScheduleError};
use super::at;
use crate::job::UnixMillis;

const CASES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cron/cron-next.v6.json"));

/// Where we differ, each with the reason. A case that agrees must not stand here.
const DIFFERENCES: [(&str, &str, &str); 4] = [
    ("0 0 31 4,6 *", "UTC", "never comes: we refuse it where BullMQ schedules nothing and says nothing"),
    ("0 0 * * *", "America/Sao_Paulo", "midnight is skipped: we run at 01:00 where BullMQ drops the day"),
    ("30 0 * * *", "Africa/Cairo", "00:30 is skipped: we run at 01:30 where BullMQ drops the day"),
    ("15 2 * * *", "Australia/Lord_Howe", "02:15 is skipped: we run at 02:45 where BullMQ drops the day"),
];

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    pattern: String,
    tz: String,
    from: String,
    start_date: Option<String>,
    end_date: Option<String>,
    next: Vec<String>,
    end: Option<String>,
}

/// What an implementation answers: the first times, and how they ended.
#[derive(Debug, PartialEq)]
enum Answer {
    Refused,
    Times { times: Vec<UnixMillis>, ended: bool },
}

impl Case {
    fn theirs(&self) -> Answer {
        match &self.end {
            Some(end) if end.starts_with("error") => Answer::Refused,
            end => Answer::Times { times: self.next.iter().map(|time| at(time)).collect(), ended: end.is_some() },
        }
    }

    fn ours(&self) -> Result<Answer, ScheduleError> {
        let schedule = Schedule::parse(&self.pattern, Some(&self.tz))?;
        let start = self.start_date.as_deref().map_or(UnixMillis(i64::MIN), at);
        let end = self.end_date.as_deref().map_or(UnixMillis(i64::MAX), at);
        let mut last = at(&self.from);
        let mut times = Vec::new();
        while times.len() < 5 {
            match schedule.next_after(last.max(start)).filter(|next| *next <= end) {
                Some(next) => last = next,
                None => return Ok(Answer::Times { times, ended: true }),
            }
            times.push(last);
        }
        Ok(Answer::Times { times, ended: false })
    }

    fn difference(&self) -> Option<&'static str> {
        let listed = |(pattern, zone, _): &&(&str, &str, &str)| *pattern == self.pattern && *zone == self.tz;
        DIFFERENCES.iter().find(listed).map(|(_, _, reason)| *reason)
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the list of differences is for people to read")]
fn next_times_are_those_of_bullmq() {
    let file: File = serde_json::from_str(CASES).unwrap();
    let (mut agreed, mut differ, mut wrong) = (0, Vec::new(), Vec::new());
    for case in &file.cases {
        let (theirs, ours) = (case.theirs(), case.ours());
        let said = format!("{:?} in {} from {}", case.pattern, case.tz, case.from);
        let agrees = theirs == *ours.as_ref().unwrap_or(&Answer::Refused);
        match case.difference() {
            None if agrees => agreed += 1,
            None => wrong.push(format!("{said}: BullMQ says {theirs:?}, we say {ours:?}")),
            Some(_) if agrees => wrong.push(format!("{said}: is listed as a difference and agrees")),
            Some(reason) => differ.push(format!("{said}: {reason}")),
        }
    }
    let differences = differ.join("\n  ");
    // shown with --nocapture, and when the test fails
    eprintln!("{agreed} of {} cases agree; these differ on purpose:\n  {differences}", file.cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(differ.len(), DIFFERENCES.len(), "a listed difference is no case, or is several");
    assert!(agreed > 100, "only {agreed} cases were held against BullMQ's");
}
