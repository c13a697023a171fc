//! `oxherd schedule diff`: what a start or a reload would make of the schedules in Redis.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::print::{Colour, Out};
use super::super::session::Session;
use super::super::{Error, Exit};
use super::shown::when;
use crate::config::{self, Config, Daemon, Schedule, show_schedule};
use crate::daemon::escape;
use crate::job::QueueName;
use crate::store::{MAX_PAGE, Origin, ScheduleStep, Store};

/// Show what a start or reload of the configuration would do about schedules; changes nothing
///
/// Exit 0 when nothing would change, 1 when something would. Foreign schedules, those of other
/// daemons and those made by hand are named, and are left alone.
#[derive(Args)]
pub struct Diff {}

/// One schedule and what becomes of it.
struct Line {
    queue: QueueName,
    name: String,
    step: Step,
    /// What it is in the file, if it stands there.
    when: Option<String>,
}

enum Step {
    Of(ScheduleStep),
    /// By key: what is stored, and what the file says.
    Changed(Map<String, Value>),
    /// The file's own, in a queue that the file does not have any more: a reload looks there, a start does not.
    Stranded,
}

impl Diff {
    #[expect(clippy::unused_self, reason = "every verb is executed the same way")]
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        // without a file there is nothing to compare with
        config::load(&session.sources(false))?;
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let owner = config.daemon.name.as_deref().unwrap_or(Daemon::NAME);
            let lines = compare(&store, &config, owner).await?;
            let changes = lines.iter().filter(|line| line.step.changes()).count();
            if out.is_json() {
                let schedules: Vec<_> = lines.iter().map(Line::json).collect();
                out.json(&json!({"daemon": owner, "changes": changes, "schedules": schedules}))?;
            } else {
                lines.iter().try_for_each(|line| line.print(&mut out))?;
                out.line(summary(&lines))?;
            }
            out.flush()?;
            Ok(if changes == 0 { Exit::Done } else { Exit::No })
        })?
    }
}

async fn compare(store: &Store, config: &Config, owner: &str) -> Result<Vec<Line>, Error> {
    let mut wanted: BTreeMap<&QueueName, BTreeMap<&str, &Schedule>> =
        config.queues.values().map(|queue| (&queue.name, BTreeMap::new())).collect();
    for (name, schedule) in &config.schedules {
        wanted.entry(&schedule.queue).or_default().insert(name, schedule);
    }
    let mut lines = Vec::new();
    for (name, schedules) in &wanted {
        let queue = store.queue(name);
        let own: Vec<&Schedule> = schedules.values().copied().collect();
        let steps = queue.diff_schedules(&own, owner).await?;
        let changed: Vec<String> =
            steps.iter().filter(|(_, step)| **step == ScheduleStep::Change).map(|(name, _)| name.clone()).collect();
        let mut stored = BTreeMap::new();
        for ids in changed.chunks(MAX_PAGE) {
            let found = queue.schedulers_of(ids).await?.into_iter();
            stored.extend(found.filter_map(|found| Some((found.id, found.own?.schedule?))));
        }
        for (schedule, step) in steps {
            let file = schedules.get(schedule.as_str());
            let step = match (step, file, stored.get(&schedule)) {
                (ScheduleStep::Change, Some(file), Some(stored)) => Step::Changed(fields(stored, file)),
                (step, ..) => Step::Of(step),
            };
            let when = file.map(|file| when(&file.spec));
            lines.push(Line { queue: (*name).clone(), name: schedule, step, when });
        }
    }
    for queue in store.queue_names().await?.into_iter().filter(|queue| !wanted.contains_key(queue)) {
        for (name, step) in store.queue(&queue).diff_schedules(&[], owner).await? {
            if step == ScheduleStep::Remove {
                lines.push(Line { queue: queue.clone(), name, step: Step::Stranded, when: None });
            }
        }
    }
    Ok(lines)
}

/// The settings that differ, secrets covered; none where only covered ones do.
fn fields(stored: &Schedule, file: &Schedule) -> Map<String, Value> {
    let (Value::Object(mut stored), Value::Object(file)) = (show_schedule(stored), show_schedule(file)) else {
        return Map::new();
    };
    let mut differ = Map::new();
    for (key, file) in file {
        let stored = stored.remove(&key).unwrap_or_default();
        if stored != file {
            differ.insert(key, json!({"stored": stored, "file": file}));
        }
    }
    differ.extend(stored.into_iter().map(|(key, stored)| (key, json!({"stored": stored, "file": null}))));
    differ
}

