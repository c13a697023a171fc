//! `oxherd schedule add`: a schedule by hand, which no file knows.

use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::audit::Verb;
use super::super::bulk::no_data;
use super::super::consent::DryRun;
use super::super::print::Out;
use super::super::session::Session;
use super::super::value::{self, Since};
use super::super::{Error, Exit, input};
use super::shown::{self, Clock};
use crate::config::{self, CatchUp, Config, Overlap, Schedule};
use crate::daemon::escape;
use crate::job::options::MAX_PRIORITY;
use crate::job::schedule::day;
use crate::job::{Backoff, JobOptions, QueueName, SchedulerSpec, Times, UnixMillis};
use crate::store::{Origin, StoredScheduler};

/// Make a schedule by hand
///
/// Every daemon whose file has the queue fires it. No file knows it, so that no start or reload
/// removes it: only schedule remove does.
#[derive(Args)]
#[command(group = ArgGroup::new("rhythm").required(true).args(["cron", "every"]))]
pub struct Add {
    /// Name of the schedule
    #[arg(value_name = "NAME", value_parser = value::new_schedule)]
    schedule: String,
    /// The queue its jobs go to
    #[arg(long, value_name = "QUEUE", value_parser = value::queue)]
    queue: QueueName,
    /// When jobs come, as in "0 3 * * *": five fields, six with seconds, or @daily
    #[arg(long, value_name = "PATTERN", value_parser = value::pattern)]
    cron: Option<String>,
    /// How often jobs come, as in 30m
    #[arg(long, value_name = "TIME", value_parser = value::interval)]
    every: Option<Duration>,
    /// The zone of the pattern, as in Europe/Oslo [default: that of the configuration, else of this host]
    #[arg(long, value_name = "ZONE", value_parser = value::zone)]
    timezone: Option<String>,
    /// Name of the jobs [default: that of the schedule]
    #[arg(long)]
    name: Option<String>,
    /// The jobs' data: JSON, @FILE, or - for standard input; may hold {scheduled.date}, {scheduled.time}, {scheduled.ms} [default: {}]
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    data: Option<String>,
    /// What happens while the job before waits or runs: skip, queue, allow
    #[arg(long, value_name = "WORD", value_parser = value::overlap, default_value = "skip")]
    overlap: Overlap,
    /// Which of the times missed are made up for: none, last, all
    #[arg(long, value_name = "WORD", value_parser = value::catch_up, default_value = "last")]
    catch_up: CatchUp,
    /// Times missed for longer than this are gone
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "24h")]
    catch_up_window: Duration,
    /// Jobs come up to this much later than their time, always by the same
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "0s")]
    jitter: Duration,
    /// At most so many jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 53))]
    limit: Option<u64>,
    /// No job before: 2027-03-28T03:00:00+02:00, or a day
    #[arg(long, value_name = "MOMENT|DAY", value_parser = value::since)]
    starts: Option<Since>,
    /// No job after; a day is part of it
    #[arg(long, value_name = "MOMENT|DAY", value_parser = value::since)]
    ends: Option<Since>,
    /// From 1, the most urgent, to 2097151; jobs without one run first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_PRIORITY)))]
    priority: Option<u32>,
    /// Total tries of each job
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempts: Option<u32>,
    /// Wait between tries: fixed:TIME or exponential:TIME
    #[arg(long, value_name = "KIND:TIME", value_parser = value::backoff)]
    backoff: Option<Backoff>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Replace a schedule of this name that was made by hand; what it has counted is kept
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Add {
    pub fn execute(mut self, session: &mut Session) -> Result<Exit, Error> {
        let data = match self.data.take() {
            None => no_data(),
            Some(text) => input::json(&text)?,
        };
        if let Some(name) = Schedule::unknown_placeholders(data.get()).next() {
            let known = Schedule::PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", ");
            return Err(Error::Input(format!("data: there is no placeholder {{{name}}}; expected one of {known}")));
        }
        session.is_no_list(&self.queue, "schedules feed queues without a list; its handler may be the same")?;
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let (name, queue_name) = (self.schedule.clone(), self.queue.clone());
            let (replace, dry_run) = (self.replace, self.dry_run.dry_run);
            let zone = self.zone(&config);
            let schedule = self.schedule(data, &zone)?;
            let queue = store.queue(&queue_name).announcing(&config.status);
            let before = queue.scheduler(&name).await?;
            refuse(&schedule, before.as_ref(), replace, &config)?;
            let mut next = first_time(&schedule, &zone, store.now())?;
            if !dry_run {
                let is_done = queue.add_schedule(&schedule).await?;
                let Some(stored) = queue.scheduler(&name).await?.filter(|_| is_done) else {
                    return Err(Error::No(format!(
                        "schedule {name} in {queue_name} was changed meanwhile; look again"
                    )));
                };
                next = shown::next(&stored);
                Verb::new("schedule add", &queue_name).done(&store, 1, &name).await;
            }
            let keeper = if schedule.fits_bullmq().is_ok() { "bullmq" } else { "oxherd" };
            let clock = Clock { now: store.now(), zone: &zone };
            if out.is_json() {
                let mut told = json!({
                    "schedule": name, "queue": queue_name, "replaced": before.is_some(), "keptBy": keeper,
                    "next": next.map(|next| clock.moment(next)),
                });
                if dry_run {
                    told["dryRun"] = true.into();
                }
                out.json(&told)?;
            } else {
                let word = match (dry_run, before.is_some()) {
                    (false, false) => "added",
                    (false, true) => "replaced",
                    (true, false) => "would add",
                    (true, true) => "would replace",
                };
                let next = next.map_or("no further time".into(), |next| format!("next {}", clock.at_and_in(next)));
                out.line(format_args!("{word} {} in {queue_name}, {next}", escape::text(&name)))?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }

    fn zone(&self, config: &Config) -> String {
        self.timezone.clone().or_else(|| config.daemon.timezone.clone()).unwrap_or_else(config::local_zone)
    }

    /// What was typed, as a file would have it.
    fn schedule(self, data: Box<RawValue>, zone: &str) -> Result<Schedule, Error> {
        let is_pattern = self.cron.is_some();
        let bound = |bound: &Option<Since>, of_day: &dyn Fn((UnixMillis, UnixMillis)) -> UnixMillis| {
            bound.as_ref().and_then(|bound| match bound {
                Since::Moment(moment) => Some(*moment),
                Since::Day(text) => day(text, zone).map(of_day),
            })
        };
        let mut schedule = Schedule {
            spec: SchedulerSpec {
                // a pattern's times lie behind the start, and the day's first is one of them
                start: bound(&self.starts, &|(first, _)| UnixMillis(first.0 - i64::from(is_pattern))),
                end: bound(&self.ends, &|(_, last)| last),
                pattern: self.cron,
                every: self.every,
                limit: self.limit,
                ..SchedulerSpec::default()
            },
            job_name: self.name.unwrap_or_else(|| self.schedule.clone()),
            name: self.schedule,
            queue: self.queue,
            data,
            opts: JobOptions {
                attempts: self.attempts,
                backoff: self.backoff,
                priority: self.priority.unwrap_or(0),
                ..JobOptions::default()
            },
            overlap: self.overlap,
            catch_up: self.catch_up,
            catch_up_window: self.catch_up_window,
            jitter: self.jitter,
            description: self.description,
            enabled: true,
            revision: 0,
        };
        if is_pattern || self.timezone.is_some() || schedule.has_placeholders() {
            schedule.spec.timezone = Some(zone.to_owned());
        }
        let spec = &schedule.spec;
        if let (Some(start), Some(end)) = (spec.start, spec.end)
            && start >= end
        {
            return Err(Error::Usage("the schedule ends before it starts; expected --ends behind --starts".into()));
        }
        Ok(schedule)
    }
}

