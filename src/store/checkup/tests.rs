//! Servers that do not let us see everything, and a look at a server that holds much.

use super::super::testing::Server;
use super::*;
use crate::config::Secret;

async fn findings(config: &Config) -> Vec<Finding> {
    let store = Store::open_to_examine(&config.redis).await.unwrap();
    examine(&store, config).await
}

fn unknown(findings: &[Finding]) -> Vec<&'static str> {
    let unknown = findings.iter().filter(|found| found.severity == Severity::Unknown);
    // whether the process of Redis is seen depends on the machine
    let mut codes: Vec<_> = unknown.map(|found| found.code).filter(|code| *code != "redis-host").collect();
    codes.dedup();
    codes
}

fn with_queue(redis: config::Redis) -> Config {
    let mut config = Config { redis, ..Config::default() };
    config.queues.insert("q".into(), config::Queue::new(QueueName::new("q").unwrap()));
    config
}

#[tokio::test]
async fn what_a_managed_server_forbids_is_unknown_and_nothing_else() {
    let server = Server::start().await;
    let all = with_queue(server.config());
    assert_eq!(unknown(&findings(&all).await), [""; 0]);
    let limited = config::Redis {
        username: Some("limited".into()),
        password: Some(Secret::new("secret".into())),
        ..server.config()
    };
    let limited = with_queue(limited);
    for (taken, codes) in [
        ("-config", &["redis-persistence", "redis-idle", "redis-pubsub", "redis-open"][..]),
        ("-slowlog", &["redis-slowlog"]),
        ("-latency", &["redis-latency"]),
        ("-client|list", &["queue-workers"]),
        ("-time", &["clock-skew"]),
        ("-ping", &["redis-round-trip"]),
        ("-scan", &["queue-look"]),
    ] {
        let admin = server.connection().await;
        let rule = ["SETUSER", "limited", "reset", "on", ">secret", "~*", "&*", "+@all", taken];
        admin.call("ACL", rule.map(super::super::Value::from).to_vec()).await.unwrap();
        let found = findings(&limited).await;
        let lacking = unknown(&found);
        assert!(codes.iter().all(|code| lacking.contains(code)), "{taken}: {lacking:?}");
        let reason = found.iter().find(|found| found.code == codes[0]).unwrap();
        assert!(reason.seen.contains("not allowed"), "{taken}: {}", reason.seen);
        assert_eq!(reason.remedy, None);
        // what can be seen is seen
        let version = found.iter().find(|found| found.code == "redis-version").unwrap();
        assert_eq!(version.severity, Severity::Ok);
    }
    let admin = server.connection().await;
    admin.call("ACL", ["SETUSER", "limited", "+@all", "-info"].map(super::super::Value::from).to_vec()).await.unwrap();
    let found = findings(&limited).await;
    for code in ["redis-version", "redis-role", "redis-eviction", "redis-memory"] {
        assert!(unknown(&found).contains(&code), "{code}: {found:?}");
    }
    // and the daemon could not start
    let missing = found.iter().find(|found| found.code == "rights-missing").unwrap();
    assert_eq!((missing.severity, missing.seen.as_str()), (Severity::Error, "not allowed: +info"));
}

#[tokio::test]
async fn commands_that_a_server_has_renamed_are_unknown_or_missing() {
    let hidden = ["CONFIG", "SLOWLOG", "LATENCY", "ACL"];
    let args: Vec<&str> = hidden.iter().flat_map(|command| ["--rename-command", command, ""]).collect();
    let server = Server::with(&args).await;
    let found = findings(&with_queue(server.config())).await;
    for code in ["redis-persistence", "redis-slowlog", "redis-latency"] {
        assert!(unknown(&found).contains(&code), "{code}: {found:?}");
    }
    assert!(found.iter().all(|found| found.code != "rights-missing" || found.severity == Severity::Ok), "{found:?}");
    let server = Server::with(&["--rename-command", "ZPOPMIN", "hidden"]).await;
    let found = findings(&with_queue(server.config())).await;
    let missing = found.iter().find(|found| found.code == "rights-missing").unwrap();
    assert_eq!((missing.severity, missing.seen.as_str()), (Severity::Error, "not there: +zpopmin"));
}
