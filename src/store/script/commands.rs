//! Which Redis commands a script calls, read from its text: whoever calls it needs the right to each.
//!
//! A command is the first word of a `redis.call` or `redis.pcall`, or a word in capitals that is chosen before the call, as
//! in `local pop = left and 'LPOP' or 'RPOP'`. Words in capitals among the arguments of a call are options. A test asks a
//! server whether all that is found are commands, and whether every call names one.

use std::collections::BTreeSet;

use super::Script;

/// Commands of which a part can be allowed by the word that follows.
const WITH_PARTS: [&str; 2] = ["OBJECT", "PUBSUB"];

/// A bracket that is open.
struct Open {
    is_of: Of,
    /// Commas so far.
    commas: usize,
    /// The first word, where the second belongs to it.
    first: Option<&'static str>,
}

#[derive(PartialEq)]
enum Of {
    /// `redis.call` or `redis.pcall`
    Call,
    Function,
    /// A table, an index, or a term.
    Other,
}

impl Script {
    /// The commands, as rules of an ACL spell them: `hset`, `pubsub|numsub`.
    pub(in crate::store) fn commands(&self) -> BTreeSet<String> {
        commands(&self.text)
    }
}

fn commands(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<Open> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['(', ')', '{', '}', '[', ']', ',', '\'', '"', '-']) {
        let (head, tail) = rest.split_at(at);
        let (sign, mut after) = tail.split_at(1);
        match sign {
            "-" if after.starts_with('-') => after = after.split_once('\n').map_or("", |(_, after)| after),
            "(" | "{" | "[" => open.push(Open { is_of: of(head, sign), commas: 0, first: None }),
            ")" | "}" | "]" => drop(open.pop()),
            "," => {
                if let Some(bracket) = open.last_mut() {
                    bracket.commas += 1;
                }
            }
            "'" | "\"" => {
                let word;
                (word, after) = literal(after, sign);
                if word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase()) {
                    found.extend(command(word, open.last_mut()));
                }
            }
            _ => {}
        }
        rest = after;
    }
    found
}

/// The command that a word in capitals names, if it does, inside of this bracket.
fn command(word: &str, bracket: Option<&mut Open>) -> Option<String> {
    match bracket {
        Some(Open { is_of: Of::Call, commas: 1, first: Some(first) }) => {
            Some(format!("{first}|{word}").to_ascii_lowercase())
        }
        Some(Open { is_of: Of::Function, .. } | Open { is_of: Of::Call, commas: 1.., .. }) => None,
        Some(bracket @ Open { is_of: Of::Call, .. }) if WITH_PARTS.contains(&word) => {
            bracket.first = WITH_PARTS.into_iter().find(|with| *with == word);
            None
        }
        _ => Some(word.to_ascii_lowercase()),
    }
}

fn of(head: &str, sign: &str) -> Of {
    let head = head.trim_end();
    match sign {
        "(" if head.ends_with("redis.call") || head.ends_with("redis.pcall") => Of::Call,
        // `if (…)`, `and (…)` and the like do not come up
        "(" if head.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => Of::Function,
        _ => Of::Other,
    }
}

/// A text up to its closing quote, and what follows.
fn literal<'a>(text: &'a str, quote: &str) -> (&'a str, &'a str) {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        if !is_escaped && quote.starts_with(c) {
            return (&text[..at], &text[at + 1..]);
        }
        is_escaped = !is_escaped && c == '\\';
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::ALL;
    use super::commands;
    use crate::store::reply;
    use crate::store::testing::Server;

    fn found(text: &str) -> Vec<String> {
        commands(text).into_iter().collect()
    }

    #[test]
    fn commands_are_told_from_options_and_texts() {
        assert_eq!(found("redis.call('SET', k, v, 'PX', 1)"), ["set"]);
        assert_eq!(found("redis.pcall(\"ZADD\", k, redis.call('GET', x), 'NX')"), ["get", "zadd"]);
        assert_eq!(found("local pop, back = 'RPOP', 'RPUSH' -- or 'LPOP'\nredis.call(pop, k)"), ["rpop", "rpush"]);
        assert_eq!(found("local kinds = {{'SMEMBERS', k}, {'ZRANGE', k, 0, -1}}"), ["smembers", "zrange"]);
        assert_eq!(found("redis.call(a == 'b' and 'SREM' or 'ZREM', k, 'XX')"), ["srem", "zrem"]);
        assert_eq!(found("redis.call('PUBSUB', 'NUMSUB', p)"), ["pubsub|numsub"]);
        assert_eq!(found("if string.find(message, 'WRONGTYPE', 1, true) then return 'it\\'s' end"), [""; 0]);
    }

    /// How often a text calls a command whose name stands in a variable.
    fn chosen(text: &str) -> usize {
        let calls = text.split("redis.call(").skip(1).chain(text.split("redis.pcall(").skip(1));
        calls.filter(|rest| !rest.starts_with(['\'', '"'])).count()
    }

    #[tokio::test]
    async fn all_that_scripts_call_are_commands_and_every_call_names_one() {
        let server = Server::start().await;
        let connection = server.connection().await;
        let mut all = BTreeSet::new();
        for script in ALL {
            let found = script.commands();
            // one asks about commands, and calls none
            assert_eq!(found.is_empty(), script.name == "check_rights", "{} calls {found:?}", script.name);
            // where a name stands in a variable, names must be found outside of calls
            let literal: BTreeSet<String> = ["redis.call(", "redis.pcall("]
                .iter()
                .flat_map(|call| script.text.split(call).skip(1))
                .filter_map(|rest| rest.strip_prefix(['\'', '"'])?.split(['\'', '"']).next())
                .map(str::to_ascii_lowercase)
                .collect();
            let roots: BTreeSet<String> = found.iter().map(|name| name.split('|').next().unwrap().to_owned()).collect();
            assert!(literal.is_subset(&roots), "{}: {literal:?} not in {roots:?}", script.name);
            assert!(
                chosen(&script.text) == 0
                    || roots.difference(&literal).next().is_some()
                    || CHOSEN.contains(&script.name),
                "{}: what is called by a variable is not found",
                script.name
            );
            all.extend(roots);
        }
        for name in all {
            let info = connection.call("COMMAND", vec!["INFO".into(), name.as_str().into()]).await.unwrap();
            let info = reply::array("COMMAND", info).unwrap();
            assert!(!info[0].is_null(), "{name} is no command");
        }
    }

    /// Scripts in which every command called by a variable is also called by its name.
    const CHOSEN: [&str; 0] = [];
}
