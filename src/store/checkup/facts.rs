//! What the server says about itself, read once, as far as it may be read.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::super::connection::Value;
use super::super::{Error, Store, reply};
use super::finding::Known;

/// How long one question may take.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The parameters that are asked for.
const PARAMETERS: [&str; 13] = [
    "save",
    "appendonly",
    "appendfsync",
    "maxclients",
    "timeout",
    "tcp-keepalive",
    "client-output-buffer-limit",
    "min-replicas-to-write",
    "bind",
    "protected-mode",
    "requirepass",
    "stop-writes-on-bgsave-error",
    "port",
];

/// What `INFO` and `CONFIG GET` tell.
pub struct Facts {
    info: Known<HashMap<String, String>>,
    parameters: Known<BTreeMap<&'static str, String>>,
}

impl Facts {
    pub async fn read(store: &Store) -> Self {
        let info = ask(store, "INFO", &[]).await.and_then(|text| words(reply::text("INFO", text)));
        let info = info.map(|text| {
            text.lines().filter_map(|line| line.trim().split_once(':')).map(|(k, v)| (k.into(), v.into())).collect()
        });
        Self { info, parameters: parameters(store).await }
    }

    /// A line of `INFO`.
    pub fn info(&self, name: &str) -> Known<&str> {
        let info = self.info.as_ref().map_err(Clone::clone)?;
        info.get(name).map(String::as_str).ok_or_else(|| format!("INFO of this server has no {name}"))
    }

    /// The same, where it is a whole number.
    pub fn number(&self, name: &str) -> Known<u64> {
        self.info(name)?.parse().map_err(|_| format!("{name} in INFO is no number"))
    }

    /// Every line of `INFO` whose name begins so, sorted.
    pub fn lines(&self, start: &str) -> Vec<&str> {
        let info = self.info.as_ref().ok();
        let mut found: Vec<_> = info.into_iter().flatten().filter(|(name, _)| name.starts_with(start)).collect();
        found.sort();
        found.into_iter().map(|(_, value)| value.as_str()).collect()
    }

    /// A parameter, as `CONFIG GET` has it.
    pub fn parameter(&self, name: &str) -> Known<&str> {
        let parameters = self.parameters.as_ref().map_err(Clone::clone)?;
        parameters.get(name).map(String::as_str).ok_or_else(|| format!("this server has no parameter {name}"))
    }

    /// Facts as tests want them.
    #[cfg(test)]
    pub fn made_up(info: &[(&str, &str)], parameters: Known<&[(&'static str, &str)]>) -> Self {
        Self {
            info: Ok(info.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()),
            parameters: parameters.map(|found| found.iter().map(|(k, v)| (*k, (*v).into())).collect()),
        }
    }
}

async fn parameters(store: &Store) -> Known<BTreeMap<&'static str, String>> {
    let mut found = BTreeMap::new();
    // one by one: before 7.0 only one can be asked for at a time
    for name in PARAMETERS {
        let answer = ask(store, "CONFIG", &["GET", name]).await?;
        if let [_, value] = words(reply::texts("CONFIG GET", answer))?.as_slice() {
            found.insert(name, value.clone());
        }
    }
    Ok(found)
}

/// One command; why there is no answer is told as the reason something is unknown.
pub async fn ask(store: &Store, command: &'static str, args: &[&str]) -> Known<Value> {
    let label = args.first().map_or(command.to_owned(), |first| format!("{command} {first}"));
    let args = args.iter().map(|arg| Value::from(*arg)).collect();
    in_time(&label, store.command().call(command, args)).await
}

/// An answer of the store, within [`PATIENCE`].
pub async fn in_time<T>(label: &str, answer: impl Future<Output = Result<T, Error>>) -> Known<T> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(why(label, &error)),
        Err(_) => Err(format!("{label} had no answer within {}s", PATIENCE.as_secs())),
    }
}

pub fn words<T>(answer: Result<T, Error>) -> Known<T> {
    answer.map_err(|error| error.to_string())
}

fn why(label: &str, error: &Error) -> String {
    match error {
        Error::Denied { message, .. } => format!("{label} is not allowed: {message}"),
        Error::Command { message, .. } => format!("{label} is not to be had: {message}"),
        other => other.to_string(),
    }
}
