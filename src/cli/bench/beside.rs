//! What stands beside the queues, each operation next to the bare command it cannot do without: in turns, over
//! connections of the same kind.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::Error;
use super::{Figures, rounded};
use crate::app::cache::{Keep, Key, Pattern};
use crate::app::{self, App};
use crate::config;
use crate::store::{self, Store};

/// Operations of one kind before it is the next one's turn.
const TURN: u64 = 500;
/// Callers at once, beside one alone.
const CALLERS: usize = 32;
/// More than anybody asks in a second.
const MOST: u32 = 1_000_000;

/// What is measured; the name is its figure's in the JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Get,
    Hit,
    Evalsha,
    Check,
}

impl Operation {
    const ALL: [(&'static str, Self); 4] =
        [("get", Self::Get), ("hit", Self::Hit), ("evalsha", Self::Evalsha), ("check", Self::Check)];
}

struct Scene {
    store: Store,
    app: App,
    key: Key,
    /// The same key, as a whole.
    stored: String,
    /// Of a script that only returns.
    sha: String,
}

impl Scene {
    async fn once(&self, operation: Operation) -> Result<(), app::Error> {
        let command = self.store.command();
        match operation {
            Operation::Get => command.call("GET", vec![self.stored.as_str().into()]).await.map(drop)?,
            Operation::Hit => {
                let gone = || store::Error::Setup("the value is gone".to_owned());
                let made = async || Err::<String, app::Error>(gone().into());
                self.app.cache().get_or_set(&self.key, &Keep::default(), made).await.map(drop)?;
            }
            Operation::Evalsha => {
                let args = vec![self.sha.as_str().into(), "1".into(), self.stored.as_str().into()];
                command.call("EVALSHA", args).await.map(drop)?;
            }
            Operation::Check => {
                self.app.limiter().check("7", "bench", MOST, Duration::from_secs(1)).await.map(drop)?;
            }
        }
        Ok(())
    }

    /// So many of one kind, by so many callers; how long it took.
    async fn turn(&self, operation: Operation, callers: usize) -> Result<Duration, Error> {
        let each = TURN.div_ceil(callers as u64);
        let begun = Instant::now();
        let caller = || async {
            for _ in 0..each {
                self.once(operation).await?;
            }
            Ok::<_, app::Error>(())
        };
        futures_util::future::try_join_all((0..callers).map(|_| caller())).await.map_err(failed)?;
        Ok(begun.elapsed() * u32::try_from(TURN).unwrap_or(1) / u32::try_from(each * callers as u64).unwrap_or(1))
    }
}

/// `operations` of each kind.
pub async fn measure(store: &Store, operations: u64, payload: usize) -> Result<Figures, Error> {
    let prefix = format!("oxherd-bench-{:08x}", fastrand::u32(..));
    let settings = config::App { prefix: prefix.clone(), ..config::App::default() };
    let app = App::new(store, settings).map_err(failed)?;
    let key = Key::new("bench", "value").with("id", 7);
    let keep = Keep::default().ttl(Duration::from_secs(3600));
    app.cache().set(&key, &"x".repeat(payload), &keep).await.map_err(failed)?;
    let loaded = store.command().call("SCRIPT", vec!["LOAD".into(), "return 1".into()]).await?;
    let sha = loaded.as_string().unwrap_or_default();
    let scene = Scene { store: store.clone(), app, stored: format!("{prefix}:{key}"), key, sha };
    let measured = figures(&scene, operations).await;
    let _ = scene.app.cache().delete_matching(&Pattern::of("bench")).await;
    let mut figures = measured?;
    figures.insert("payloadBytes".into(), payload.into());
    figures.insert("server".into(), store.server().await?.to_string().into());
    Ok(figures)
}

async fn figures(scene: &Scene, operations: u64) -> Result<Figures, Error> {
    let figures = json!({ "mode": "app", "operations": operations, "callers": CALLERS, "unit": "us" });
    let mut figures = figures.as_object().cloned().unwrap_or_default();
    for (callers, ending) in [(1, "Us"), (CALLERS, "UsAtOnce")] {
        let mut took: Vec<Vec<Duration>> = vec![Vec::new(); Operation::ALL.len()];
        for round in 0..=operations.div_ceil(TURN) {
            for (at, (_, operation)) in Operation::ALL.into_iter().enumerate() {
                let turn = scene.turn(operation, callers).await?;
                // in the first, scripts are loaded and connections opened
                if round > 0 {
                    took[at].push(turn);
                }
            }
        }
        for ((name, _), turns) in Operation::ALL.into_iter().zip(&mut took) {
            turns.sort_unstable();
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let each = turns[turns.len() / 2].as_secs_f64() * 1e6 / TURN as f64;
            figures.insert(format!("{name}{ending}"), rounded(each));
        }
    }
    Ok(figures)
}

fn failed(error: app::Error) -> Error {
    match error {
        app::Error::Store(error) => error.into(),
        other => Error::No(other.to_string()),
    }
}
