//! What a schedule of ours says about itself in its job scheduler: who made it, and all that it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::config::{CatchUp, Overlap, Schedule};
use crate::job::{JobOptions, QueueName, SchedulerSpec, UnixMillis, millis};
use crate::store::Error;

/// Who made a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// The file of the daemons of this name.
    File(String),
    /// Somebody, by hand: every daemon that knows the queue fires it.
    Hand,
}

/// The field `oxherd.mark`, JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    pub origin: Origin,
    pub revision: u32,
    /// Of the whole definition but its revision.
    pub hash: String,
    /// Of what says when the jobs come.
    pub times: String,
}

impl Mark {
    /// Of a schedule whose definition is this text.
    pub(super) fn new(origin: Origin, schedule: &Schedule, definition: &str) -> Self {
        let spec = &schedule.spec;
        let (every, offset) = (spec.every.map(millis), spec.offset.map(millis));
        let times = serde_json::json!([spec.pattern, spec.timezone, every, offset, spec.start, spec.end]).to_string();
        let hash = |text: &str| sha1_smol::Sha1::from(text.as_bytes()).digest().to_string()[..16].to_owned();
        Self { origin, revision: schedule.revision, hash: hash(definition), times: hash(&times) }
    }

    /// `None` for a text that is no mark of ours.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("plain values always serialize")
    }

    /// Whether a daemon of that name fires the schedule.
    pub(super) fn is_fired_by(&self, owner: &str) -> bool {
        match &self.origin {
            Origin::File(name) => name == owner,
            Origin::Hand => true,
        }
    }
}

/// The field `oxherd.definition`, JSON text: all of a schedule but what the mark says, and whether it is enabled.
/// Instants and durations in ms. A member that is not known was written by a release that knows more: then the
/// schedule is left to instances of that release.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    name: String,
    queue: QueueName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tz: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<UnixMillis>,
    job: String,
    data: Box<RawValue>,
    opts: Box<RawValue>,
    overlap: String,
    catch_up: String,
    window: i64,
    jitter: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// The definition as it is stored.
pub(super) fn encode(schedule: &Schedule) -> String {
    let spec = &schedule.spec;
    let word = |known: Option<&str>| known.unwrap_or_default().to_owned();
    let fields = Fields {
        name: schedule.name.clone(),
        queue: schedule.queue.clone(),
        pattern: spec.pattern.clone(),
        tz: spec.timezone.clone(),
        every: spec.every.map(millis),
        offset: spec.offset.map(millis),
        limit: spec.limit,
        start: spec.start,
        end: spec.end,
        job: schedule.job_name.clone(),
        data: schedule.data.clone(),
        opts: RawValue::from_string(schedule.opts.encode_set()).expect("options are encoded as JSON"),
        overlap: word(Overlap::WORDS.iter().find(|(_, value)| *value == schedule.overlap).map(|(word, _)| *word)),
        catch_up: word(CatchUp::WORDS.iter().find(|(_, value)| *value == schedule.catch_up).map(|(word, _)| *word)),
        window: millis(schedule.catch_up_window),
        jitter: millis(schedule.jitter),
        description: schedule.description.clone(),
    };
    serde_json::to_string(&fields).expect("plain values always serialize")
}

/// The schedule behind a definition and the revision its mark tells.
pub(super) fn decode(definition: &str, revision: u32) -> Result<Schedule, Error> {
    let wrong = |what: String| Error::Setup(format!("the definition of a schedule cannot be read: {what}"));
    let fields: Fields = serde_json::from_str(definition).map_err(|error| wrong(error.to_string()))?;
    let (opts, _) = JobOptions::parse(fields.opts.get()).map_err(|error| wrong(error.to_string()))?;
    let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let overlap = Overlap::WORDS.iter().find(|(word, _)| *word == fields.overlap);
    let catch_up = CatchUp::WORDS.iter().find(|(word, _)| *word == fields.catch_up);
    let (Some((_, overlap)), Some((_, catch_up))) = (overlap, catch_up) else {
        return Err(wrong(format!("{:?} or {:?} is not known", fields.overlap, fields.catch_up)));
    };
    Ok(Schedule {
        name: fields.name,
        queue: fields.queue,
        spec: SchedulerSpec {
            pattern: fields.pattern,
            timezone: fields.tz,
            every: fields.every.map(ms),
            offset: fields.offset.map(ms),
            limit: fields.limit,
            start: fields.start,
            end: fields.end,
            ..SchedulerSpec::default()
        },
        job_name: fields.job,
        data: fields.data,
        opts,
        overlap: *overlap,
        catch_up: *catch_up,
        catch_up_window: ms(fields.window),
        jitter: ms(fields.jitter),
        description: fields.description,
        enabled: true,
        revision,
    })
}
