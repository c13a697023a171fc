use super::super::Store;
use super::super::testing::Server;
use super::*;
use crate::config::Secret;

fn config(server: &Server) -> Config {
    let mut config = Config { redis: server.config(), ..Config::default() };
    for name in ["email", "reports"] {
        config.queues.insert(name.into(), config::Queue::new(QueueName::new(name).unwrap()));
    }
    let list = config::List::new("job_queue");
    let queue = config::Queue { list: Some(list), ..config::Queue::new(QueueName::new("imports").unwrap()) };
    config.queues.insert("imports".into(), queue);
    config
}

/// A store of the user `worker`, who has this rule.
async fn store_of(server: &Server, rule: &[String]) -> Store {
    let admin = server.connection().await;
    let words = ["SETUSER", "worker", "reset", "on", ">secret"].map(str::to_owned);
    let args = words.iter().chain(rule).map(|word| word.as_str().into()).collect();
    admin.call("ACL", args).await.unwrap();
    let password = Some(Secret::new("secret".into()));
    let redis = config::Redis { username: Some("worker".into()), password, ..server.config() };
    Store::open(&redis, "test").await.unwrap()
}

#[tokio::test]
async fn f48_what_is_missing_is_named() {
    let server = Server::start().await;
    let config = config(&server);
    let rights = Rights::of(&config, Bearer::Daemon, &[]);
    let rule = rights.rule();
    let store = store_of(&server, &rule).await;
    assert_eq!(store.missing_rights(&rights).await.unwrap(), Some(Missing::default()));
    for (word, told) in [
        ("+zadd", "not allowed: +zadd"),
        ("+client|list", "not allowed: +client|list"),
        ("+pubsub|numsub", "not allowed: +pubsub|numsub"),
        ("~bull:email:*", "no right to: ~bull:email:*"),
        ("~{job_queue}:oxherd:*", "no right to: ~{job_queue}:oxherd:*"),
        ("&job_updates", "no right to: &job_updates"),
        ("&bull:oxherd.orders", "no right to: &bull:oxherd.orders"),
    ] {
        let less: Vec<String> = rule.iter().filter(|other| *other != word).cloned().collect();
        assert_eq!(less.len(), rule.len() - 1, "{word} is in the rule");
        let missing = store_of(&server, &less).await.missing_rights(&rights).await.unwrap().unwrap();
        assert_eq!(missing.to_string(), told);
    }
    // without scripts it cannot even be asked
    let less: Vec<String> = rule.iter().filter(|word| !word.starts_with("+eval")).cloned().collect();
    let missing = store_of(&server, &less).await.missing_rights(&rights).await.unwrap().unwrap();
    assert_eq!(missing.to_string(), "not allowed: +eval +evalsha");
}

#[tokio::test]
async fn what_a_server_has_under_another_name_is_told_apart() {
    let server = Server::with(&["--rename-command", "ZPOPMIN", "", "--rename-command", "OBJECT", "b840fc02d5"]).await;
    let mut grants = vec![grant(&["zpopmin", "object|idletime", "get"])];
    grants[0].keys.insert("k".into());
    let rights = Rights { grants, remarks: Vec::new() };
    let store = Store::open(&server.config(), "test").await.unwrap();
    let missing = store.missing_rights(&rights).await.unwrap().unwrap();
    assert_eq!(missing.to_string(), "not there: +object|idletime +zpopmin");
}

fn grant(commands: &[&str]) -> Grant {
    let commands = commands.iter().map(ToString::to_string).collect();
    Grant { what: "a test", keys: BTreeSet::new(), channels: BTreeSet::new(), commands }
}

