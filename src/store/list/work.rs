//! A list as a worker sees it: takes elements, renews what holds them, records what became of them.
//!
//! A take has a list of its own in which its elements stand until they are done, and a lease. Both are named by the take's
//! token, which so does what a lock does in a queue of BullMQ's; what a process has in hand are the takes whose tokens begin
//! with its incarnation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::bell::Bell;
use super::element::{Note, Place, Reader};
use crate::config;
use crate::job::{Element, Job, JobId, Keep, QueueName, UnixMillis, millis};
use crate::store::claim::{Renewal, Take, Taken};
use crate::store::connection::Value;
use crate::store::finish::{Change, Finish, keep_argument};
use crate::store::gates::{self, Posted, StoredGate};
use crate::store::keys::ListKeys;
use crate::store::reply::{self, Code, Recorded};
use crate::store::report::JobReport;
use crate::store::script::{
    LIST_ADOPT, LIST_CHECK, LIST_FINISH, LIST_PRUNE, LIST_RECOVER, LIST_RENEW, LIST_REPORT, LIST_TAKE,
};
use crate::store::upkeep::{Rescued, Work};
use crate::store::work::{Held, Token, status_arguments};
use crate::store::{Counts, Depths, Error, List, Store};

/// Elements put back in one call.
const PUT_BACK: i64 = 300;
/// Leases renewed in one call.
const RENEW: usize = 1000;
/// Elements told of in one call.
const TELL: usize = 100;
/// Dead elements removed for their age in one call.
const PRUNE: i64 = 1000;

/// A worker's hold on a list.
pub(crate) struct ListQueue {
    store: Store,
    keys: ListKeys,
    reader: Reader,
    settings: config::Queue,
    list: config::List,
    spec: Value,
    status: [Value; 2],
    /// The last take has found something that could not be taken.
    blocked: watch::Sender<bool>,
}

impl ListQueue {
    /// As [`crate::store::WorkQueue::new`].
    pub(crate) fn new(
        store: &Store,
        settings: &config::Queue,
        list: &config::List,
        status: &config::Status,
        always: bool,
    ) -> Self {
        let reader = Reader::new(&settings.name, list, settings.max_payload);
        Self {
            store: store.clone(),
            keys: ListKeys::new(&list.key),
            spec: reader.spec().into(),
            reader,
            status: status_arguments(status, &settings.name, settings.policy.attempts, always),
            settings: settings.clone(),
            list: list.clone(),
            blocked: watch::Sender::new(false),
        }
    }

