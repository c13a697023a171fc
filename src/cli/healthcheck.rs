//! `oxherd healthcheck`: one question, one answer, for containers.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::session::{Session, connect, runtime};
use super::{Error, Exit};
use crate::store::Embedding;

/// Containers give a check a few seconds; ours must have its answer before.
const PATIENCE: Duration = Duration::from_secs(2);

/// Exit 0 when Redis answers, 1 when not; for containers
///
/// The configuration has to be readable, and Redis to answer within two seconds.
#[derive(Args)]
pub struct Healthcheck {}

impl Healthcheck {
    #[expect(clippy::unused_self, reason = "every verb is executed the same way")]
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        match ask(session) {
            Ok(answer) => {
                if session.out.is_json() {
                    session.out.json(&json!({ "ok": true, "redis": answer }))?;
                } else {
                    session.out.line(format_args!("ok: redis at {answer} answers"))?;
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

fn ask(session: &Session) -> Result<String, Error> {
    let config = session.redis_config()?;
    runtime()?.block_on(async {
        // a private server that is not running is not healthy, and not ours to start
        let store = connect(&config, PATIENCE, Embedding::Join).await?;
        let address = store.address().to_owned();
        store.close().await?;
        Ok(address)
    })
}
