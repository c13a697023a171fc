//! Which handler does a job: by queue and job name. Built once from the configuration and the
//! functions an embedding program registers; the engine asks a queue's [`Router`] for each job.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Error, Gate, Handler, log::Log};
use crate::config;
use crate::job::glob;

/// Every handler there is, by name.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: BTreeMap<String, Arc<dyn Handler>>,
    /// Those among them that are Rust functions: they outlive a reload.
    functions: BTreeMap<String, Arc<dyn Handler>>,
    /// What they were built from.
    configured: Arc<config::Config>,
    /// For endpoints that call back; the same over reloads.
    #[cfg(feature = "http")]
    callbacks: super::Callbacks,
}

impl Registry {
    /// Builds the configured handlers and adds the functions to them. Of the rest of the configuration they may want to
    /// know where Redis is, and what there is not theirs.
    pub fn build(configured: &config::Config, functions: BTreeMap<String, Arc<dyn Handler>>) -> Result<Self, Error> {
        Self { functions, ..Self::default() }.renew(configured)
    }

    /// The same functions beside other configured handlers. One whose settings are the same is the same: it keeps its
    /// processes, connections, and what it knows.
    pub fn renew(&self, configured: &config::Config) -> Result<Self, Error> {
        let old = &self.configured;
        let is_same_ground = old.redis == configured.redis && old.callbacks == configured.callbacks;
        let mut new =
            Self { handlers: self.functions.clone(), configured: Arc::new(configured.clone()), ..self.clone() };
        for (name, config) in &configured.handlers {
            if new.handlers.contains_key(name) {
                return Err(Error::Twice(name.clone()));
            }
            // what keeps house spares the lists that are queues
            let spares = !matches!(config, config::Handler::Redis(_)) || old.list_keys() == configured.list_keys();
            let is_same = is_same_ground && spares;
            let kept = self.handlers.get(name).filter(|_| is_same && old.handlers.get(name) == Some(config));
            let handler = match kept {
                Some(handler) => Arc::clone(handler),
                None => build(name, config, configured, self)?,
            };
            new.handlers.insert(name.clone(), handler);
        }
        Ok(new)
    }

    /// The attempts that wait for an endpoint to call back.
    #[cfg(feature = "daemon")]
    pub(crate) fn callbacks(&self) -> &super::Callbacks {
        &self.callbacks
    }

    /// The handlers one queue uses.
    pub fn router(&self, queue: &config::Queue) -> Result<Router, Error> {
        let mut router = Router::default();
        for (pattern, name) in &queue.routes {
            let handler = self.named(name, queue)?;
            if pattern.contains(['*', '?']) {
                router.globs.push((pattern.clone(), handler));
            } else {
                router.exact.insert(pattern.clone(), handler);
            }
        }
        // stable: of two globs of one length the first in the alphabet wins
        router.globs.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.chars().count()));
        router.otherwise = queue.handler.as_ref().map(|name| self.named(name, queue)).transpose()?;
        for name in queue.routes.values().chain(&queue.handler) {
            router.handlers.insert(name.clone(), self.named(name, queue)?);
        }
        Ok(router)
    }

    /// The handlers these queues use, by name.
    pub(crate) fn used_by<'a>(
        &self,
        queues: impl IntoIterator<Item = &'a config::Queue>,
    ) -> BTreeMap<String, Arc<dyn Handler>> {
        let names = queues.into_iter().flat_map(|queue| queue.routes.values().chain(&queue.handler));
        names.filter_map(|name| Some((name.clone(), Arc::clone(self.get(name)?)))).collect()
    }

    /// Whether a queue's jobs are done by another handler than `before` them.
    pub(crate) fn differs_for(&self, queue: &config::Queue, before: &Self) -> bool {
        queue.routes.values().chain(&queue.handler).any(|name| match (self.get(name), before.get(name)) {
            (Some(now), Some(before)) => !Arc::ptr_eq(now, before),
            (now, before) => now.is_some() != before.is_some(),
        })
    }

    /// The gates of all handlers that have one.
    pub(crate) fn gates(&self) -> Vec<(String, Gate)> {
        gates(&self.handlers)
    }

    /// One handler by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Handler>> {
        self.handlers.get(name)
    }

    fn named(&self, name: &str, queue: &config::Queue) -> Result<Arc<dyn Handler>, Error> {
        self.get(name).cloned().ok_or_else(|| Error::Unknown {
            queue: queue.name.to_string(),
            handler: name.to_owned(),
            known: self.handlers.keys().cloned().collect(),
        })
    }
}

/// `registry` is the one the handler is for, as far as it is the same over reloads.
fn build(
    name: &str,
    config: &config::Handler,
    whole: &config::Config,
    #[cfg_attr(not(feature = "http"), expect(unused_variables, reason = "only endpoints call back"))]
    registry: &Registry,
) -> Result<Arc<dyn Handler>, Error> {
    let refused = |problem| Error::Refused { handler: name.to_owned(), problem };
    match config {
        config::Handler::Log(config) => Ok(Arc::new(Log::new(config.clone()))),
        config::Handler::Redis(config) => {
            let keeper = super::redis::Keeper::new((**config).clone(), &whole.redis, &whole.list_keys());
            Ok(Arc::new(keeper.map_err(refused)?))
        }
        #[cfg(feature = "http")]
        config::Handler::Http(config) => {
            let mut handler = super::http::Http::new(config.clone()).map_err(refused)?;
            if let Some(to) = &whole.callbacks {
                handler = handler.calling_back(to, &registry.callbacks).map_err(refused)?;
            }
            Ok(Arc::new(handler))
        }
        #[cfg(not(feature = "http"))]
        config::Handler::Http(_) => Err(Error::LeftOut { handler: name.to_owned(), kind: "http" }),
        #[cfg(feature = "smtp")]
        config::Handler::Smtp(config) => Ok(Arc::new(super::smtp::Smtp::new((**config).clone()).map_err(refused)?)),
        #[cfg(not(feature = "smtp"))]
        config::Handler::Smtp(_) => Err(Error::LeftOut { handler: name.to_owned(), kind: "smtp" }),
        #[cfg(all(unix, feature = "command"))]
        config::Handler::Command(config) => {
            Ok(Arc::new(super::command::Command::new(config.clone()).map_err(refused)?))
        }
        #[cfg(all(unix, feature = "command"))]
        config::Handler::Process(config) => {
            Ok(Arc::new(super::process::Process::new(name, config.clone()).map_err(refused)?))
        }
        #[cfg(not(all(unix, feature = "command")))]
        config::Handler::Process(_) => Err(Error::LeftOut { handler: name.to_owned(), kind: "process" }),
        #[cfg(not(all(unix, feature = "command")))]
        config::Handler::Command(_) => Err(Error::LeftOut { handler: name.to_owned(), kind: "command" }),
    }
}

