//! Says once that Redis is away and once that it is back, once that it refuses and once that it does not any more, whatever
//! the number of queues and calls; and each minute what is wrong with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CHECK, Keeping, Server, warn_of_skew};
use crate::store::{Link, News, Store};

/// How often it is looked whether what was refused is not any more.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn watch(store: Store, server: Arc<Server>, keeping: Keeping) {
    let mut link = store.link();
    let mut said = false;
    let mut checked = Instant::now();
    let mut evicts = false;
    warn_of_skew(&store);
    let refusals = store.refusals();
    loop {
        let is_any = refusals.is_any();
        tokio::select! {
            changed = link.changed() => if changed.is_err() { return },
            () = refusals.begun.notified() => {
                tell(&store, &refusals.news(Instant::now()));
                continue;
            }
            () = tokio::time::sleep(LOOK), if is_any => {
                probe(&keeping).await;
                tell(&store, &refusals.news(Instant::now()));
                continue;
            }
            () = tokio::time::sleep_until((checked + CHECK).into()) => {
                checked = Instant::now();
                warn_of_skew(&store);
                if let Ok(info) = store.server().await {
                    // said at start already; here only when it changes
                    if !info.keeps_everything() && !evicts {
                        tracing::error!("redis may delete jobs when its memory is full; set maxmemory-policy noeviction");
                    }
                    evicts = !info.keeps_everything();
                    server.note(&info);
                }
                continue;
            }
        }
        match link.borrow_and_update().clone() {
            Link::Lost { reason, .. } if !said => {
                tracing::warn!(redis = store.address(), %reason, "redis is away");
                said = true;
            }
            Link::Up { away } if said => {
                server.is_back();
                let away = away.map_or(0, |away| away.as_millis());
                tracing::info!(redis = store.address(), away, "redis is back");
                said = false;
            }
            _ => {}
        }
    }
}

/// Writes what harms nobody, to see whether the server takes writes: what it has refused may not be asked for again for long.
async fn probe(keeping: &Keeping) {
    let queue = keeping.lock().expect("no code panics while holding this lock").first().map(|kept| kept.queue.clone());
    if let Some(queue) = queue
        && let Err(error) = queue.ring().await
    {
        tracing::debug!(%error, "redis takes no writes");
    }
}

fn tell(store: &Store, news: &[News]) {
    let redis = store.address();
    for news in news {
        match news {
            News::Begun { code, message } => {
                let remedy = remedy(code);
                // what nobody has to mend is over by itself
                if matches!(code.as_str(), "LOADING" | "BUSY" | "READONLY" | "TRYAGAIN") {
                    tracing::warn!(redis, code, answer = message, remedy, "redis refuses calls; jobs wait");
                } else {
                    tracing::error!(redis, code, answer = message, remedy, "redis refuses calls; jobs wait");
                }
            }
            News::Over { code, lasted, calls } => {
                let lasted = lasted.as_millis();
                tracing::info!(redis, code, lasted, refused = calls, "redis refuses calls no more");
            }
        }
    }
}

/// What can be done about it.
fn remedy(code: &str) -> &'static str {
    match code {
        "OOM" => "raise maxmemory, or remove finished jobs",
        "MISCONF" => "it cannot save to disk: look at its log, and make room",
        "NOREPLICAS" => "bring its replicas back, or lower min-replicas-to-write",
        "READONLY" => "it is a replica now: point redis.url at the primary, unless a fail-over is under way",
        "BUSY" => "a script runs too long: SCRIPT KILL ends one that has written nothing",
        "LOADING" => "it reads its data from disk, and goes on by itself",
        _ => "look at its log",
    }
}
