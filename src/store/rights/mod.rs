//! Which rights oxherd needs in Redis: commands, keys and channels, by what they are for. `oxherd acl` prints them as a
//! rule, the engine and `oxherd doctor` tell which are missing.

mod check;
mod parts;
mod patterns;

use std::collections::BTreeSet;

use crate::config::{self, Config};
use crate::job::QueueName;
use parts::Part;

pub use check::Missing;

/// Who is to have the rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// Works the configuration's queues.
    Daemon,
    /// Adds jobs to them.
    Producer,
    /// Looks at every queue under the prefix, and follows status messages; changes nothing.
    Viewer,
    /// All that the verbs of the command line do but `run` and `bench`.
    People,
    /// The same, and what only the library does.
    Program,
}

/// What something oxherd does needs. Keys and channels are patterns, as a rule has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub what: &'static str,
    pub keys: BTreeSet<String>,
    pub channels: BTreeSet<String>,
    /// In small letters, a part behind `|`.
    pub commands: BTreeSet<String>,
}

/// All that somebody needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    pub grants: Vec<Grant>,
    /// What the rights do not cover, in words.
    pub remarks: Vec<String>,
}

impl Rights {
    /// What `bearer` needs with this configuration. `more` are queues beside those of the file: where parents or children
    /// of their jobs are.
    #[must_use]
    pub fn of(config: &Config, bearer: Bearer, more: &[QueueName]) -> Self {
        let mut rights = Self::default();
        rights.grant(&parts::CONNECTION, [], []);
        if config.redis.database != 0 {
            rights.grant(&parts::DATABASE, [], []);
        }
        let queues = patterns::Queues::of(config, more);
        match bearer {
            Bearer::Daemon => rights.daemon(config, &queues),
            Bearer::Producer => rights.producer(config, &queues),
            Bearer::Viewer => rights.viewer(config, &queues),
            Bearer::People | Bearer::Program => {
                rights.viewer(config, &queues);
                rights.people(config, &queues);
                if bearer == Bearer::Program {
                    rights.grant(&parts::PROGRAMS, [], []);
                }
            }
        }
        if !config.status.enabled && config.status.queues.values().all(|status| !status.enabled) {
            rights.silence(bearer);
        }
        rights
    }

    fn grant(
        &mut self,
        part: &Part,
        keys: impl IntoIterator<Item = String>,
        channels: impl IntoIterator<Item = String>,
    ) {
        self.grants.push(Grant {
            what: part.what,
            keys: keys.into_iter().collect(),
            channels: channels.into_iter().collect(),
            commands: part.commands(),
        });
    }

    fn daemon(&mut self, config: &Config, queues: &patterns::Queues) {
        if !queues.bull.is_empty() {
            self.grant(&parts::WORK, queues.bull.clone(), []);
            self.grant(&parts::CHILDREN, [], []);
            self.grant(&parts::SCHEDULES, [], []);
            if config.redis.announce_workers {
                self.grant(&parts::NAMES, [], []);
            }
        }
        if !queues.lists.is_empty() {
            self.grant(&parts::LISTS, queues.lists.clone(), []);
        }
        if !config.queues.is_empty() {
            self.grant(&parts::ORDERS, [], [patterns::orders(config)]);
        }
        self.status(config);
        if config.admin.is_some() {
            self.grant(&parts::FIGURES, [], []);
            self.follow(config);
        }
        self.handlers(config);
    }

    fn producer(&mut self, config: &Config, queues: &patterns::Queues) {
        self.grant(&parts::ADDING, queues.bull.clone(), []);
        if !queues.lists.is_empty() {
            self.grant(&parts::PUSHING, patterns::lists_alone(config), []);
        }
        self.status(config);
    }

    fn viewer(&mut self, config: &Config, queues: &patterns::Queues) {
        self.grant(&parts::LOOKING, [patterns::whole_prefix(config)], []);
        if !queues.lists.is_empty() {
            self.grant(&parts::LOOKING_AT_LISTS, queues.lists.clone(), []);
        }
        self.follow(config);
    }

    fn people(&mut self, config: &Config, queues: &patterns::Queues) {
        self.grant(&parts::ADDING, [], []);
        self.grant(&parts::CHANGING, [], [patterns::orders(config)]);
        if !queues.lists.is_empty() {
            self.grant(&parts::PUSHING, [], []);
            self.grant(&parts::CHANGING_LISTS, [], []);
        }
        self.status(config);
        #[cfg(feature = "daemon")]
        self.grant(&parts::EXAMINING, [], []);
    }

