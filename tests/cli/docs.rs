use std::process::Stdio;

use crate::harness::{Ended, Oxherd, Redis};
use crate::seed::{LONG_AGO, email, finished};

/// The lines of the `sh` blocks of a page.
fn commands(page: &str) -> Vec<&str> {
    let blocks = page.split("```").enumerate().filter(|(n, _)| n % 2 == 1);
    blocks.filter_map(|(_, block)| block.strip_prefix("sh\n")).flat_map(str::lines).collect()
}

#[test]
fn the_page_on_administration_can_be_typed_from_top_to_bottom() {
    let redis = Redis::start();
    type_the_page(&redis, &redis.url());
}

/// Types every command of the page on administration, as whoever logs in by this URL.
pub fn type_the_page(redis: &Redis, url: &str) {
    let oxherd = Oxherd::new();
    let seeding = Oxherd::with(redis);
    email(redis, &seeding);
    seeding.run(&["job", "add", "reports", "n"]).exits(0);
    seeding.run(&["job", "add", "email", "send-welcome", "--delay", "1h", "--job-id", "id-1042"]).exits(0);
    for id in ["welcome-7", "welcome-8"] {
        seeding.run(&["job", "add", "email", "send-welcome", "--job-id", id]).exits(0);
    }
    finished(redis, "email", "completed", "1042", "send-welcome", LONG_AGO, "null");
    redis.call(&["RPUSH", "bull:email:1042:logs", "one", "two"]);
    let page = include_str!("../../docs/administration.md");
    let tree = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    oxherd.file("tree.json", tree.expect("the page shows a flow"));
    oxherd.file("new.jsonl", "{\"name\":\"welcome\"}\n");
    oxherd.file(
        "new.toml",
        "[queues.email]\nhandler = \"app\"\n[handlers.app.http]\nurl = \"http://localhost:3000/jobs\"\n",
    );
    let commands = commands(page);
    assert!(commands.len() > 35, "only {} commands", commands.len());
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_oxherd")).parent().unwrap();
    oxherd.file("job.json", r#"{"name": "send-welcome", "data": {"to": "a@example.org"}}"#);
    oxherd.file("oxherd.mjs", include_str!("../../deploy/helpers/oxherd.mjs"));
    oxherd.file("processor.js", include_str!("../../benches/peers/node/processor.cjs"));
    let mailer = "[queues.email]\nhandler = \"mailer\"\n[handlers.mailer.command]\nargv = [\"cat\"]\n";
    let configured = oxherd.file("handlers.toml", mailer);
    let lists = "[queues.imports]\nlist = { key = \"job_queue\" }\nhandler = \"app\"\n[handlers.app.log]\n";
    let lists = oxherd.file("lists.toml", lists);
    oxherd.file("ids.txt", "1043\n1044\n");
    for line in commands {
        let mut shell = oxherd.shell(line);
        if line.contains(" imports ") || line.ends_with(" imports") {
            shell.env("OXHERD_CONFIG", &lists);
        }
        if line.contains("oxherd exec ") {
            // the others need no configuration, and none is to be found
            shell.env("OXHERD_CONFIG", &configured);
            // a line before may have removed it
            finished(redis, "email", "completed", "1042", "send-welcome", LONG_AGO, "null");
        }
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        shell.env("PATH", path).env("REDIS_URL", url).stdin(Stdio::null());
        let ended = Ended::new(&shell.output().unwrap());
        assert_eq!(ended.code, 0, "{line}\nstdout: {}\nstderr: {}", ended.stdout, ended.stderr);
        assert!(ended.stderr.is_empty(), "{line}\nstderr: {}", ended.stderr);
    }
}
