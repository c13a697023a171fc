//! `[handlers.NAME.redis]`

use super::*;
use crate::config::{End, Housekeeping, KeyType, RedisHandler, ScoreUnit};

fn handler(table: &str) -> RedisHandler {
    let text = format!("[queues.q]\nhandler = \"h\"\n[handlers.h.redis]\n{table}\n");
    match Files::one(&text).load().handlers.remove("h").unwrap() {
        Handler::Redis(handler) => *handler,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_action_is_read() {
    let plain = handler("action = \"delete\"\nmatch = \"session:*\"");
    assert_eq!(plain, RedisHandler::new(Housekeeping::Delete { pattern: "session:*".into(), kind: None }));
    let full = handler(
        "action = \"expire\"\nmatch = \"abc:{data.x}:*\"\ntype = \"hash\"\nttl = \"1h\"\njitter = \"5m\"\nonly = \"always\"\n\
         dry_run = true\nmax_keys = 5\nrate = false\nmax_excess = 2\nprotect = [\"a:b\"]\ndatabase = 3",
    );
    let task = Housekeeping::Expire {
        pattern: "abc:{data.x}:*".into(),
        kind: Some(KeyType::Hash),
        ttl: Duration::from_secs(3600),
        jitter: Duration::from_secs(300),
        always: true,
    };
    let protect = vec!["a:b".to_owned()];
    let bounds = RedisHandler { dry_run: true, max_keys: 5, rate: None, max_excess: 2.0, ..RedisHandler::new(task) };
    assert_eq!(full, RedisHandler { database: Some(3), protect, ..bounds });
    let trim = handler("action = \"trim\"\nmatch = \"log:x\"\ncount = 5\nscore = \"s\"\nkeep = \"right\"").task;
    let (pattern, unit) = ("log:x".to_owned(), ScoreUnit::Seconds);
    let expected = Housekeeping::Trim { pattern, count: Some(5), older: None, unit, keep: Some(End::Right) };
    assert_eq!(trim, expected);
    for (table, action) in [
        ("action = \"tag-delete\"\ntag = \"tag:{data.tag}\"", "tag-delete"),
        ("action = \"set-prune\"\nmatch = \"user:*:sessions\"\nmember = \"session:{member}\"", "set-prune"),
        ("action = \"warm\"\nfetch = \"http://x/{data.a}\"\nkey = \"cache:x\"\nttl = \"1m\"", "warm"),
    ] {
        assert_eq!(handler(table).task.action(), action);
    }
}

#[test]
fn f149_mistakes_are_named_where_they_stand() {
    for (table, message) in [
        ("match = \"session:*\"", "a redis handler needs action"),
        ("action = \"delte\"", "action must be \"delete\""),
        ("action = \"delete\"", "action \"delete\" needs match"),
        ("action = \"delete\"\nmatch = \"b*\"", "\"b*\" may cover keys that nobody had in mind"),
        ("action = \"delete\"\nmatch = \"bull:*\"", "covers nothing but keys below \"bull:\", which belong to queues"),
        ("action = \"delete\"\nmatch = \"abc:{dat.x}\"", "unknown placeholder {dat.x}"),
        ("action = \"delete\"\nmatch = \"abc*\"\nttl = \"1h\"", "action \"delete\" has no use for ttl"),
        ("action = \"delete\"\nmatch = \"abc*\"\nmax_excess = 0.5", "max_excess must be a number of at least 1"),
        ("action = \"delete\"\nmatch = \"abc*\"\ntype = \"text\"", "type must be \"string\""),
        ("action = \"delete\"\nmatch = \"abc*\"\nurl = \"embedded:x\"", "cannot start a private server of its own"),
        ("action = \"delete\"\nmatch = \"abc*\"\nurl = \"redis://u:hunter2@h:x\"", "port \"x\""),
        ("action = \"expire\"\nmatch = \"abc*\"", "action \"expire\" needs ttl"),
        ("action = \"tag-delete\"\ntag = \"{data.tag}\"", "\"{data.tag}\" may cover keys"),
        ("action = \"set-prune\"\nmatch = \"abc*\"", "action \"set-prune\" needs member"),
        ("action = \"set-prune\"\nmatch = \"abc*\"\nmember = \"x\"", "does not say which key a member stands for"),
        ("action = \"trim\"\nmatch = \"abc*\"", "trim says neither how many entries stay nor which"),
        ("action = \"warm\"\nfetch = \"http://{data.h}/\"\nkey = \"abc\"\nttl = \"1s\"", "may not fill the host"),
        ("action = \"warm\"\nfetch = \"http://h/\"\nkey = \"abc\"\nttl = \"1s\"\nrate = 5", "has no use for rate"),
    ] {
        let text = format!("[queues.q]\nhandler = \"h\"\n[handlers.h.redis]\n{table}\n");
        let problem = Files::one(&text).one_problem();
        let shown = short(&problem).0;
        assert!(shown.contains(message) && !shown.contains("hunter2"), "{table}: {shown}");
    }
    // the prefix is that of the file
    let text = "[redis]\nprefix = \"shop\"\n[queues.q]\nhandler = \"h\"\n[handlers.h.redis]\naction = \"delete\"\n";
    let problem = Files::one(&format!("{text}match = \"shop:*\"\n")).one_problem();
    assert!(short(&problem).0.contains("belong to queues"));
    Files::one(&format!("{text}match = \"bull:*\"\n")).load();
}

#[test]
fn what_is_shown_is_read_back() {
    let url = "url = \"redis://:hunter2@h/1\"";
    for table in [
        format!("action = \"delete\"\nmatch = \"session:*\"\ntype = \"set\"\n{url}"),
        "action = \"expire\"\nmatch = \"sss:{name}:*\"\nttl = \"1h\"\nonly = \"always\"\nrate = false".to_owned(),
        "action = \"tag-delete\"\ntag = \"tag:{data.tag}\"\nmember = \"c:{member}\"".to_owned(),
        "action = \"set-prune\"\nmatch = \"user:*\"\nmember = \"session:{member}\"\ngrace = \"2s\"".to_owned(),
        "action = \"trim\"\nmatch = \"log:*\"\ncount = 5\nolder = \"1h\"\nscore = \"s\"\nkeep = \"right\"".to_owned(),
        "action = \"warm\"\nfetch = \"http://x/\"\nkey = \"cache:x\"\nttl = \"1m\"\nbusy = \"defer\"".to_owned(),
    ] {
        let text = format!("[queues.q]\nhandler = \"h\"\n[handlers.h.redis]\n{table}\n");
        let config = Files::one(&text).load();
        let shown = crate::config::show(&config);
        assert!(!shown.contains("hunter2"), "{shown}");
        let again = Files::one(&shown.replace("***", "hunter2")).load();
        assert_eq!(again.handlers, config.handlers, "{shown}");
    }
}