    pub(crate) fn name(&self) -> &QueueName {
        &self.settings.name
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn lease(&self) -> Duration {
        self.list.lease
    }

    pub(crate) fn bell(&self) -> Bell {
        Bell::new(&self.store, &self.keys, &self.list, self.blocked.subscribe())
    }

    pub(crate) async fn depths(&self) -> Result<Option<Depths>, Error> {
        List::new(&self.store, &self.settings, &self.list).depths().await
    }

    pub(crate) async fn counts(&self) -> Result<Counts, Error> {
        List::new(&self.store, &self.settings, &self.list).counts().await
    }

    /// The arguments 1 to 14 that the scripts which take elements share.
    fn take_arguments(&self, args: &mut Vec<Value>, now: UnixMillis, take: Option<&Take>) {
        args.extend([
            self.keys.root().into(),
            now.0.into(),
            // without a take it still says whose outcomes these are
            take.map_or_else(|| self.store.incarnation().into(), |take| Value::from(&*take.token)),
            millis(self.list.lease).into(),
            take.map_or(0, |take| i64::from(take.want)).into(),
            Value::from_static_str(self.list.take.as_str()),
            Value::from_static_str(self.list.mode.as_str()),
            i64::try_from(self.settings.max_payload).unwrap_or(i64::MAX).into(),
            self.spec.clone(),
        ]);
        args.extend(self.status.clone());
        args.extend([
            i64::from(self.settings.max_stalled).into(),
            keep_argument(self.settings.policy.keep_failed),
            self.store.instance().into(),
        ]);
    }

    /// As [`crate::store::WorkQueue::move_to_active`].
    pub(crate) async fn take(&self, take: &Take) -> Result<Taken, Error> {
        let now = self.store.now();
        let mut args = Vec::with_capacity(14);
        self.take_arguments(&mut args, now, Some(take));
        let reply = self.store.command().script(&LIST_TAKE, self.keys.list(), args).await?;
        self.read_take(reply, &take.token, now)
    }

    /// Reads `{ttl, next due, more, blocked, dropped, elements, elements with a note}`.
    fn read_take(&self, reply: Value, token: &Token, now: UnixMillis) -> Result<Taken, Error> {
        let what = LIST_TAKE.name;
        let mut parts = reply::array(what, reply)?.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Null);
        let limited = reply::count(what, &next())?;
        let next_due = reply::integer(what, &next())?;
        let more = reply::integer(what, &next())? == 1;
        let blocked = reply::integer(what, &next())? == 1;
        let dropped = reply::ids(what, next())?;
        let (fresh, noted) = (reply::array(what, next())?, reply::array(what, next())?);
        self.blocked.send_if_modified(|before| std::mem::replace(before, blocked) != blocked);
        Ok(Taken {
            jobs: self.jobs(fresh, noted, token, now),
            limited: (limited > 0).then(|| Duration::from_millis(limited)),
            next_due: Some(next_due).filter(|ms| *ms > 0).map(UnixMillis),
            more,
            dropped,
            ..Taken::default()
        })
    }

    fn jobs(&self, fresh: Vec<Value>, noted: Vec<Value>, token: &Token, now: UnixMillis) -> Vec<Job> {
        let job = |(index, value), noted| self.reader.job(value, noted, &Place { token, index }, now);
        let fresh = fresh.into_iter().enumerate().map(|element| job(element, false));
        fresh.chain(noted.into_iter().enumerate().map(|element| job(element, true))).collect()
    }

    /// As [`crate::store::WorkQueue::finish_jobs`].
    pub(crate) async fn finish(
        &self,
        outcomes: impl ExactSizeIterator<Item = &Finish>,
        take: Option<&Take>,
    ) -> Result<(Vec<Recorded>, Taken), Error> {
        let what = LIST_FINISH.name;
        let now = self.store.now();
        let count = outcomes.len();
        let mut args = Vec::with_capacity(14 + 9 * count);
        self.take_arguments(&mut args, now, take);
        for outcome in outcomes {
            self.outcome_arguments(outcome, now, &mut args);
        }
        let reply = self.store.command().script(&LIST_FINISH, self.keys.list(), args).await?;
        let mut parts = reply::array(what, reply)?.into_iter();
        let codes = reply::array(what, parts.next().unwrap_or(Value::Null))?;
        let recorded = codes.iter().map(reply::recorded).collect::<Result<Vec<_>, _>>()?;
        if recorded.len() != count {
            let got = format!("{} codes for {} outcomes", recorded.len(), count);
            return Err(Error::Reply { what, expected: "a code per outcome", got });
        }
        let (taken, due) = (parts.next().unwrap_or(Value::Null), parts.next().unwrap_or(Value::Integer(0)));
        let taken = match take {
            Some(take) => self.read_take(taken, &take.token, now)?,
            // nobody rings when an element is due
            None => Taken {
                next_due: Some(reply::integer(what, &due)?).filter(|ms| *ms > 0).map(UnixMillis),
                ..Taken::default()
            },
        };
        Ok((recorded, taken))
    }

