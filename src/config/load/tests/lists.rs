//! `[queues.NAME.list]`, read.

use super::*;
use crate::config::{List, ListMode, Payload, Side};

fn file(list: &str, more: &str) -> Files {
    Files::one(&format!(
        "[queues.imports]\nhandler = \"log\"\nlist = {{ {list} }}\n{more}\n[handlers.log.log]\nduration = \"0s\"\n"
    ))
}

fn problem(list: &str, more: &str) -> String {
    file(list, more).one_problem()
}

#[test]
fn a_list_is_read_and_shown() {
    let files = file("key = \"job_queue\"", "");
    let queue = files.load().queues.remove("imports").unwrap();
    assert_eq!(queue.list, Some(List::new("job_queue")));
    assert_eq!(queue.lock, Duration::from_secs(30), "the lease");
    let files = file(
        "key = \"{jobs}:q\", take = \"left\", mode = \"at-most-once\", payload = \"json\", id = \"/jobId\", name = \"/type\", \
         lease = \"2m\", block = \"1s\"",
        "attempts = 7\nkeep_failed = 3\nrate_limit = { max = 5, per = \"1s\" }\nglobal_concurrency = 9",
    );
    let config = files.load();
    let queue = &config.queues["imports"];
    let expected = List {
        key: "{jobs}:q".into(),
        take: Side::Left,
        mode: ListMode::AtMostOnce,
        payload: Payload::Json,
        id: Some("/jobId".into()),
        name: Some("/type".into()),
        lease: Duration::from_secs(120),
        block: Duration::from_secs(1),
    };
    assert_eq!(queue.list, Some(expected));
    // what is shown is read again as the same
    let again = Files::one(&crate::config::show(&config)).load();
    assert_eq!(again.queues["imports"], *queue);
}

#[test]
fn what_means_nothing_to_a_list_is_refused_but_not_inherited() {
    for (line, why) in [
        ("lock = \"10s\"", "lock means nothing to a list: elements of a list are held by list.lease"),
        ("expires_after = \"1h\"", "expires_after means nothing to a list"),
        ("keep_completed = 10", "nothing is kept of an element that is done"),
        ("metrics = 5", "metrics means nothing to a list"),
        ("placement = \"v5\"", "placement means nothing to a list"),
    ] {
        let problem = problem("key = \"k\"", line);
        assert!(problem.contains(why), "{line}: {problem}");
    }
    let files =
        file("key = \"k\"", "[defaults]\nlock = \"10s\"\nexpires_after = \"1h\"\nkeep_completed = 10\nmetrics = 5");
    let queue = files.load().queues.remove("imports").unwrap();
    assert_eq!((queue.lock, queue.expires_after), (Duration::from_secs(30), None));
}

#[test]
fn mistakes_in_a_list_are_told_with_their_remedy() {
    for (list, what) in [
        ("take = \"left\"", "list needs key"),
        ("key = \"\"", "key must not be empty"),
        ("key = \"a}b\"", "no key beside \"a}b\" can be in its slot"),
        ("key = \"bull:email:wait\"", "among the keys of BullMQ queues"),
        ("key = \"k\", mode = \"fast\"", "mode must be \"reliable\" or \"at-most-once\", got \"fast\""),
        ("key = \"k\", take = \"rigth\"", "take must be \"right\" or \"left\""),
        ("key = \"k\", payload = \"xml\"", "payload must be \"id\", \"json\", \"text\" or \"base64\""),
        ("key = \"k\", id = \"/id\"", "id points into JSON, and payload is \"id\""),
        (
            "key = \"k\", payload = \"json\", name = \"type\"",
            "name must be a JSON pointer into the element, got \"type\"",
        ),
        ("key = \"k\", lease = \"10ms\"", "lease must be at least 1s"),
        ("key = \"k\", block = \"0s\"", "block must be at least 100ms"),
        ("key = \"k\", leas = \"10s\"", "unknown key \"leas\""),
    ] {
        let problem = problem(list, "");
        assert!(problem.contains(what), "{list}: {problem}");
    }
}

#[test]
fn a_list_is_one_queues_own_and_no_schedules() {
    let second = "[queues.other]\nhandler = \"log\"\nlist = { key = \"k\" }";
    assert!(problem("key = \"k\"", second).contains("queues \"imports\" and \"other\" are the same list, \"k\""));
    let inherited = "[defaults]\nlist = { key = \"d\" }";
    assert!(problem("key = \"k\"", inherited).contains("[defaults] can hold no list"));
    let schedule = "[schedules.nightly]\nevery = \"1h\"\nqueue = \"imports\"";
    assert!(problem("key = \"k\"", schedule).contains("schedule \"nightly\" feeds queue \"imports\", which is a list"));
}
