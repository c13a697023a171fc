//! What a job's process asks for of what stands beside the queues: several things at once, all of them forgotten with the
//! job.

use std::future::Future;
use std::pin::Pin;
#[cfg(feature = "app")]
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::value::RawValue;

use super::frame::Request;
#[cfg(feature = "app")]
use crate::app::Desk;
use crate::config::AppPart;
use crate::handler::JobContext;

/// What one job may have under way.
const MOST: usize = 16;

/// The number of a question, and the answer.
type Answer = (u64, Result<Box<RawValue>, String>);

pub(super) struct Asks {
    ctx: JobContext,
    parts: Vec<AppPart>,
    /// Made for the first thing asked for.
    #[cfg(feature = "app")]
    desk: Option<Arc<Desk>>,
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
}

impl Asks {
    pub(super) fn new(ctx: &JobContext, parts: &[AppPart]) -> Self {
        Self {
            ctx: ctx.clone(),
            parts: parts.to_vec(),
            #[cfg(feature = "app")]
            desk: None,
            under_way: FuturesUnordered::new(),
        }
    }

    /// Begins to do what is asked for, or says why not.
    pub(super) fn push(&mut self, request: Request) -> Result<(), (u64, String)> {
        let Request { n, op, args } = request;
        if self.under_way.len() >= MOST {
            return Err((n, format!("{MOST} things are asked for and not answered; wait for one of them")));
        }
        let doing = self.doing(op, args).map_err(|why| (n, why))?;
        let ctx = self.ctx.clone();
        self.under_way.push(Box::pin(async move {
            let answer = tokio::select! {
                answer = doing => answer,
                reason = ctx.cancelled() => Err(format!("the job is told to stop ({}); nothing more is done for it", reason.as_str())),
            };
            (n, answer)
        }));
        Ok(())
    }

    #[cfg(feature = "app")]
    fn doing(
        &mut self,
        op: String,
        args: Option<Box<RawValue>>,
    ) -> Result<impl Future<Output = Result<Box<RawValue>, String>> + Send + use<>, String> {
        let app = self.ctx.app().map_err(|error| error.to_string())?;
        let desk = Arc::clone(self.desk.get_or_insert_with(|| Arc::new(Desk::new(app.clone(), &self.parts))));
        Ok(async move { desk.answer(&op, args.as_deref()).await.map_err(|refused| refused.to_string()) })
    }

    #[cfg(not(feature = "app"))]
    fn doing(
        &mut self,
        op: String,
        _: Option<Box<RawValue>>,
    ) -> Result<std::future::Ready<Result<Box<RawValue>, String>>, String> {
        let _ = &self.parts;
        Err(format!("{op} is not there; build oxherd with the feature app"))
    }

    /// Whoever asked has gone.
    pub(super) fn forget(&mut self) {
        *self = Self::new(&self.ctx, &self.parts);
    }

    /// The next answer; never one while nothing is asked for. Cancel safe.
    pub(super) async fn answered(&mut self) -> Answer {
        match self.under_way.next().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}
