//! `[app]`, and who may use it.

use std::time::Duration;

use super::*;
use crate::config::AppPart;

#[test]
fn what_stands_beside_the_queues_is_read() {
    let text = format!("{SMALL}[app]\nprefix = \"{{shop}}\"\n[app.cache]\nttls = {{ user = \"1h\" }}\nwait = \"0s\"\n");
    let app = Files::one(&text).load().app;
    let defaults = crate::config::App::default();
    assert_eq!(app.prefix, "{shop}");
    assert_eq!(app.cache.ttls["user"], Duration::from_secs(3600));
    assert_eq!((app.cache.ttl, app.cache.wait), (defaults.cache.ttl, Duration::ZERO));
    assert_eq!(Files::one(SMALL).load().app, defaults);
}

#[test]
fn f149_a_prefix_that_covers_queues_is_refused_with_its_place() {
    let problem = Files::one(&format!("{SMALL}[app]\nprefix = \"bull\"\n")).one_problem();
    assert_eq!(short(&problem).0, "error: prefix \"bull\" is where the keys of queues are");
    let problem = Files::one(&format!("{SMALL}[redis]\nprefix = \"app\"\n")).one_problem();
    assert_eq!(short(&problem).0, "error: prefix \"app\" is where the keys of queues are");
}

#[test]
fn a_pool_names_what_its_jobs_may_use() {
    let with = |app: &str| {
        let pool = format!("argv = [\"php\", \"work.php\"]\napp = {app}\n");
        Files::one(&format!("[queues.q]\nhandler = \"p\"\n[handlers.p.process]\n{pool}"))
    };
    let parts = |app: &str| match with(app).load().handlers.remove("p") {
        Some(crate::config::Handler::Process(handler)) => handler.app,
        other => panic!("{other:?}"),
    };
    assert_eq!(parts("[\"cache\", \"limit\"]"), [AppPart::Cache, AppPart::Limit]);
    assert_eq!(parts("\"session\""), [AppPart::Session]);
    assert_eq!(parts("[]"), []);
    let problem = with("[\"cash\"]").one_problem();
    assert_eq!(short(&problem).0, "error: app must be \"cache\", \"session\", \"limit\" or \"presence\", got \"cash\"");
}
