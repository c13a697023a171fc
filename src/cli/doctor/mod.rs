//! `oxherd doctor`: looks at Redis, the queues and this machine, and says what to do about what it finds.

mod handlers;
mod machine;
mod show;

use clap::Args;

use super::session::{PATIENCE, Session, address, runtime};
use super::{Error, Exit};
use crate::config::{self, Config};
use crate::store::Store;
use crate::store::checkup::{self, Finding, Severity};

/// Examine Redis, the queues, the clocks and this machine; changes nothing
///
/// Each finding has a code that stays the same, a severity, what was seen, and what to do. What the
/// server does not let us see is unknown. Without a configuration file the queues under the prefix
/// are looked at. Exit 0 when nothing is worse than a warning, 1 on an error, 69 when Redis cannot be
/// reached, 78 when the configuration is refused.
#[derive(Args)]
pub struct Doctor {
    /// Exit 1 on warnings, too
    #[arg(long)]
    strict: bool,
    /// Show also what is as it should be
    #[arg(long)]
    all: bool,
    /// Connect also to the endpoints and mail servers that handlers call; nothing is sent but a greeting
    #[arg(long)]
    handlers: bool,
}

impl Doctor {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let sources = session.sources(true);
        let (config, problems) = config::load(&sources)?;
        let _logging = session.start_log(&config)?;
        let files = config::files(&sources);
        let runtime = runtime()?;
        let (mut findings, is_there) = runtime.block_on(redis(&config))?;
        findings.extend(machine::examine(&config, &files, &problems));
        findings.extend(handlers::settings(&config));
        if self.handlers {
            findings.extend(runtime.block_on(handlers::reach(&config)));
        }
        // the worst last, where a terminal shows it; the order of the checks among equals
        findings.sort_by_key(|found| found.severity);
        show::print(&mut session.out, &findings, self.all)?;
        let worst = findings.iter().map(|found| found.severity).max();
        Ok(match worst {
            _ if !is_there => Exit::Unreachable,
            Some(Severity::Error) => Exit::No,
            Some(Severity::Warning) if self.strict => Exit::No,
            _ => Exit::Done,
        })
    }
}

/// What there is to say about Redis, and whether it could be reached.
async fn redis(config: &Config) -> Result<(Vec<Finding>, bool), Error> {
    let store = match tokio::time::timeout(PATIENCE, Store::open_to_examine(&config.redis)).await {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => {
            let is_there = !error.is_connection() && !matches!(error, crate::store::Error::Embedded { .. });
            return Ok((vec![checkup::no_connection(&error)], is_there));
        }
        Err(_) => return Ok((vec![checkup::no_answer(&address(&config.redis), PATIENCE)], false)),
    };
    let findings = checkup::examine(&store, config).await;
    store.close().await?;
    Ok((findings, true))
}
