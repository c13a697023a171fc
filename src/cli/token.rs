//! `oxherd token`: a token for a tenant, to try out what a page would get from its own server.

use std::time::{Duration, SystemTime};

use clap::Args;

use super::session::Session;
use super::{Error, Exit, value};
use crate::admin::token::{Claims, Key, seconds};
use crate::config::{self, Problem};
use crate::job::QueueName;

/// Make a token with which a page sees the messages of one tenant
///
/// /v1/events takes it. It is signed with the first of admin.events.secrets.
#[derive(Args)]
pub struct Token {
    /// Whose messages it shows
    #[arg(long, value_name = "TENANT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    tenant: String,
    /// Only those of this queue
    #[arg(long, value_name = "NAME", value_parser = value::queue)]
    queue: Option<QueueName>,
    /// How long it holds
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = value::duration)]
    ttl: Duration,
}

impl Token {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (config, _) = config::load(&session.sources(false))?;
        let secret = config.admin.as_ref().and_then(|admin| admin.events.secrets.first());
        let Some(secret) = secret else {
            let problem = Problem::error("there is no secret to sign a token with")
                .with_help("write secrets = [{ file = \"…\" }] in [admin.events]");
            return Err(config::Error { problems: vec![problem] }.into());
        };
        let exp = (seconds(SystemTime::now()) + self.ttl.as_secs_f64()).floor();
        let claims = Claims { tenant: self.tenant, queue: self.queue.map(|queue| queue.to_string()), exp, nbf: None };
        let token = Key::new(secret).sign(&claims);
        if session.out.is_json() {
            let mut answer = serde_json::to_value(&claims).expect("claims are plain values");
            answer["token"] = token.into();
            session.out.json(&answer)?;
        } else {
            session.out.line(token)?;
        }
        Ok(Exit::Done)
    }
}