/// Refuses a schedule without any time ahead.
fn first_time(schedule: &Schedule, zone: &str, now: UnixMillis) -> Result<Option<UnixMillis>, Error> {
    let times = Times::of(&schedule.spec, zone).map_err(|error| Error::Usage(error.to_string()))?;
    let next = times.next_after(now);
    let none = || Error::Usage("no time of the schedule lies ahead; check --starts and --ends".into());
    next.map(Some).ok_or_else(none)
}

/// Refuses a name that is taken.
fn refuse(schedule: &Schedule, before: Option<&StoredScheduler>, replace: bool, config: &Config) -> Result<(), Error> {
    let (name, queue) = (&schedule.name, &schedule.queue);
    let origin = before.map(|before| before.own.as_ref().map(|own| &own.mark.origin));
    let remedy = match origin {
        None if config.schedules.get(name).is_some_and(|file| file.queue == *queue) => {
            format!("schedule {name} of {queue} stands in the configuration; change it there, or take another name")
        }
        None => return Ok(()),
        Some(Some(Origin::Hand)) if replace => return Ok(()),
        Some(Some(Origin::Hand)) => {
            format!("schedule {name} is in {queue} already; say --replace, or take another name")
        }
        Some(Some(Origin::File(daemon))) => format!(
            "schedule {name} in {queue} belongs to the file of daemon {daemon:?}; change it there, or take another name"
        ),
        Some(None) => format!(
            "schedule {name} in {queue} is foreign: a BullMQ client made it; take another name, or take it away with \
             schedule remove --force"
        ),
    };
    Err(Error::No(remedy))
}
