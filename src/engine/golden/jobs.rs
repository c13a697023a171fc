//! Steps that move, change and read single jobs by hand, and set the limits of a queue.

use std::time::Duration;

use serde_json::value::RawValue;

use super::play::{Play, joined};
use super::steps::Step;
use crate::config;
use crate::job::{JobId, State};
use crate::store::{Error, Finished, Queue, Reset};

impl Play<'_> {
    /// Performs one step and returns what it answered; `None` when it is none of these.
    pub(super) async fn perform_job(&mut self, step: &Step) -> Option<Result<String, Error>> {
        let words: Vec<&str> = step.words.iter().map(|word| word.text.as_str()).collect();
        let queue = self.queue();
        let json = |at: usize| RawValue::from_string(step.words[at].json.as_ref().unwrap().to_string()).unwrap();
        let answer = match words.as_slice() {
            ["retry", id, state, forgotten @ ..] => {
                let forgets = |word: &str| forgotten.contains(&word);
                let reset = Reset { attempts_made: forgets("made"), attempts_started: forgets("started") };
                queue.retry(&JobId::stored(id), self::state(state), reset).await.map(|()| String::new())
            }
            ["retry-jobs", state] => queue.retry_jobs(self::state(state), None).await.map(|moved| moved.to_string()),
            ["promote", id] => queue.promote(&JobId::stored(id)).await.map(|()| String::new()),
            ["promote-jobs"] => queue.promote_jobs().await.map(|moved| moved.to_string()),
            ["change-delay", id, ms] => {
                queue.change_delay(&JobId::stored(id), millis(ms)).await.map(|()| String::new())
            }
            ["change-priority", id, priority, end @ ..] => {
                let lifo = *end == ["lifo"];
                let priority = priority.parse().unwrap();
                queue.change_priority(&JobId::stored(id), priority, lifo).await.map(|()| String::new())
            }
            ["update-data", id, _] => queue.update_data(&JobId::stored(id), &json(2)).await.map(|()| String::new()),
            ["progress", id, _] => queue.update_progress(&JobId::stored(id), &json(2)).await.map(|()| String::new()),
            ["add-log", id, row, keep @ ..] => {
                let keep = keep.first().map(|rows| rows.parse().unwrap());
                queue.add_log(&JobId::stored(id), row, keep).await.map(|rows| rows.to_string())
            }
            ["clear-logs", id, keep] => {
                queue.clear_logs(&JobId::stored(id), keep.parse().unwrap()).await.map(|()| String::new())
            }
            ["global-concurrency", limit] => {
                queue.set_global_concurrency(limit.parse().ok()).await.map(|()| String::new())
            }
            ["global-rate-limit", limit @ ..] => {
                let limit = match limit {
                    [max, ms] => Some(config::RateLimit { max: max.parse().unwrap(), per: millis(ms) }),
                    _ => None,
                };
                queue.set_global_rate_limit(limit).await.map(|()| String::new())
            }
            ["rate-limit", "none"] => queue.remove_rate_limit_key().await.map(|()| String::new()),
            ["rate-limit", ms] => queue.rate_limit(millis(ms)).await.map(|()| String::new()),
            ["get", what @ ..] => get(&queue, what).await,
            _ => return None,
        };
        Some(match answer {
            Err(Error::Rejected { code, .. }) => Ok(format!("refused {code:?}")),
            answer => answer,
        })
    }
}

async fn get(queue: &Queue, words: &[&str]) -> Result<String, Error> {
    Ok(match words {
        ["counts"] => {
            let counts = queue.counts().await?;
            joined(State::ALL.iter().map(|state| format!("{state}={}", counts.of(*state))))
        }
        ["jobs", state, from, limit, order @ ..] => {
            let (state, from, limit) = (self::state(state), from.parse().unwrap(), limit.parse().unwrap());
            let jobs = match order {
                ["reversed"] => queue.jobs_reversed(state, from, limit).await?,
                _ => queue.jobs(state, from, limit).await?,
            };
            joined(jobs.iter().map(|job| job.id.to_string()))
        }
        ["state", id] => {
            let job = queue.job(&JobId::stored(id)).await?;
            job.map_or(State::Unknown, |job| job.state).to_string()
        }
        ["finished", id] => match queue.finished(&JobId::stored(id)).await? {
            Finished::Pending => "pending".into(),
            Finished::Completed(value) => format!("completed {value}"),
            Finished::Failed(reason) => format!("failed {reason}"),
        },
        ["logs", id, start, end, order] => {
            let (start, end) = (start.parse().unwrap(), end.parse().unwrap());
            let (rows, total) = queue.logs(&JobId::stored(id), start, end, *order == "asc").await?;
            format!("{} of {total}", joined(rows.into_iter()))
        }
        ["priorities", priorities @ ..] => {
            let priorities: Vec<u32> = priorities.iter().map(|priority| priority.parse().unwrap()).collect();
            joined(queue.counts_per_priority(&priorities).await?.iter().map(u64::to_string))
        }
        ["rate-limit"] => match queue.rate_limit_ttl().await? {
            Some(_) => "limited".into(),
            None => "free".into(),
        },
        _ => panic!("unknown step get {}", joined(words.iter().copied())),
    })
}

fn state(text: &str) -> State {
    text.parse().unwrap()
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap())
}
