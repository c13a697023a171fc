//! `oxherd job cancel`: jobs that are not to be done, those that run too.

use std::time::{Duration, Instant};

use clap::Args;

use super::super::audit::Verb;
use super::super::consent::Consent;

use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit, value};
use super::each::{Begun, Deed, Tally, each};
use super::selection::Targets;
use crate::daemon::escape;
use crate::job::{JobId, QueueName, State, UnixMillis};
use crate::store::{self, Cancellation, Code, Queue};

const CANCEL: Deed = Deed {
    verb: "cancel",
    done: "cancelled",
    at: "in",
    from: &[State::Waiting, State::Prioritized, State::Delayed, State::WaitingChildren, State::Active],
};

/// First and longest pause between two looks at jobs that run.
const LOOK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Cancel jobs, those that run too
///
/// A job that does not run fails at once. One that runs is stopped by the daemon that runs it, wherever that is. A worker
/// of BullMQ cannot be told: it goes on, and the job is cancelled if it comes back to a daemon. A filter without --state
/// means all jobs that have not ended.
#[derive(Args)]
pub struct Cancel {
    #[command(flatten)]
    targets: Targets,
    /// Why; stored with the job
    #[arg(long = "because", value_name = "TEXT")]
    because: Option<String>,
    /// How long jobs that run are waited for
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = value::duration)]
    wait: Duration,
    #[command(flatten)]
    consent: Consent,
}

impl Cancel {
    pub fn execute(mut self, session: &mut Session) -> Result<Exit, Error> {
        self.targets.require()?;
        let why = "what runs is not stopped one by one; oxherd job remove takes what is not in hand, oxherd queue pause \
                   holds back the rest";
        session.is_no_list(&self.targets.queue, why)?;
        self.targets.states = CANCEL.from;
        if let Some(state) = self.targets.filter.state.filter(|state| !CANCEL.from.contains(state)) {
            return Err(Error::Usage(format!(
                "{state} jobs have ended: expected --state waiting, prioritized, delayed, waiting-children or active"
            )));
        }
        if self.targets.ids.is_empty() {
            self.consent.can_be_had()?;
        }
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let ids = match CANCEL.begin(&store, &self.targets, self.consent, &mut out).await? {
                Begun::Shown(exit) => return Ok(exit),
                Begun::May(ids) => ids,
            };
            let queue = store.queue(&self.targets.queue).announcing(&config.status);
            let doing = Doing { queue, because: self.because.as_deref(), since: store.now() };
            let answers = doing.all(ids, self.wait).await?;
            let asked = answers.iter().filter(|(_, answer)| matches!(answer, Answer::Cancelled(_))).count();
            Verb::new("cancel", &self.targets.queue).done(&store, asked as u64, self.targets.in_words()).await;
            tell(answers, &self.targets.queue, &mut out)
        })?
    }
}

/// What has become of a job.
enum Answer {
    Cancelled(Cancellation),
    /// It was there, ran, and is not there any more.
    Gone,
    Refused(String),
}

struct Doing<'a> {
    queue: Queue,
    because: Option<&'a str>,
    /// When this began.
    since: UnixMillis,
}

impl Doing<'_> {
    /// Cancels all of them, then waits for those that run.
    async fn all(&self, ids: Vec<JobId>, wait: Duration) -> Result<Vec<(JobId, Answer)>, store::Error> {
        let mut answers = Vec::with_capacity(ids.len());
        self.ask(ids, |id, answer| answers.push((id, answer))).await?;
        let until = Instant::now() + wait;
        let mut pause = LOOK.0;
        loop {
            let running: Vec<usize> = (0..answers.len()).filter(|&at| answers[at].1.is_under_way()).collect();
            let left = until.saturating_duration_since(Instant::now());
            if running.is_empty() || left.is_zero() {
                break;
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LOOK.1);
            let ids = running.iter().map(|&at| answers[at].0.clone()).collect();
            let mut at = running.into_iter();
            self.ask(ids, |_, answer| {
                let at = at.next().expect("an answer for each");
                // what ran a moment ago is not missing, it has ended
                let gone = matches!(&answer, Answer::Refused(reason) if *reason == Code::Missing.to_string());
                answers[at].1 = if gone { Answer::Gone } else { answer };
            })
            .await?;
        }
        for (id, answer) in &mut answers {
            if matches!(answer, Answer::Gone)
                && let Some(ended) = self.queue.end_since(id, self.since).await?
            {
                *answer = Answer::Cancelled(ended);
            }
        }
        Ok(answers)
    }

    /// Asks for each, or asks again.
    async fn ask(&self, ids: Vec<JobId>, mut take: impl FnMut(JobId, Answer)) -> Result<(), store::Error> {
        let mut failure = None;
        each(
            ids,
            async |id| self.queue.cancel(&id, self.because).await,
            |id, answer| {
                match answer {
                    Ok(cancellation) => take(id, Answer::Cancelled(cancellation)),
                    Err(store::Error::Rejected { code, .. }) => take(id, Answer::Refused(code.to_string())),
                    Err(error) => failure = Some(error),
                }
                failure.is_none()
            },
        )
        .await;
        failure.map_or(Ok(()), Err)
    }
}

impl Answer {
    fn is_under_way(&self) -> bool {
        matches!(self, Self::Cancelled(cancellation) if cancellation.is_under_way())
    }

    /// Nothing where it is cancelled, else what is in the way.
    fn obstacle(&self) -> Option<String> {
        match self {
            Self::Cancelled(cancellation) if cancellation.is_cancelled() => None,
            Self::Cancelled(Cancellation::Ended { state, .. }) => Some(format!("ended already ({state})")),
            Self::Cancelled(Cancellation::Heard) => Some("being cancelled: its worker is stopping it".into()),
            Self::Cancelled(_) => Some(
                "not stopped: its worker has not answered, as a worker of BullMQ never does; it is cancelled if it comes \
                 back to a daemon"
                    .into(),
            ),
            Self::Gone => Some("ended already, and was removed".into()),
            Self::Refused(reason) if *reason == Code::Missing.to_string() => Some("not found".into()),
            Self::Refused(reason) => Some(format!("refused: {reason}")),
        }
    }
}

/// A line for each job, or all in one document.
fn tell(answers: Vec<(JobId, Answer)>, queue: &QueueName, out: &mut Out) -> Result<Exit, Error> {
    let mut tally = Tally::default();
    for (id, answer) in answers {
        let obstacle = answer.obstacle();
        if !out.is_json() {
            out.line(format_args!("{}: {}", escape::text(id.as_str()), obstacle.as_deref().unwrap_or("cancelled")))?;
        }
        match obstacle {
            Some(obstacle) => tally.refused.push((id, obstacle)),
            None => tally.done += 1,
        }
    }
    if out.is_json() {
        tally.tell(&CANCEL, queue, out)?;
    }
    out.flush()?;
    Ok(tally.exit())
}