    fn outcome_arguments(&self, finish: &Finish, now: UnixMillis, args: &mut Vec<Value>) {
        let Some((job, element)) = finish.element.as_ref().and_then(|job| Some((job, job.element.as_ref()?))) else {
            // no outcome of ours: refused as one that is not in hand
            args.extend(["c".into(), Value::from(&*finish.token), i64::from(u32::MAX).into()]);
            args.extend(std::iter::repeat_n(Value::from_static_str(""), 6));
            return;
        };
        let mut tell = |kind: &'static str, more: &[Value]| {
            args.extend([kind.into(), Value::from(&*finish.token), i64::from(element.index).into()]);
            args.extend(self.told(job, finish));
            args.push(element.bytes.clone().map_or_else(|| Value::from_static_str(""), Value::Bytes));
            args.extend_from_slice(more);
        };
        let note = Note::of(job);
        match &finish.change {
            Change::Complete { .. } => tell("c", &[]),
            Change::Fail { reason, stack, state, .. } => {
                tell("f", &[(*state).into(), reason.as_str().into(), self.death(note, reason, stack, now)]);
            }
            Change::WaitForChildren => {
                let reason = "an element of a list has no children to wait for";
                tell("f", &["failed".into(), reason.into(), self.death(note, reason, "[]", now)]);
            }
            Change::Retry { reason, stack, .. } => {
                tell("d", &["retrying".into(), now.0.into(), charged(note, reason, stack)]);
            }
            Change::Delay { wait, charged: Some((reason, stack)) } => {
                tell("d", &["retrying".into(), now.after(*wait).0.into(), charged(note, reason, stack)]);
            }
            Change::Delay { wait, charged: None } => {
                let deferred = note.deferred.or(Some(now.0));
                let note = Note { deferred, ..note }.to_text();
                tell("d", &["delayed".into(), now.after(*wait).0.into(), note.into()]);
            }
            Change::PutOff { wait } => {
                let note = Note { started: note.started.saturating_sub(1), ..note }.to_text();
                tell("d", &["delayed".into(), now.after(*wait).0.into(), note.into()]);
            }
            Change::HandBack if element.noted => tell("w", &[note.to_text().into()]),
            Change::HandBack => tell("w", &["".into()]),
        }
    }

    /// Id, name, number of the attempt, when it began, and progress.
    fn told(&self, job: &Job, finish: &Finish) -> [Value; 5] {
        if self.status[0].as_str().is_some_and(|probe| probe.is_empty()) {
            return [(); 5].map(|()| Value::from_static_str(""));
        }
        [
            job.id.as_str().into(),
            job.name.as_str().into(),
            i64::from(job.attempt()).into(),
            job.processed_on.0.into(),
            finish.progress.as_ref().map_or_else(|| "".into(), |progress| progress.value.get().into()),
        ]
    }

    fn death(&self, note: Note, reason: &str, stack: &str, now: UnixMillis) -> Value {
        let note = Note {
            made: note.made.saturating_add(1),
            reason: Some(reason.to_owned()),
            stack: Some(stack.to_owned()),
            at: Some(now.0),
            queue: Some(self.name().as_str().to_owned()),
            by: Some(self.store.instance().to_owned()),
            ..note
        };
        note.to_text().into()
    }

    /// As [`crate::store::WorkQueue::extend_locks`].
    pub(crate) async fn renew(&self, held: &[Held]) -> Result<Renewal, Error> {
        let tokens: BTreeSet<&Token> = held.iter().map(|held| &held.token).collect();
        let tokens: Vec<&Token> = tokens.into_iter().collect();
        let mut ended = Vec::new();
        if self.list.mode == config::ListMode::AtMostOnce {
            return Ok(Renewal::default());
        }
        let connection = self.store.renewal().await.unwrap_or_else(|_| self.store.command());
        for batch in tokens.chunks(RENEW) {
            let mut args: Vec<Value> =
                vec![self.keys.root().into(), self.store.now().0.into(), millis(self.list.lease).into()];
            args.extend(batch.iter().map(|token| Value::from(&***token)));
            let answer = connection.script(&LIST_RENEW, self.keys.list(), args);
            let answer = connection.in_time(LIST_RENEW.name, self.list.lease / 3, answer).await?;
            ended.extend(reply::texts(LIST_RENEW.name, answer)?.into_iter().map(Token::from));
        }
        Ok(Renewal { ended, ..Renewal::default() })
    }

    /// As [`crate::store::WorkQueue::adopt_jobs`]. All of a take come at once, so where some are known there are no others.
    pub(crate) async fn adopt(&self, token: &Token, known: &[JobId]) -> Result<Vec<Job>, Error> {
        if !known.is_empty() {
            return Ok(Vec::new());
        }
        let args = vec![self.keys.root().into(), Value::from(&**token)];
        let reply = self.store.command().script(&LIST_ADOPT, self.keys.list(), args).await?;
        let mut parts = reply::array(LIST_ADOPT.name, reply)?.into_iter();
        let mut next = || reply::array(LIST_ADOPT.name, parts.next().unwrap_or(Value::Null));
        let (fresh, noted) = (next()?, next()?);
        Ok(self.jobs(fresh, noted, token, self.store.now()))
    }

    /// As [`crate::store::WorkQueue::release_locks`].
    pub(crate) async fn release(&self, incarnations: &[String]) -> Result<Vec<JobId>, Error> {
        let mut released = Vec::new();
        loop {
            let rescued = self.put_back(incarnations).await?;
            released.extend(rescued.recovered);
            if !rescued.more {
                return Ok(released);
            }
        }
    }

    /// Puts elements back of takes whose lease is over. Safe to repeat.
    pub(crate) async fn recover(&self) -> Result<Rescued, Error> {
        self.put_back(&[]).await
    }

    async fn put_back(&self, incarnations: &[String]) -> Result<Rescued, Error> {
        let what = LIST_RECOVER.name;
        let mut args: Vec<Value> = vec![
            self.keys.root().into(),
            self.store.now().0.into(),
            i64::from(self.settings.max_stalled).into(),
            PUT_BACK.into(),
            Value::from_static_str(self.list.take.as_str()),
            self.spec.clone(),
        ];
        args.extend(self.status.clone());
        args.extend([
            keep_argument(self.settings.policy.keep_failed),
            self.store.instance().into(),
            millis(self.list.lease.max(3 * self.settings.stalled_interval)).into(),
        ]);
        args.extend(incarnations.iter().map(|incarnation| Value::from(incarnation.as_str())));
        let answer = self.store.command().script(&LIST_RECOVER, self.keys.list(), args).await?;
        let mut parts = reply::array(what, answer)?.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Null);
        let recovered = reply::ids(what, next())?;
        for id in reply::ids(what, next())? {
            tracing::warn!(queue = %self.name(), job = %id, "dead: its process died with it too often; see the dead list");
        }
        let work = Work::read(reply::integer(what, &next())?);
        let more = reply::integer(what, &next())? == 1;
        Ok(Rescued { recovered, dropped: Vec::new(), work, more, empty: false })
    }

    /// As [`crate::store::WorkQueue::ring`].
    pub(crate) async fn ring(&self) -> Result<(), Error> {
        let args = vec![self.keys.marker().into(), 0.into(), "0".into()];
        self.store.command().call("ZADD", args).await.map(drop)
    }

    /// As [`crate::store::WorkQueue::check_queue`].
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let args = vec![self.keys.root().into()];
        self.store.command().script(&LIST_CHECK, self.keys.list(), args).await.map(drop)
    }

    /// As [`crate::store::WorkQueue::apply_limits`].
    pub(crate) async fn apply_limits(&self, before: Option<&config::Queue>) -> Result<(), Error> {
        self.store.apply_limits(self.keys.meta(), &self.settings, before).await
    }

    /// As [`crate::store::WorkQueue::post_gates`].
    pub(crate) async fn post_gates(
        &self,
        posted: &mut Posted,
        gates: Vec<StoredGate>,
        life: Duration,
    ) -> Result<(), Error> {
        gates::post(&self.store, &self.keys.gates(), posted, gates, life).await
    }

    /// As [`crate::store::WorkQueue::report_jobs`]. Progress is told and not kept; rows go to the log of this process.
    pub(crate) async fn report(&self, reports: &[JobReport<'_>]) -> Result<Vec<Result<(), Code>>, Error> {
        let mut answers: Vec<Result<(), Code>> = Vec::with_capacity(reports.len());
        let mut args = self.telling("progress");
        let fixed = args.len();
        let mut asked = Vec::new();
        for (at, report) in reports.iter().enumerate() {
            for row in &report.rows[report.doubtful.min(report.rows.len())..] {
                tracing::info!(queue = %self.name(), job = %report.id, row, "from the job");
            }
            answers.push(match report.data {
                Some(_) => Err(Code::Broken("the data of an element of a list cannot be changed".to_owned())),
                None => Ok(()),
            });
            let Some((job, Element { index, bytes: None, .. })) =
                report.element.and_then(|job| Some((job, job.element.as_ref()?)))
            else {
                continue;
            };
            if let Some(progress) = report.progress {
                asked.push(at);
                args.extend([Value::from(&**report.token), i64::from(*index).into(), job.id.as_str().into()]);
                args.extend([job.name.as_str().into(), i64::from(job.attempt()).into(), job.processed_on.0.into()]);
                args.push(progress.get().into());
            }
        }
        if args.len() > fixed {
            let reply = self.store.command().script(&LIST_REPORT, self.keys.list(), args).await?;
            for (at, code) in asked.into_iter().zip(reply::array(LIST_REPORT.name, reply)?) {
                if reply::integer(LIST_REPORT.name, &code)? != 0 && answers[at].is_ok() {
                    answers[at] = Err(Code::NotInState);
                }
            }
        }
        Ok(answers)
    }

    /// What comes before the elements in a call that tells of this state of theirs.
    fn telling(&self, state: &'static str) -> Vec<Value> {
        let mut args: Vec<Value> = vec![self.keys.root().into(), self.store.now().0.into(), self.spec.clone()];
        args.extend(self.status.clone());
        args.push(Value::from_static_str(state));
        args
    }

    /// As [`crate::store::WorkQueue::tell_running`]. How far they are is not known to Redis, and not told.
    pub(crate) async fn tell_running(&self, jobs: &[(Arc<Job>, Token)]) -> Result<u64, Error> {
        let mut told = 0;
        for batch in jobs.chunks(TELL) {
            let mut args = self.telling("active");
            for (job, token) in batch {
                let Some(Element { index, bytes: None, .. }) = job.element.as_ref() else { continue };
                args.extend([Value::from(&**token), i64::from(*index).into(), job.id.as_str().into()]);
                args.extend([job.name.as_str().into(), i64::from(job.attempt()).into(), job.processed_on.0.into()]);
                args.push("".into());
            }
            let reply = self.store.command().script(&LIST_REPORT, self.keys.list(), args).await?;
            let codes = reply::array(LIST_REPORT.name, reply)?;
            told += codes.iter().filter(|code| code.as_i64() == Some(0)).count() as u64;
        }
        Ok(told)
    }

    /// As [`crate::store::WorkQueue::prune_finished`]: what the dead list keeps no longer.
    pub(crate) async fn prune(&self) -> Result<u64, Error> {
        let keep = self.settings.policy.keep_failed;
        let mut gone = 0;
        if !matches!(keep, Keep::Some { .. }) {
            return Ok(gone);
        }
        loop {
            let args = vec![self.keys.root().into(), self.store.now().0.into(), keep_argument(keep), PRUNE.into()];
            let answer = self.store.command().script(&LIST_PRUNE, self.keys.list(), args).await?;
            let step = reply::count(LIST_PRUNE.name, &answer)?;
            gone += step;
            if step == 0 {
                return Ok(gone);
            }
        }
    }
}

/// The note of an element whose attempt has failed and is followed by another.
fn charged(note: Note, reason: &str, stack: &str) -> Value {
    let note = Note {
        made: note.made.saturating_add(1),
        deferred: None,
        reason: Some(reason.to_owned()),
        stack: Some(stack.to_owned()),
        ..note
    };
    note.to_text().into()
}