impl Step {
    fn changes(&self) -> bool {
        match self {
            Self::Of(step) => matches!(step, ScheduleStep::Create | ScheduleStep::Change | ScheduleStep::Remove),
            Self::Changed(_) => true,
            Self::Stranded => false,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Of(ScheduleStep::Create) => "create",
            Self::Of(ScheduleStep::Change) | Self::Changed(_) => "change",
            Self::Of(ScheduleStep::Keep) => "keep",
            Self::Of(ScheduleStep::Remove) => "remove",
            Self::Of(ScheduleStep::Outranked { .. }) => "outranked",
            Self::Of(ScheduleStep::Taken { .. }) => "taken",
            Self::Of(ScheduleStep::Foreign { .. }) => "foreign",
            Self::Stranded => "stranded",
        }
    }
}

impl Line {
    fn json(&self) -> Value {
        let mut shown = json!({"queue": self.queue, "name": self.name, "step": self.step.word()});
        match &self.step {
            Step::Of(ScheduleStep::Outranked { revision }) => shown["revision"] = (*revision).into(),
            Step::Of(ScheduleStep::Taken { by } | ScheduleStep::Foreign { by }) => {
                shown["owner"] = match by {
                    Some(Origin::File(_)) => "file",
                    Some(Origin::Hand) => "hand",
                    None => "foreign",
                }
                .into();
                if let Some(Origin::File(daemon)) = by {
                    shown["daemon"] = daemon.as_str().into();
                }
            }
            Step::Changed(fields) => shown["fields"] = fields.clone().into(),
            Step::Of(_) | Step::Stranded => {}
        }
        shown
    }

    fn print(&self, out: &mut Out) -> Result<(), Error> {
        let (sign, colour, remark) = match &self.step {
            Step::Of(ScheduleStep::Create) => ('+', Colour::Green, self.when.clone().unwrap_or_default()),
            Step::Of(ScheduleStep::Change) | Step::Changed(_) => ('~', Colour::Yellow, String::new()),
            Step::Of(ScheduleStep::Remove) => ('-', Colour::Red, "no longer in the file, or not enabled".into()),
            Step::Of(ScheduleStep::Keep) => ('=', Colour::Dim, String::new()),
            Step::Of(ScheduleStep::Outranked { revision }) => {
                ('!', Colour::Yellow, format!("revision {revision} is in force and higher than the file's"))
            }
            Step::Of(ScheduleStep::Taken { by }) => {
                ('!', Colour::Red, format!("the file's never runs: the name is taken by one {}", made(by.as_ref())))
            }
            Step::Of(ScheduleStep::Foreign { by }) => ('?', Colour::Dim, format!("left alone: {}", made(by.as_ref()))),
            Step::Stranded => {
                let what = "neither it nor its queue is in the file any more: a reload removes it, a start does not";
                ('!', Colour::Yellow, what.into())
            }
        };
        let mut line = format!("{sign} {} in {}", escape::text(&self.name), self.queue);
        if !remark.is_empty() {
            write!(line, "  {}", escape::text(&remark)).expect("writing to a string cannot fail");
        }
        out.line(out.paint(colour, line))?;
        if let Step::Changed(fields) = &self.step {
            if fields.is_empty() {
                out.line("    in what is not shown, as secrets are")?;
            }
            for (key, values) in fields {
                let value = |of: &str| escape::text(&values[of].to_string()).into_owned();
                out.line(format_args!("    {key}: {} → {}", value("stored"), value("file")))?;
            }
        }
        Ok(())
    }
}

fn made(by: Option<&Origin>) -> String {
    match by {
        Some(Origin::File(daemon)) => format!("from the file of daemon {daemon:?}"),
        Some(Origin::Hand) => "made by hand".into(),
        None => "made by a BullMQ client".into(),
    }
}

fn summary(lines: &[Line]) -> String {
    let count = |words: &[&str]| lines.iter().filter(|line| words.contains(&line.step.word())).count();
    format!(
        "{} to create, {} to change, {} to remove, {} kept, {} left alone",
        count(&["create"]),
        count(&["change"]),
        count(&["remove"]),
        count(&["keep"]),
        count(&["outranked", "taken", "foreign", "stranded"])
    )
}
