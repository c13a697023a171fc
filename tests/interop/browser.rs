//! The example page in a real Chromium: it follows one tenant's jobs to their end, sees no other tenant's, comes back when
//! the daemon does, and takes hostile data for the text it is.

use std::process::Command;

use serde_json::{Value, json};

use super::support::daemon::{Daemon, oxherd};
use super::support::program::Program;
use super::support::redis::Redis;
use super::support::viewer::free_port;

const SECRET: &str = "first-secret-of-at-least-thirty-two-bytes";
const HOSTILE: &str = "<img src=x onerror=\"say({event:'hostile'})\"><b>bold</b>";

fn node(path: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
    command
}

fn add(redis: &Redis, tenant: &str, name: &str, seconds: &str) -> String {
    let data = json!({ "tenantId": tenant, "seconds": seconds, "says": HOSTILE }).to_string();
    oxherd(redis, &["job", "add", "work", name, &data])["id"].as_str().unwrap().to_owned()
}

/// A row of the page, by the job's id.
fn row<'a>(line: &'a Value, id: &str) -> Option<&'a Vec<Value>> {
    line["rows"].as_array()?.iter().map(|row| row.as_array().unwrap()).find(|row| row[0] == id)
}

/// Waits until the page shows a job with this status, and answers its row.
fn shows(page: &mut Program, id: &str, status: &str) -> Vec<Value> {
    let has = |line: &Value| row(line, id).is_some_and(|row| row[3] == status);
    let line = page.wait_for(&format!("job {id} is {status}"), has);
    row(&line, id).unwrap().clone()
}

#[test]
fn a_page_follows_the_jobs_of_its_tenant_live_and_no_others() {
    let redis = Redis::start();
    let (events, web) = (free_port(), free_port());
    let toml = format!(
        "[queues.work]\nattempts = 1\n[queues.work.routes]\n\"*\" = \"work\"\nbad = \"bad\"\n\
         [handlers.work.command]\nargv = [\"sh\", \"-c\", \"echo '{{\\\"progress\\\":40}}' >&3; sleep $0\", \"{{data.seconds}}\"]\n\
         [handlers.bad.command]\nargv = [\"sh\", \"-c\", \"printf '%s' \\\"$0\\\" >&2; exit 65\", \"{{data.says}}\"]\n\
         [admin]\nlisten = \"127.0.0.1:{events}\"\n\
         [admin.events]\nsecrets = [\"{SECRET}\"]\nallow_origins = [\"http://127.0.0.1:{web}\"]\n"
    );
    let mut daemon = Daemon::start(&redis, &toml);
    let mut server = node("deploy/examples/browser/server.mjs");
    server.args(["--port", &web.to_string(), "--events", &format!("http://127.0.0.1:{events}/v1/events")]);
    let server = Program::start("server.mjs", {
        server.env("EVENTS_SECRET", SECRET);
        server
    })
    .ready();
    let mut browser = node("tests/interop/node/browser.mjs");
    browser.arg(format!("http://127.0.0.1:{web}/"));
    let mut page = Program::start("browser.mjs", browser);
    page.wait_for("live", |line| line["link"] == "live");

    let foreign = add(&redis, "t2", "secret", "0");
    let good = add(&redis, "t1", "export", "1");
    let bad = add(&redis, "t1", "bad", "0");
    let odd = add(&redis, "t1", HOSTILE, "0");
    shows(&mut page, &good, "RUNNING");
    assert_eq!(shows(&mut page, &good, "COMPLETED")[1..3], [json!("work"), json!("export")]);
    let failed = shows(&mut page, &bad, "FAILED");
    assert!(failed[5].as_str().unwrap().contains(HOSTILE), "{failed:?}");
    assert_eq!(shows(&mut page, &odd, "COMPLETED")[2], HOSTILE);

    // a restart: the page says so, comes back by itself with another token, and warns of what it may have missed
    assert_eq!(daemon.stop(), Some(0));
    let mut said = std::mem::take(&mut page.said);
    page.wait_for("the page knows", |line| line["link"] == "not connected, trying again");
    daemon.again();
    page.wait_for("live again", |line| line["link"] == "live");
    let later = add(&redis, "t1", "export", "0");
    shows(&mut page, &later, "COMPLETED");
    said.extend(page.stop());
    assert!(said.last().unwrap()["notice"].as_str().unwrap().contains("lost"), "{:?}", said.last());
    drop(server);

    let is_odd = |line: &&Value| line["event"] != "page" || row(line, &foreign).is_some();
    assert_eq!(said.iter().find(is_odd), None);
}
