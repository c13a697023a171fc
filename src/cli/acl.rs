//! `oxherd acl`: the smallest rule of a Redis ACL with which this configuration works.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::print;
use super::session::Session;
use super::{Error, Exit, value};
use crate::config::{self, Config};
use crate::job::QueueName;
use crate::store::rights::{Bearer, Rights};

/// Lines of the explanation are this long.
const WIDTH: usize = 100;

/// Print the smallest Redis ACL rule for this configuration, without network
///
/// The rule goes to standard output, ready for redis-cli or an ACL file, what each part of it is for to
/// standard error. Without --with-password write the password in place of PASSWORD.
#[derive(Args)]
pub struct Acl {
    /// Name of the user; that of the configuration, else oxherd
    #[arg(long, value_name = "NAME", value_parser = user)]
    user: Option<String>,
    /// Who is to use it
    #[arg(long = "for", value_name = "WHO", value_enum, default_value = "daemon")]
    bearer: Who,
    /// A command for redis-cli, or a line of an ACL file
    #[arg(long, value_enum, default_value = "redis")]
    format: Format,
    /// Cover this queue too, in which parents or children of the file's jobs are; repeatable
    #[arg(long, value_name = "NAME", value_parser = value::queue)]
    queue: Vec<QueueName>,
    /// Write the SHA-256 of the configured password into the rule
    #[arg(long)]
    with_password: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Who {
    /// `oxherd run` with this file
    Daemon,
    /// Adds jobs to the file's queues
    Producer,
    /// Looks at every queue under the prefix, and follows status messages
    Viewer,
    /// All verbs but run and bench
    Cli,
    /// A program that uses the library, but for working queues
    Program,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Redis,
    File,
}

impl Acl {
    pub fn execute(self, session: &mut Session) -> Result<Exit, Error> {
        let (config, _) = config::load(&session.sources(true))?;
        let bearer = match self.bearer {
            Who::Daemon => Bearer::Daemon,
            Who::Producer => Bearer::Producer,
            Who::Viewer => Bearer::Viewer,
            Who::Cli => Bearer::People,
            Who::Program => Bearer::Program,
        };
        let works_queues = matches!(bearer, Bearer::Daemon | Bearer::Producer);
        if works_queues && config.queues.is_empty() && self.queue.is_empty() {
            let text =
                "the configuration has no queues to make a rule for; name one with -c FILE, or queues with --queue";
            return Err(Error::Usage(text.into()));
        }
        let rights = Rights::of(&config, bearer, &self.queue);
        let user = self.user.clone().or_else(|| config.redis.username.clone()).unwrap_or_else(|| "oxherd".into());
        let rule = self.rule(&config, &user, &rights)?;
        if session.out.is_json() {
            let parts: Vec<_> = rights
                .grants
                .iter()
                .map(|grant| {
                    let (keys, channels, commands) = (&grant.keys, &grant.channels, &grant.commands);
                    json!({"for": grant.what, "keys": keys, "channels": channels, "commands": commands})
                })
                .collect();
            session.out.json(&json!({"user": user, "rule": rule, "parts": parts, "remarks": rights.remarks}))?;
            return Ok(Exit::Done);
        }
        session.out.line(rule)?;
        session.out.flush()?;
        explain(&rights);
        Ok(Exit::Done)
    }

    fn rule(&self, config: &Config, user: &str, rights: &Rights) -> Result<String, Error> {
        let password = match (self.with_password, &config.redis.password) {
            (true, Some(password)) => {
                let digest = ring::digest::digest(&ring::digest::SHA256, password.reveal().as_bytes());
                let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
                format!("#{}", hex.collect::<String>())
            }
            (true, None) => {
                let text =
                    "--with-password: the configuration has no password; set redis.password, or leave the option out";
                return Err(Error::Usage(text.into()));
            }
            (false, _) => ">PASSWORD".to_owned(),
        };
        let words = rights.rule();
        let line = |begin: &[&str]| {
            let begin = begin.iter().map(ToString::to_string).chain([password]);
            let words: Vec<String> = begin.chain(["resetchannels".into()]).chain(words.clone()).collect();
            words
        };
        Ok(match self.format {
            Format::Redis => line(&["ACL", "SETUSER", user, "reset", "on"])
                .iter()
                .map(|word| quoted(word))
                .collect::<Vec<_>>()
                .join(" "),
            Format::File => line(&["user", user, "on"]).join(" "),
        })
    }
}

/// A word as redis-cli reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\'';
    if word.chars().all(is_plain) && !word.contains('\\') {
        return word.to_owned();
    }
    let mut text = String::from('"');
    for byte in word.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            byte => write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail"),
        }
    }
    text.push('"');
    text
}

/// What each part is for.
fn explain(rights: &Rights) {
    for grant in &rights.grants {
        let keys = grant.keys.iter().map(|key| format!("~{key}"));
        let channels = grant.channels.iter().map(|channel| format!("&{channel}"));
        let commands = grant.commands.iter().map(|command| format!("+{command}"));
        let mut line = format!("# {}:", grant.what);
        for word in keys.chain(channels).chain(commands) {
            if line.len() + 1 + word.len() > WIDTH {
                print::aside(crate::daemon::escape::text(&line));
                line.replace_range(.., "#  ");
            }
            line.push(' ');
            line.push_str(&word);
        }
        print::aside(crate::daemon::escape::text(&line));
    }
    for remark in &rights.remarks {
        print::note(remark);
    }
}

/// A name that stands in a rule as it is.
fn user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"') {
        return Err("a user's name holds no spaces and no quotes, and is not empty".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_where_redis_cli_would_take_them_apart() {
        assert_eq!(quoted("~bull:email:*"), "~bull:email:*");
        assert_eq!(quoted("~a\\*c"), r#""~a\\*c""#);
        assert_eq!(quoted("~é"), r#""~\xc3\xa9""#);
    }
}
