//! `oxherd schedule next`: when the schedules of the file come.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset, SecondsFormat};
use clap::Args;
use serde_json::{Map, json};

use super::super::print::Colour;
use super::super::session::Session;
use super::super::value::{self, Since};
use super::super::{Error, Exit};
use crate::config::units::show_duration;
use crate::config::{self, Config, Schedule};
use crate::daemon::escape;
use crate::job::schedule::{ClockChange, day, local};
use crate::job::{self, Times, UnixMillis};

/// Show when schedules come; needs no Redis
///
/// The times are those before jitter. Marked are those that a change of the clocks moved, or that
/// the clocks show twice.
#[derive(Args)]
pub struct Next {
    /// Name of the schedule; without it, every one of the file
    name: Option<String>,
    /// Show so many times of each
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Begin behind this moment, or with this day: 2027-03-28T03:00:00+02:00, 2027-03-28
    #[arg(long, value_name = "MOMENT|DAY", value_parser = value::since)]
    from: Option<Since>,
}

/// A time to be shown.
struct Time {
    at: UnixMillis,
    wall: DateTime<FixedOffset>,
    change: Option<ClockChange>,
}

impl Next {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (config, _) = config::load(&session.sources(false))?;
        let host = config::local_zone();
        let mut shown = Map::new();
        for (n, schedule) in self.chosen(&config)?.into_iter().enumerate() {
            let zone = schedule.spec.timezone.as_deref().or(config.daemon.timezone.as_deref()).unwrap_or(&host);
            let times = self.times(schedule, zone)?;
            if session.out.is_json() {
                shown.insert(schedule.name.clone(), times.iter().map(json).collect());
            } else {
                print(session, schedule, zone, &times, n == 0)?;
            }
        }
        if session.out.is_json() {
            session.out.json(&shown)?;
        } else if config.schedules.is_empty() {
            session.out.line("no schedule is configured")?;
        }
        Ok(Exit::Done)
    }

    fn chosen<'a>(&self, config: &'a Config) -> Result<Vec<&'a Schedule>, Error> {
        let Some(name) = &self.name else { return Ok(config.schedules.values().collect()) };
        if let Some(schedule) = config.schedules.get(name) {
            return Ok(vec![schedule]);
        }
        let known: Vec<&str> = config.schedules.keys().take(20).map(String::as_str).collect();
        let there_is =
            if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
        let more = if config.schedules.len() > known.len() { ", …" } else { "" };
        Err(Error::No(format!("no schedule {name} in the configuration; {there_is}{more}")))
    }

    /// The times to be shown; none of a schedule that is not enabled.
    fn times(&self, schedule: &Schedule, zone: &str) -> Result<Vec<Time>, Error> {
        let wrong = |error: &dyn std::fmt::Display| Error::No(format!("schedule {}: {error}", schedule.name));
        let times = Times::of(&schedule.spec, zone).map_err(|error| wrong(&error))?;
        let pattern = schedule.spec.pattern.as_deref().map(|text| job::Schedule::parse_stored(text, Some(zone)));
        let pattern = pattern.transpose().map_err(|error| wrong(&error))?;
        let mut last = match &self.from {
            None => now(),
            Some(Since::Moment(moment)) => *moment,
            // midnight is part of its day
            Some(Since::Day(text)) => UnixMillis(day(text, zone).unwrap_or_default().0.0 - 1),
        };
        let most =
            usize::try_from(schedule.spec.limit.unwrap_or(u64::MAX).min(self.count.into())).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        while let Some(at) = times.next_after(last).filter(|_| schedule.enabled && found.len() < most) {
            let change = pattern.as_ref().and_then(|pattern| pattern.clock_change(at));
            found.push(Time { at, wall: local(at, zone), change });
            last = at;
        }
        Ok(found)
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(job::millis(since))
}

fn json(time: &Time) -> serde_json::Value {
    let mut shown = json!({ "at": time.wall.to_rfc3339_opts(SecondsFormat::AutoSi, false), "ms": time.at });
    let change = time.change.map(|change| match change {
        ClockChange::Skipped => "skipped",
        ClockChange::Repeated => "repeated",
    });
    if let Some(change) = change {
        shown["clockChange"] = change.into();
    }
    shown
}

fn print(session: &mut Session, schedule: &Schedule, zone: &str, times: &[Time], is_first: bool) -> Result<(), Error> {
    let out = &mut session.out;
    let spec = &schedule.spec;
    let every = spec.every.map(|every| format!("every {}", show_duration(every)));
    let mut head = format!(
        "{}  {}  {zone}",
        out.paint(Colour::Bold, escape::text(&schedule.name)),
        escape::text(spec.pattern.as_deref().or(every.as_deref()).unwrap_or_default())
    );
    if !schedule.jitter.is_zero() {
        head = format!("{head}  up to {} later", show_duration(schedule.jitter));
    }
    if !is_first {
        out.line("")?;
    }
    out.line(head)?;
    if times.is_empty() {
        out.line(if schedule.enabled { "  no further time" } else { "  not enabled" })?;
    }
    for time in times {
        // fractions only where there are any
        let wall = time.wall.format("%a %Y-%m-%d %H:%M:%S%.f %:z");
        match time.change {
            Some(_) => out.line(format_args!("  {wall}  {}", out.paint(Colour::Yellow, "(clocks change)")))?,
            None => out.line(format_args!("  {wall}"))?,
        }
    }
    Ok(())
}
