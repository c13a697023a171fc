//! Asks the server which rights the user of this connection lacks. Nothing but the question is carried out.

use std::collections::BTreeSet;

use super::super::connection::Value;
use super::super::script::CHECK_RIGHTS;
use super::super::{Error, Store, reply};
use super::Rights;

/// Commands with one key, which stands second; the first that may be called asks about keys. Those that write come first:
/// a key that may only be read is not enough for who writes.
const WITH_KEY: [&str; 9] = ["del", "hset", "zadd", "set", "lpush", "rpush", "unlink", "hget", "llen"];

/// Commands whose arguments are channels.
const CHANNELS: [&str; 3] = ["publish", "subscribe", "psubscribe"];
/// The commands that ask: where there is an answer, both may be called.
const ASKING: [&str; 2] = ["eval", "evalsha"];

/// What is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Not allowed to this user.
    pub commands: Vec<String>,
    /// That the server does not have, or has under another name.
    pub unknown: Vec<String>,
    /// Patterns of keys.
    pub keys: Vec<String>,
    /// Patterns of channels.
    pub channels: Vec<String>,
}

impl Missing {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = [
            ("not allowed", "+", &self.commands),
            ("not there", "+", &self.unknown),
            ("no right to", "~", &self.keys),
            ("no right to", "&", &self.channels),
        ];
        let told = kinds.iter().filter(|(.., names)| !names.is_empty()).map(|(what, sign, names)| {
            let names: Vec<_> = names.iter().map(|name| format!("{sign}{name}")).collect();
            format!("{what}: {}", names.join(" "))
        });
        f.write_str(&told.collect::<Vec<_>>().join("; "))
    }
}

/// What the server said of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    May,
    MayNot,
    Unknown,
}

impl Store {
    /// Which of these rights the user lacks; `None` where the server cannot tell, before Redis 7. Safe to repeat.
    pub async fn missing_rights(&self, rights: &Rights) -> Result<Option<Missing>, Error> {
        let is_other = |command: &String| !ASKING.contains(&command.as_str());
        let commands: Vec<String> = rights.commands().into_iter().filter(is_other).collect();
        let place = match self.place(rights).await {
            Ok(Some(place)) => place,
            Ok(None) => return Ok(Some(Missing { keys: rights.keys().into_iter().collect(), ..Missing::default() })),
            Err(Error::Denied { .. }) => {
                let commands = ASKING.map(str::to_owned).to_vec();
                return Ok(Some(Missing { commands, ..Missing::default() }));
            }
            Err(error) => return Err(error),
        };
        let calls = commands.iter().map(|command| call(command, &place)).collect();
        let Some(answers) = self.check_rights(&place, calls).await? else { return Ok(None) };
        let of = |wanted: Answer| {
            let pairs = commands.iter().zip(&answers).filter(move |(_, answer)| **answer == wanted);
            pairs.map(|(command, _)| command.clone()).collect::<Vec<_>>()
        };
        let (may, mut missing) = (of(Answer::May), Missing::default());
        (missing.commands, missing.unknown) = (of(Answer::MayNot), of(Answer::Unknown));
        let first =
            |among: &[&'static str]| among.iter().find(|command| may.iter().any(|may| may == *command)).copied();
        if let Some(command) = first(&WITH_KEY) {
            missing.keys = self.denied(&place, command, rights.keys()).await?;
        }
        if let Some(command) = first(&CHANNELS[..2]) {
            missing.channels = self.denied(&place, command, rights.channels()).await?;
        }
        Ok(Some(missing))
    }

    /// The patterns that this command may not be used with.
    async fn denied(&self, place: &str, command: &str, patterns: BTreeSet<String>) -> Result<Vec<String>, Error> {
        let calls = patterns.iter().map(|pattern| vec![command.to_owned(), sample(pattern)]).collect();
        let answers = self.check_rights(place, calls).await?.unwrap_or_default();
        let denied = patterns.into_iter().zip(answers).filter(|(_, answer)| *answer == Answer::MayNot);
        Ok(denied.map(|(pattern, _)| pattern).collect())
    }

    /// A key that a script may be called with; `None` where there is none.
    async fn place(&self, rights: &Rights) -> Result<Option<String>, Error> {
        for place in rights.keys().iter().map(|pattern| sample(pattern)) {
            match self.check_rights(&place, Vec::new()).await {
                // the key, and not the command; a user's name holds no space
                Err(Error::Denied { message, .. }) if message.contains(" key") => {}
                Err(error) => return Err(error),
                Ok(_) => return Ok(Some(place)),
            }
        }
        Ok(None)
    }

    async fn check_rights(&self, place: &str, calls: Vec<Vec<String>>) -> Result<Option<Vec<Answer>>, Error> {
        let mut args: Vec<Value> = Vec::new();
        for words in calls {
            args.push(i64::try_from(words.len()).unwrap_or(i64::MAX).into());
            args.extend(words.into_iter().map(Value::from));
        }
        let answer = self.command().script(&CHECK_RIGHTS, place, args).await?;
        let mut answers = Vec::new();
        for answer in reply::array(CHECK_RIGHTS.name, answer)? {
            answers.push(match reply::integer(CHECK_RIGHTS.name, &answer)? {
                -2 => return Ok(None),
                -1 => Answer::Unknown,
                0 => Answer::MayNot,
                _ => Answer::May,
            });
        }
        Ok(Some(answers))
    }
}

/// A call of the command that has a right to all its keys. Without keys where it wants some, servers read beyond what
/// they are given (7.0.15), and may end.
fn call(command: &str, place: &str) -> Vec<String> {
    const KEYS: usize = 6;
    let words = command.split('|').map(str::to_owned);
    let keys = if CHANNELS.contains(&command) { 0 } else { KEYS };
    words.chain(std::iter::repeat_n(place.to_owned(), keys)).collect()
}

/// A name that the pattern covers.
fn sample(pattern: &str) -> String {
    let mut name = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => name.push_str("oxherd"),
            '?' => name.push('x'),
            '\\' => name.extend(chars.next()),
            '[' => {
                name.extend(chars.next());
                while chars.next().is_some_and(|c| c != ']') {}
            }
            c => name.push(c),
        }
    }
    name
}