/// Finds the handler for a job of one queue. Cheap to share, never changes.
#[derive(Clone, Default)]
pub struct Router {
    exact: HashMap<String, Arc<dyn Handler>>,
    /// Longest first.
    globs: Vec<(String, Arc<dyn Handler>)>,
    otherwise: Option<Arc<dyn Handler>>,
    /// All of them, each once, by its name.
    handlers: BTreeMap<String, Arc<dyn Handler>>,
}

impl Router {
    /// The gates of those handlers that have one.
    pub(crate) fn gates(&self) -> Vec<(String, Gate)> {
        gates(&self.handlers)
    }

    /// Whether every handler has a gate: when all are shut there is no use in taking jobs.
    pub(crate) fn every_one_is_gated(&self) -> bool {
        !self.handlers.is_empty() && self.handlers.values().all(|handler| handler.gate().is_some())
    }

    /// Whether any of the handlers is to know which jobs have children.
    #[must_use]
    pub fn reads_children(&self) -> bool {
        self.handlers.values().any(|handler| handler.reads_children())
    }

    /// The handler for a job name: exact route, else longest glob, else the queue's handler.
    /// Allocates nothing.
    #[must_use]
    pub fn find(&self, job_name: &str) -> Option<&Arc<dyn Handler>> {
        self.exact
            .get(job_name)
            .or_else(|| self.globs.iter().find(|(glob, _)| glob::covers(glob, job_name)).map(|(_, handler)| handler))
            .or(self.otherwise.as_ref())
    }
}

fn gates(handlers: &BTreeMap<String, Arc<dyn Handler>>) -> Vec<(String, Gate)> {
    handlers.iter().filter_map(|(name, handler)| Some((name.clone(), handler.gate()?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::function::Function;
    use crate::job::{Outcome, QueueName};

    fn function() -> Arc<dyn Handler> {
        Arc::new(Function::new(|_, _| async { Outcome::done() }))
    }

    fn queue(routes: &[(&str, &str)], handler: Option<&str>) -> config::Queue {
        let mut queue = config::Queue::new(QueueName::new("q").unwrap());
        queue.routes = routes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        queue.handler = handler.map(str::to_owned);
        queue
    }

    #[test]
    fn exact_then_longest_glob_then_the_queues_own() {
        let functions: BTreeMap<_, _> =
            ["exact", "long", "short", "other"].map(|name| (name.to_owned(), function())).into();
        let registry = Registry::build(&config::Config::default(), functions).unwrap();
        let routes = [("mail-*", "short"), ("mail-digest-*", "long"), ("mail-digest-now", "exact")];
        let router = registry.router(&queue(&routes, Some("other"))).unwrap();
        for (job, want) in [
            ("mail-digest-now", "exact"),
            ("mail-digest-weekly", "long"),
            ("mail-welcome", "short"),
            ("resize", "other"),
            ("", "other"),
        ] {
            assert!(Arc::ptr_eq(router.find(job).unwrap(), registry.get(want).unwrap()), "{job}");
        }
        assert!(registry.router(&queue(&routes, None)).unwrap().find("resize").is_none());
    }

    #[test]
    fn a_handler_whose_settings_stay_stays() {
        let log = |ms| config::Handler::Log(config::LogHandler { duration: std::time::Duration::from_millis(ms) });
        let handlers = [("same".to_owned(), log(1)), ("other".to_owned(), log(1))].into();
        let mut configured = config::Config { handlers, ..config::Config::default() };
        let old = Registry::build(&configured, BTreeMap::new()).unwrap();
        configured.handlers.insert("other".into(), log(2));
        let new = old.renew(&configured).unwrap();
        let is_kept = |name| Arc::ptr_eq(old.get(name).unwrap(), new.get(name).unwrap());
        assert!(is_kept("same") && !is_kept("other"));
        configured.redis.prefix = "other".into();
        assert!(!Arc::ptr_eq(new.get("same").unwrap(), new.renew(&configured).unwrap().get("same").unwrap()));
    }

    #[test]
    fn mistakes_name_the_handler() {
        let functions = BTreeMap::from([("app".to_owned(), function())]);
        let registry = Registry::build(&config::Config::default(), functions.clone()).unwrap();
        let text = registry.router(&queue(&[], Some("ap"))).err().unwrap().to_string();
        assert_eq!(text, r#"queue "q" names handler "ap", which does not exist; known are app"#);
        let mut configured = config::Config::default();
        configured.handlers.insert("app".to_owned(), config::Handler::Log(config::LogHandler::default()));
        assert!(matches!(Registry::build(&configured, functions), Err(Error::Twice(name)) if name == "app"));
    }
}
