//! Several jobs in one call. Jobs of one queue that go to one url wait a moment for each other; the batch leaves when it
//! is full or the moment is over. A job that is stopped meanwhile leaves it, and the others do not notice.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{mpsc, oneshot};

use super::address::Target;
use super::{Endpoint, wire};
use crate::config::Batch;
use crate::handler::JobContext;
use crate::job::{Job, Outcome};

mod exchange;
mod results;

/// One job of a batch.
struct Member {
    job: Arc<Job>,
    ctx: JobContext,
    /// Its envelope.
    body: Vec<u8>,
    /// Taken when its outcome is told.
    told: Option<oneshot::Sender<Outcome>>,
}

impl Member {
    /// The first outcome counts.
    fn end(&mut self, outcome: Outcome) {
        if let Some(told) = self.told.take() {
            // nobody listens where the job was stopped
            let _ = told.send(outcome);
        }
    }

    /// Whether somebody still waits for its outcome.
    fn waits(&self) -> bool {
        self.told.as_ref().is_some_and(|told| !told.is_closed())
    }
}

/// Held by each job that waits: when the last one is gone there is nobody left to call for.
type Here = mpsc::Sender<Infallible>;

/// Jobs that have left together.
struct Leaving {
    members: Vec<Member>,
    /// Ends with the last [`Here`].
    here: mpsc::Receiver<Infallible>,
}

/// A batch that is still open.
struct Open {
    members: Vec<Member>,
    bytes: usize,
    here: Here,
    gone: mpsc::Receiver<Infallible>,
    /// Which of all batches this is.
    number: u64,
    /// Wakes the task that sends it.
    full: oneshot::Sender<Leaving>,
}

impl Open {
    /// Whether one more job, with so many bytes, may come along.
    fn has_room(&mut self, bytes: usize, settings: &Batch) -> bool {
        let fits = |open: &Self| open.members.len() < settings.max && open.bytes + bytes <= settings.max_body;
        if !fits(self) {
            // those that were stopped make room
            self.members.retain(Member::waits);
            self.bytes = self.members.iter().map(|member| member.body.len() + 1).sum();
        }
        fits(self)
    }

    fn leave(self) -> (Leaving, oneshot::Sender<Leaving>) {
        let mut members = self.members;
        members.retain(Member::waits);
        (Leaving { members, here: self.gone }, self.full)
    }
}

/// The batches of one handler.
pub(super) struct Batches {
    settings: Batch,
    open: Mutex<Gathering>,
}

#[derive(Default)]
struct Gathering {
    /// By queue and where they go.
    batches: HashMap<(String, Target), Open>,
    count: u64,
}

impl Batches {
    pub(super) fn new(settings: Batch) -> Self {
        Self { settings, open: Mutex::default() }
    }

    fn gathering(&self) -> MutexGuard<'_, Gathering> {
        self.open.lock().expect("no code panics while holding this lock")
    }

    /// Adds a job to the batch that is open for its queue and url, and opens one where there is none. The second half of
    /// the answer is held for as long as the job waits.
    fn add(&self, endpoint: &Arc<Endpoint>, target: Target, mut member: Member) -> (oneshot::Receiver<Outcome>, Here) {
        let (told, outcome) = oneshot::channel();
        member.told = Some(told);
        let place = (member.job.queue.to_string(), target);
        let mut gathering = self.gathering();
        let bytes = member.body.len() + 1;
        if gathering.batches.get_mut(&place).is_some_and(|open| !open.has_room(bytes, &self.settings)) {
            gathering.leave(&place);
        }
        if !gathering.batches.contains_key(&place) {
            let (here, gone) = mpsc::channel(1);
            let (full, leaving) = oneshot::channel();
            let number = gathering.count;
            gathering.count += 1;
            let open = Open { members: Vec::new(), bytes: 0, here, gone, number, full };
            gathering.batches.insert(place.clone(), open);
            tokio::spawn(depart(Arc::clone(endpoint), place.clone(), number, leaving));
        }
        let open = gathering.batches.get_mut(&place).expect("it was looked for and put there");
        open.members.push(member);
        open.bytes += bytes;
        let here = open.here.clone();
        if !open.has_room(0, &self.settings) {
            gathering.leave(&place);
        }
        (outcome, here)
    }
}

impl Gathering {
    /// Sends a full batch off.
    fn leave(&mut self, place: &(String, Target)) {
        if let Some(open) = self.batches.remove(place) {
            let (leaving, full) = open.leave();
            // its task waits for nothing else
            let _ = full.send(leaving);
        }
    }
}

/// Waits until a batch is full or its time is over, and sends it. One task per batch.
async fn depart(endpoint: Arc<Endpoint>, place: (String, Target), number: u64, mut full: oneshot::Receiver<Leaving>) {
    let Some(batches) = &endpoint.batches else { return };
    let time = async {
        if batches.settings.wait.is_zero() {
            // those that are ready now have been queued before us
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(batches.settings.wait).await;
        }
    };
    let leaving = tokio::select! {
        biased;
        leaving = &mut full => leaving.ok(),
        () = time => {
            let mut gathering = batches.gathering();
            // another one may be open there by now
            if gathering.batches.get(&place).is_some_and(|open| open.number == number) {
                gathering.batches.remove(&place).map(|open| open.leave().0)
            } else {
                full.try_recv().ok()
            }
        }
    };
    if let Some(leaving) = leaving {
        endpoint.send(&place.0, &place.1, leaving).await;
    }
}

/// Runs one attempt of a job as a member of a batch.
pub(super) async fn run(endpoint: &Arc<Endpoint>, batches: &Batches, job: Arc<Job>, ctx: JobContext) -> Outcome {
    let target = match endpoint.address.fill(&job) {
        Ok(target) => target,
        Err(reason) => return Outcome::fail(reason),
    };
    let children = match wire::children_of(&ctx).await {
        Ok(children) => children,
        Err(outcome) => return outcome,
    };
    let body = wire::envelope_in_batch(&job, &ctx, children.as_ref());
    let member = Member { job, ctx: ctx.clone(), body, told: None };
    let (outcome, _here) = batches.add(endpoint, target, member);
    tokio::select! {
        biased;
        outcome = outcome => outcome.unwrap_or_else(|_| Outcome::retry("the batch this job was in came to nothing")),
        reason = ctx.cancelled() => ctx.stopped(reason),
    }
}
