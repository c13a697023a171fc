//! Steps of what a job may do while it runs.

use serde_json::Value as Json;
use serde_json::value::{RawValue, to_raw_value};

use super::play::Play;
use super::steps::Step;
use crate::job::Outcome;
use crate::store::{Error, JobReport, Token};

impl Play<'_> {
    /// Performs one step and returns what it answered; `None` when it is none of these.
    pub(super) async fn perform_running(&mut self, step: &Step) -> Option<Result<String, Error>> {
        match step.words[0].text.as_str() {
            "wait-children" => Some(self.finish(step, Outcome::WaitForChildren, &step.words[3..]).await),
            "report" => Some(self.report(step).await),
            _ => None,
        }
    }

    async fn report(&mut self, step: &Step) -> Result<String, Error> {
        let job = self.job(&step.words[1].text);
        let token = Token::from(step.words[2].text.as_str());
        let told = step.words[3].json.as_ref().and_then(Json::as_object).expect("progress, data and log");
        let json = |name: &str| -> Option<Box<RawValue>> { told.get(name).map(|value| to_raw_value(value).unwrap()) };
        let (progress, data) = (json("progress"), json("data"));
        let rows: Vec<String> =
            told.get("log").map_or_else(Vec::new, |rows| serde_json::from_value(rows.clone()).unwrap());
        let report = JobReport {
            progress: progress.as_deref(),
            data: data.as_deref(),
            rows: &rows,
            ..JobReport::of(job, &token)
        };
        let answer = self.work_queue().report_jobs(&[report]).await?.remove(0);
        Ok(answer.map_or_else(|code| format!("refused {code:?}"), |()| "done".into()))
    }
}
