//! What the verbs share: the global options, where output goes, how the configuration is read
//! and Redis is reached.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use super::print::{self, Out};
use super::{Error, Global, LogFormat};
use crate::config::{self, Config, LoadOptions};
use crate::daemon::Logging;
use crate::store::{Embedding, Store};

/// How long a verb waits for Redis before it says so.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a private server that may have to be started and to read its data first.
const PATIENCE_TO_START: Duration = Duration::from_secs(60);

/// One run of one verb.
pub struct Session {
    pub global: Global,
    pub out: Out,
}

impl Session {
    pub fn new(global: Global) -> Self {
        let out = Out::new(global.json);
        Self { global, out }
    }

    /// How the configuration is to be found. `no_file_ok` for verbs that only need Redis.
    pub fn sources(&self, no_file_ok: bool) -> LoadOptions {
        LoadOptions {
            files: self.global.config.clone(),
            set: self.global.set.clone(),
            redis_url: self.global.redis.clone(),
            no_file_ok,
            env: config::process_env(),
            directory: PathBuf::new(),
            handlers: Vec::new(),
        }
    }

    /// What the log is to be: the flags win over the file.
    pub fn log(&self, config: &Config) -> config::Log {
        let mut log = config.log.clone();
        if let Some(level) = &self.global.log_level {
            log.level.clone_from(level);
        }
        match self.global.log_format {
            Some(LogFormat::Auto) => log.format = config::LogFormat::Auto,
            Some(LogFormat::Pretty) => log.format = config::LogFormat::Pretty,
            Some(LogFormat::Json) => log.format = config::LogFormat::Json,
            None => {}
        }
        log
    }

    /// The configuration of a verb that only needs Redis.
    pub fn redis_config(&self) -> Result<Config, Error> {
        let (config, _) = config::load(&self.sources(true))?;
        Ok(config)
    }

    /// For verbs other than `run`: no log unless asked for, errors are printed anyway.
    pub fn start_log(&self, config: &Config) -> Result<Option<Logging>, Error> {
        match &self.global.log_level {
            Some(_) => Ok(Some(Logging::start(&self.log(config), &config.secrets)?)),
            None => Ok(None),
        }
    }

    /// Runs a verb that works with Redis: reads the configuration, connects, and says what is
    /// wrong when Redis does not answer in time. The log is off unless asked for.
    pub fn with_store<Fut>(&mut self, verb: impl FnOnce(Store, Config) -> Fut) -> Result<Fut::Output, Error>
    where
        Fut: Future,
    {
        let config = self.redis_config()?;
        let _logging = self.start_log(&config)?;
        runtime()?.block_on(async {
            let store = connect(&config, PATIENCE, Embedding::Start).await?;
            let answer = verb(store.clone(), config).await;
            store.close().await?;
            Ok(answer)
        })
    }
}

/// Says what went wrong, with its causes, on standard error.
pub fn complain(error: &Error) {
    if let Error::Config(error) = error {
        let colour = print::stderr_has_colour();
        for problem in &error.problems {
            let level = match problem.severity {
                config::Severity::Error => tracing::Level::ERROR,
                config::Severity::Warning => tracing::Level::WARN,
            };
            print::grave(level, &format!("{}\n", problem.render(colour)));
        }
    } else {
        print::error(error.one_line());
    }
}

/// A store whose server has answered within `patience`.
pub async fn connect(config: &Config, patience: Duration, embedding: Embedding) -> Result<Store, Error> {
    let patience = match (&config.redis.endpoint, embedding) {
        (config::Endpoint::Embedded(_), Embedding::Start) => PATIENCE_TO_START,
        _ => patience,
    };
    let redis = config::Redis { at_start: config::AtStart::Fail, announce_workers: false, ..config.redis.clone() };
    let open = async {
        let store = Store::open_with(&redis, "cli", embedding).await?;
        store.ping().await?;
        Ok(store)
    };
    match tokio::time::timeout(patience, open).await {
        Ok(result) => result,
        Err(_) => Err(Error::NoAnswer(format!(
            "nothing from {} within {}s; check --redis or redis.url",
            address(&config.redis),
            patience.as_secs()
        ))),
    }
}

/// Where Redis is, without credentials, when no store is there to be asked.
pub fn address(redis: &config::Redis) -> String {
    match &redis.endpoint {
        config::Endpoint::Tcp { host, port, .. } => format!("{host}:{port}"),
        config::Endpoint::Unix(path) => path.display().to_string(),
        config::Endpoint::Embedded(directory) => format!("embedded:{}", directory.display()),
    }
}

/// One thread for everything: to wake another costs more than what is done for a job. Names of hosts
/// are looked up on threads beside it, few and soon gone.
pub fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(1))
        .enable_all()
        .build()
        .map_err(|source| Error::Start { what: "the runtime", source })
}