    fn status(&mut self, config: &Config) {
        let channels = patterns::told(config);
        if !channels.is_empty() {
            self.grant(&parts::STATUS, [], channels);
        }
        let streams = patterns::streams(config);
        if !streams.is_empty() {
            self.grant(&parts::STREAM, streams, []);
        }
    }

    fn follow(&mut self, config: &Config) {
        let (plain, patterns): (Vec<_>, Vec<_>) = config.followed().into_iter().partition(|name| !name.contains('{'));
        if !plain.is_empty() {
            self.grant(&parts::VIEWERS, [], plain.iter().map(|channel| patterns::plain(channel)));
        }
        if !patterns.is_empty() {
            self.grant(&parts::PATTERNS, [], patterns.iter().map(|channel| patterns::followed(channel)));
        }
        let streams = patterns::streams(config);
        if !streams.is_empty() {
            self.grant(&parts::KEPT, streams, []);
        }
    }

    fn handlers(&mut self, config: &Config) {
        for (name, handler) in &config.handlers {
            match handler {
                config::Handler::Redis(handler) if handler.server.is_some() => {
                    self.remarks
                        .push(format!("handler {name:?} works on a server of its own, which needs a rule of its own"));
                }
                config::Handler::Redis(handler) => self.housekeeping(handler, config.redis.database),
                config::Handler::Process(handler) => {
                    #[cfg(feature = "app")]
                    self.app(&config.app, &handler.app);
                    let _ = handler;
                }
                _ => {}
            }
        }
    }

    fn housekeeping(&mut self, handler: &config::RedisHandler, database: u8) {
        if handler.database.is_some_and(|other| other != 0 && other != database) {
            self.grant(&parts::DATABASE, [], []);
        }
        let part = match &handler.task {
            config::Housekeeping::Delete { .. } => &parts::DELETE,
            config::Housekeeping::Expire { .. } => &parts::EXPIRE,
            config::Housekeeping::TagDelete { .. } => &parts::TAG_DELETE,
            config::Housekeeping::SetPrune { .. } => &parts::SET_PRUNE,
            config::Housekeeping::Trim { .. } => &parts::TRIM,
            config::Housekeeping::Warm(_) => &parts::WARM,
        };
        self.grant(part, patterns::housekeeping(&handler.task), []);
    }

    #[cfg(feature = "app")]
    fn app(&mut self, app: &config::App, used: &[config::AppPart]) {
        for used in used {
            let part = match used {
                config::AppPart::Cache => &parts::CACHE,
                config::AppPart::Session => &parts::SESSIONS,
                config::AppPart::Limit => &parts::REQUESTS,
                config::AppPart::Presence => &parts::PRESENCE,
            };
            self.grant(part, patterns::app(app, *used), []);
        }
    }

    /// Nothing is published: what scripts could tell with is not needed. Who cancels jobs publishes orders.
    fn silence(&mut self, bearer: Bearer) {
        let cancels = matches!(bearer, Bearer::People | Bearer::Program);
        let keeps = if cancels { ["publish"].as_slice() } else { &[] };
        let told = parts::STATUS.commands();
        for grant in &mut self.grants {
            grant.commands.retain(|command| !told.contains(command) || keeps.contains(&command.as_str()));
        }
    }

    fn all(&self, of: impl Fn(&Grant) -> &BTreeSet<String>) -> BTreeSet<String> {
        self.grants.iter().flat_map(|grant| of(grant).iter().cloned()).collect()
    }

    /// Patterns of keys, none of which another one covers.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<String> {
        patterns::without_covered(&self.all(|grant| &grant.keys))
    }

    /// Patterns of channels. One that another one covers stays where it is subscribed to as a pattern.
    #[must_use]
    pub fn channels(&self) -> BTreeSet<String> {
        self.all(|grant| &grant.channels)
    }

    #[must_use]
    pub fn commands(&self) -> BTreeSet<String> {
        self.all(|grant| &grant.commands)
    }

    /// The words of a rule behind user and password, as `ACL SETUSER` of Redis 6.2 and newer understands them. No pattern
    /// may hold a space or a quote there: any character is allowed in their place.
    #[must_use]
    pub fn rule(&self) -> Vec<String> {
        let plain =
            |text: &str| text.replace(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '\'', "?");
        let keys = self.keys().into_iter().map(|key| format!("~{}", plain(&key)));
        let channels = self.channels().into_iter().map(|channel| format!("&{}", plain(&channel)));
        let commands = self.commands().into_iter().map(|command| format!("+{command}"));
        keys.chain(channels).chain(commands).collect()
    }
}

#[cfg(test)]
mod tests;