#[test]
fn keys_and_channels_are_those_of_the_file() {
    let mut config = Config::default();
    config.queues.insert("a*b".into(), config::Queue::new(QueueName::new("a*b").unwrap()));
    config.status.channels = vec!["jobs:{queue}:{tenant}".into(), "all".into()];
    config.status.stream = Some(config::StatusStream::default());
    let rights = Rights::of(&config, Bearer::Daemon, &[QueueName::new("more").unwrap()]);
    let texts = |of: BTreeSet<String>| of.into_iter().collect::<Vec<_>>();
    assert_eq!(texts(rights.keys()), ["bull:a\\*b:*", "bull:more:*", "job_updates:stream"]);
    assert_eq!(texts(rights.channels()), ["all", "bull:oxherd.orders", "jobs:a\\*b:*"]);
    config.admin = Some(config::Admin::default());
    let rights = Rights::of(&config, Bearer::Daemon, &[]);
    // a subscription to a pattern is compared with it letter by letter
    assert!(rights.commands().contains("xread") && rights.commands().contains("subscribe"));
    config.status.enabled = false;
    config.admin = None;
    let silent = Rights::of(&config, Bearer::Daemon, &[]);
    assert!(!silent.commands().contains("publish"), "{:?}", silent.commands());
    assert_eq!(texts(silent.channels()), ["bull:oxherd.orders"]);
    // whoever cancels a job publishes an order
    assert!(Rights::of(&config, Bearer::People, &[]).commands().contains("publish"));
}

#[test]
fn housekeeping_needs_its_own_keys_and_the_meta_keys_it_asks() {
    let task = |task| {
        let mut config = Config::default();
        let handler = config::Handler::Redis(Box::new(config::RedisHandler::new(task)));
        config.handlers.insert("sweep".into(), handler);
        Rights::of(&config, Bearer::Daemon, &[]).keys().into_iter().collect::<Vec<_>>()
    };
    let delete = |pattern: &str| task(config::Housekeeping::Delete { pattern: pattern.into(), kind: None });
    assert_eq!(delete("session:*"), ["session:*"]);
    assert_eq!(delete("a:b:c*"), ["a:b:c*", "a:b:meta"]);
    assert_eq!(delete("user:{data.id}:*"), ["user:*:*"]);
    let tagged = config::Housekeeping::TagDelete { tag: "tag:{data.tag}".into(), member: "page:{member}".into() };
    assert_eq!(task(tagged), ["oxherd:warm:page:*", "page:*", "tag:*"]);
}

/// Commands sent as they are, by name in the source, stand in the list of some part, but those that tests and benches send.
#[test]
fn every_command_that_is_sent_belongs_to_a_part() {
    let all: BTreeSet<String> = [
        Rights::of(&Config::default(), Bearer::People, &[]),
        Rights { grants: parts::every().iter().map(|part| grant_of(part)).collect(), remarks: Vec::new() },
    ]
    .iter()
    .flat_map(Rights::commands)
    .map(|command| command.split('|').next().unwrap().to_owned())
    .collect();
    let mut sent = BTreeSet::new();
    walk(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let aside = ["tests", "scale", "model", "golden", "bench", "testing.rs"];
        if path.iter().any(|part| aside.iter().any(|aside| part == *aside || part.to_str() == Some("tests.rs"))) {
            return;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for call in [".call(", ".call_blocking(", ".step(", ".scan_all(", "ask(store,"] {
            for rest in code.split(call).skip(1) {
                let Some(name) =
                    rest.split('"').nth(1).filter(|_| rest.split([',', ')']).next().unwrap().contains('"'))
                else {
                    continue;
                };
                if name.bytes().all(|byte| byte.is_ascii_uppercase()) {
                    sent.insert(name.to_ascii_lowercase());
                }
            }
        }
    });
    assert!(sent.len() > 30, "{sent:?}");
    // for tests, which have a server know all scripts
    sent.remove("script");
    // the doctor asks who has a password, where it may; nobody is to be given that right for it
    sent.remove("acl");
    let unknown: Vec<_> = sent.difference(&all).collect();
    assert!(unknown.is_empty(), "no part of store/rights/parts.rs has {unknown:?}");
}

#[test]
fn every_script_belongs_to_a_part() {
    let scripts: BTreeSet<&str> = parts::every().iter().flat_map(|part| part.scripts()).collect();
    let listed: BTreeSet<&str> = super::super::script::names().collect();
    assert_eq!(scripts, listed);
}

fn grant_of(part: &Part) -> Grant {
    Grant { what: part.what, keys: BTreeSet::new(), channels: BTreeSet::new(), commands: part.commands() }
}

fn walk(folder: &std::path::Path, act: &mut impl FnMut(&std::path::Path, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, act);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            act(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}
