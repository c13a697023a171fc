//! `oxherd healthcheck`: one question, one answer, for containers.

mod daemon;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::session::{Session, connect, runtime};
use super::{Error, Exit};
use crate::config::Config;
use crate::daemon::StateDir;
use crate::store::Embedding;

/// Containers give a check a few seconds; ours must have its answer before.
const PATIENCE: Duration = Duration::from_secs(2);

/// Exit 0 when the daemon is well, 1 with the reason when not; for containers
///
/// Where the configuration has [admin] the running daemon is asked: work is taken, or none is there to be taken. Elsewhere
/// Redis has to answer within two seconds, and, with a state directory, the daemon has to run.
#[derive(Args)]
pub struct Healthcheck {
    /// Ask whether the jobs of every queue are taken: not while starting or stopping, or while Redis is away
    #[arg(long)]
    ready: bool,
}

impl Healthcheck {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let result = session.redis_config().and_then(|config| match &config.admin {
            Some(admin) => daemon::ask(admin, self.ready, PATIENCE).map_err(Error::No),
            None => look(&config),
        });
        match result {
            Ok((text, mut answer)) => {
                if session.out.is_json() {
                    answer["ok"] = true.into();
                    session.out.json(&answer)?;
                } else {
                    session.out.line(format_args!("ok: {text}"))?;
                }
                Ok(Exit::Done)
            }
            Err(error) => {
                let reason = error.one_line();
                if session.out.is_json() {
                    session.out.json(&json!({ "ok": false, "error": reason }))?;
                    return Ok(Exit::No);
                }
                Err(Error::No(format!("not healthy: {reason}")))
            }
        }
    }
}

/// From outside: Redis and the state directory.
fn look(config: &Config) -> Result<(String, Value), Error> {
    if let Some(directory) = &config.daemon.state_dir
        && StateDir::holder(directory).is_none()
    {
        return Err(Error::No(format!("no daemon runs with the state directory {}", directory.display())));
    }
    runtime()?.block_on(async {
        // a private server that is not running is not healthy, and not ours to start
        let store = connect(config, PATIENCE, Embedding::Join).await?;
        let address = store.address().to_owned();
        store.close().await?;
        Ok((format!("redis at {address} answers"), json!({ "redis": address })))
    })
}
