//! `[admin]`, read.

use super::*;

const SECRET: &str = "of at least thirty-two bytes, as all are";

fn with(lines: &str) -> Files {
    Files::one(&format!("{SMALL}[admin]\n{lines}\n"))
}

#[test]
fn nothing_is_served_unless_it_is_asked_for() {
    assert_eq!(Files::one(SMALL).load().admin, None);
    assert_eq!(with("").load().admin, Some(crate::config::Admin::default()));
    let text = format!("listen = \"0.0.0.0:80\"\ntoken = \"sixteen-letters.\"\n[admin.events]\nsecrets = \"{SECRET}\"");
    let admin = with(&text).load().admin.unwrap();
    assert_eq!(admin.events.secrets.len(), 1, "one stands for a list of one");
    assert!(!admin.is_loopback());
    for own in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(with(&format!("listen = \"{own}\"")).load().admin.unwrap().is_loopback(), "{own}");
    }
}

#[test]
fn f142_what_would_let_others_in_is_refused_and_no_secret_is_shown() {
    for (lines, message) in [
        ("listen = \"7117\"", "\"7117\" is not an address and a port"),
        ("listen = \"0.0.0.0:7117\"", "0.0.0.0:7117 can be reached from other hosts, and there is no token"),
        ("listen = \"[::]:7117\"", "[::]:7117 can be reached from other hosts, and there is no token"),
        ("token = \"hunter2\"", "token must have at least 16 characters, got 7"),
        ("token = \"hunter2 hunter2 hunter2\"", "token holds what a header cannot carry"),
        ("events = { secrets = [\"hunter2\"] }", "a secret must have at least 32 bytes, got 7"),
        ("events = { allow_origins = [\"*\"] }", "\"*\" is not an origin"),
        ("events = { heartbeat = \"0s\" }", "heartbeat must be at least 1s, got \"0s\""),
        ("events = { max_viewers = 0 }", "max_viewers must be at least 1, got 0"),
    ] {
        let problem = with(lines).one_problem();
        assert_eq!(short(&problem).0, format!("error: {message}"));
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    let text = format!("token = \"hunter2-hunter2-h\"\n[admin.events]\nsecrets = [\"{SECRET}\", \"{SECRET}\"]");
    let shown = crate::config::show(&with(&text).load());
    assert!(shown.contains("token = \"***\"") && shown.contains("secrets = [\"***\", \"***\"]"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn viewers_of_nothing_are_warned_of() {
    let (_, warnings) = with("events = {}\n[status]\nenabled = false").try_load().unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].message, "viewers will see nothing: no status messages are published");
}

#[test]
fn a_reload_takes_over_everything_but_the_address() {
    let config = |lines: &str| with(lines).load();
    let diff = |new: &Config| crate::config::Diff::between(&config("listen = \"127.0.0.1:1\""), new);
    let more = diff(&config("listen = \"127.0.0.1:1\"\nevents = { buffer = 1 }"));
    assert_eq!((more.sections, more.restart_needed), (vec!["admin".to_owned()], vec![]));
    for new in [config("listen = \"127.0.0.1:2\""), Files::one(SMALL).load()] {
        let moved = diff(&new);
        assert_eq!((moved.sections, moved.restart_needed), (vec![], vec!["admin.listen".to_owned()]));
    }
}
