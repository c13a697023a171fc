//! `oxherd queue audit`: who has done what to the queues by hand.

use chrono::SecondsFormat;
use clap::Args;

use super::super::print::Out;
use super::super::session::Session;
use super::super::{Error, Exit, value};
use crate::config;
use crate::job::QueueName;
use crate::job::schedule::local;
use crate::store::Deed;

/// Show who has done what to the queues with this program
///
/// Every verb that destroys or changes something leaves an entry, the newest ten thousand or so are kept in Redis. What programs
/// and dashboards do leaves none.
#[derive(Args)]
pub struct Audit {
    /// Of this queue only
    #[arg(value_name = "QUEUE", value_parser = value::queue)]
    queue: Option<QueueName>,
    /// At most so many entries, the newest
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

impl Audit {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let mut out = Out::new(session.global.json);
        session.with_store(|store, config| async move {
            let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
            let deeds = store.deeds(self.queue.as_ref().map(QueueName::as_str), limit).await?;
            if out.is_json() {
                out.json(&deeds)?;
            } else if deeds.is_empty() {
                out.line("nothing was done by hand, as far as is known")?;
            } else {
                let zone = config.daemon.timezone.clone().unwrap_or_else(config::local_zone);
                let row = |deed: &Deed| {
                    let at = local(deed.at, &zone).to_rfc3339_opts(SecondsFormat::Secs, true);
                    let who = format!("{}@{}", deed.user, deed.host);
                    let count = deed.count.to_string();
                    vec![
                        at,
                        who,
                        deed.verb.clone(),
                        deed.queue.clone(),
                        count,
                        deed.detail.clone(),
                        deed.result.clone(),
                    ]
                };
                let head = ["AT", "WHO", "VERB", "QUEUE", "COUNT", "WITH", "RESULT"];
                out.table(&head, &deeds.iter().map(row).collect::<Vec<_>>())?;
            }
            out.flush()?;
            Ok(Exit::Done)
        })?
    }
}
