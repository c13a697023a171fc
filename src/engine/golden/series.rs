//! Steps about job schedulers.

use serde_json::Value as Json;
use serde_json::value::to_raw_value;

use super::keyspace::restored;
use super::play::Play;
use super::steps::Step;
use crate::job::{JobId, JobOptions, SchedulerSpec, Template};
use crate::store::{Code, Error, NextIteration};

impl Play<'_> {
    /// Performs a step about schedulers; `None` for any other.
    pub(super) async fn perform_series(&mut self, step: &Step) -> Option<Result<String, Error>> {
        let text = |at: usize| step.words.get(at).map_or("", |word| word.text.as_str());
        let json = |at: usize| step.words.get(at).and_then(|word| word.json.clone()).unwrap_or_default();
        Some(match text(0) {
            "upsert" => self.upsert(text(1), &json(2), &json(3)).await,
            "next" => self.next_iteration(text(1)).await,
            "remove-scheduler" => self.queue().remove_scheduler(text(1)).await.map(|removed| removed.to_string()),
            "schedulers" => self.queue().schedulers(0, 100).await.map(|found| {
                let ids: Vec<_> = found.iter().map(|found| found.id.as_str()).collect();
                ids.join(" ")
            }),
            _ => return None,
        })
    }

    async fn upsert(&mut self, id: &str, spec: &Json, template: &Json) -> Result<String, Error> {
        let repeat: Json = serde_json::from_str(&restored(&spec.to_string())).unwrap();
        let spec = SchedulerSpec {
            immediately: repeat["immediately"] == true,
            ..SchedulerSpec::read(|name| repeat.get(name).cloned())
        };
        let data = template.get("data").cloned().unwrap_or_else(|| Json::Object(serde_json::Map::new()));
        let opts = template
            .get("opts")
            .map_or_else(JobOptions::default, |opts| JobOptions::parse(&opts.to_string()).unwrap().0);
        let name = template["name"].as_str().unwrap_or(id).to_owned();
        let template = Template { name, data: to_raw_value(&data).unwrap(), opts };
        match self.queue().upsert_scheduler(id, &spec, &template).await {
            Ok(Some(id)) => Ok(id.to_string()),
            Ok(None) => Ok("nothing".into()),
            Err(Error::Setup(_)) => Ok("refused".into()),
            Err(Error::Rejected { code: code @ (Code::IterationExists | Code::NoFreeIteration), .. }) => {
                Ok(format!("refused {code:?}"))
            }
            Err(error) => Err(error),
        }
    }

    /// What a worker does with each iteration it has taken, before it runs it.
    pub(super) async fn go_on(&self, taken: &[JobId]) -> Result<(), Error> {
        for id in taken {
            if self.job(id.as_str()).scheduler.is_some() {
                self.next_iteration(id.as_str()).await?;
            }
        }
        Ok(())
    }

    async fn next_iteration(&self, id: &str) -> Result<String, Error> {
        let next = self.work_queue().add_next_iteration(self.job(id), "UTC").await?;
        Ok(match next {
            NextIteration::Added(id) => id.to_string(),
            other => format!("{other:?}"),
        })
    }
}
