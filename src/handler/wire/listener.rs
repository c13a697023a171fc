//! Does what is said of a running job, in the order it is said.

use super::{Heard, LOG_LINE, Stated, snippet};
use crate::handler::{ActionError, JobContext};
use crate::job::Outcome;

/// Hears the lines of one attempt.
pub(crate) struct Listener {
    /// Where they come from, for the job's log.
    channel: &'static str,
    /// The last outcome stated.
    pub(crate) stated: Option<Stated>,
    /// Something asked for was not done; with it undone no outcome stated counts.
    pub(crate) undone: Option<Outcome>,
}

impl Listener {
    pub(crate) fn new(channel: &'static str) -> Self {
        Self { channel, stated: None, undone: None }
    }

    /// Does what one line asks for. Waits for Redis where data or children are stated.
    pub(crate) async fn hear(&mut self, heard: Heard, ctx: &JobContext) {
        match heard {
            Heard::Log(line) => ctx.log(snippet(line.as_bytes(), LOG_LINE)),
            // refused only at the end of the attempt, when it matters no more
            Heard::Progress(value) => drop(ctx.update_progress(value)),
            Heard::Extend(by) => drop(ctx.extend(by)),
            Heard::Outcome(stated) => self.stated = Some(stated),
            Heard::Nonsense(why) => ctx.log(format!("{}: {why}", self.channel)),
            _ if self.undone.is_some() => {}
            Heard::Unfit(why) => self.give_up(&why, ctx),
            Heard::Data(data) => {
                let done = ctx.update_data(data).await;
                self.done("cannot update the data", done, ctx);
            }
            Heard::Children(children) => {
                let done = ctx.add_children(children).await.map(drop);
                self.done("cannot add the children", done, ctx);
            }
        }
    }

    fn done(&mut self, what: &str, done: Result<(), ActionError>, ctx: &JobContext) {
        match done {
            Ok(()) => {}
            Err(ActionError::Stopping(reason)) => self.undone = Some(ctx.stopped(reason)),
            Err(error) => self.give_up(&format!("{what}: {error}"), ctx),
        }
    }

    fn give_up(&mut self, why: &str, ctx: &JobContext) {
        ctx.log(format!("{}: {why}", self.channel));
        self.undone = Some(Outcome::retry(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::CancelReason;
    use crate::handler::testing::context;

    async fn hear(lines: &[&str], ctx: &JobContext) -> Listener {
        let mut listener = Listener::new("descriptor 3");
        for line in lines {
            if let Some(heard) = Heard::parse(line.as_bytes(), 0, &ctx.job().queue) {
                listener.hear(heard, ctx).await;
            }
        }
        listener
    }

    #[tokio::test]
    async fn what_is_said_is_done_and_the_last_outcome_stands() {
        let ctx = context();
        let first = ctx.deadline();
        let lines = [
            r#"{"log":"half\nway"}"#,
            "",
            "hello",
            r#"{"progress":1}"#,
            r#"{"progress":2}"#,
            r#"{"extend":"1h"}"#,
            r#"{"outcome":"fail"}"#,
            r#"{"outcome":"discard"}"#,
        ];
        let listener = hear(&lines, &ctx).await;
        assert!(listener.undone.is_none());
        assert_eq!(listener.stated.unwrap().answer, crate::config::Answer::Discard);
        assert!(ctx.deadline() >= first);
        let told = ctx.close_report();
        assert_eq!(told.progress.unwrap().get(), "2");
        assert_eq!(told.lines[0], "half way");
        assert!(told.lines[1].starts_with("descriptor 3: line not understood"), "{:?}", told.lines);
    }

    #[tokio::test]
    async fn what_would_be_missed_fails_the_attempt() {
        for (line, why) in [
            (r#"{"data":1}"#, "cannot update the data: no engine runs this job"),
            (r#"{"children":[{"name":"a"}]}"#, "cannot add the children: no engine runs this job"),
            (r#"{"t":"data"}"#, "data says nothing (expected the member data)"),
        ] {
            let ctx = context();
            let listener = hear(&[line, r#"{"outcome":"complete"}"#], &ctx).await;
            let Some(Outcome::Retry { failure, after: None }) = listener.undone else { panic!("{line}") };
            assert_eq!(failure.message, why);
            assert_eq!(ctx.take_log(), [format!("descriptor 3: {why}")]);
        }
        let ctx = context();
        ctx.cancel(CancelReason::Shutdown);
        assert!(matches!(hear(&[r#"{"data":1}"#], &ctx).await.undone, Some(Outcome::Interrupted)));
    }
}
