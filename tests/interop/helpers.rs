//! The helpers for Python, PHP and shell, each as a pool of a daemon that works real jobs. What the one for Node leaves
//! in Redis is in `sandbox.rs`; here, that it is stopped as it should.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::daemon::Daemon;
use super::support::eventually;
use super::support::redis::Redis;

const PYTHON: &str = r#"
import asyncio
from oxherd import Defer, UnrecoverableError
seen = set()
def work(job):
    print("printed")
    if job["do"] == "fail":
        raise UnrecoverableError("no use")
    if job["do"] == "retry":
        raise ValueError("bad luck")
    if job["do"] == "defer" and job.id not in seen:
        seen.add(job.id)
        raise Defer(0.1)
    if job["do"] == "slow":
        job.wait_cancelled(60)
        job.raise_if_cancelled()
    job.update_progress(40)
    job.log("halfway å")
    return {"name": job.name, "text": job.data["text"]}
async def work_async(job, context):
    if job["do"] == "slow":
        await asyncio.sleep(60)
    return work(job)
"#;

const PHP: &str = r"<?php
final class UnrecoverableError extends Exception {}
return function (array $job, Oxherd $ctx): mixed {
    static $seen = [];
    echo 'printed';
    switch ($job['data']['do']) {
        case 'fail': throw new UnrecoverableError('no use');
        case 'retry': throw new DomainException('bad luck');
        case 'defer':
            if (!isset($seen[$job['job']['id']])) {
                $seen[$job['job']['id']] = true;
                throw new OxherdDefer(0.1);
            }
            break;
        case 'slow':
            while (!$ctx->cancelled()) { usleep(10000); }
            return null;
    }
    $ctx->updateProgress(40);
    $ctx->log('halfway å');
    return ['name' => $job['job']['name'], 'text' => $job['data']['text']];
};
";

const SHELL: &str = r#"
work() {
    read -r job
    case $job in
    *'"do":"fail"'*) echo "no use" >&2; exit 65 ;;
    *'"do":"retry"'*) echo "bad luck" >&2; exit 1 ;;
    *'"do":"slow"'*) sleep 60 ;;
    esac
    echo '{"t":"progress","value":40}' >&3
    echo "halfway å" >&2
    printf %s "$OXHERD_JOB_NAME"
}
"#;

/// What a shell would make much of.
const NAME: &str = "$(touch pwned) `touch pwned`; \"touch\" 'pwned' \\n %s ${HOME} å🐂\n-e *";

fn add(redis: &Redis, queue: &str, jobs: &[&str]) {
    let line = |act: &&str| {
        let opts = json!({ "jobId": format!("job-{act}"), "attempts": if *act == "retry" { 2 } else { 1 } });
        format!("{}\n", json!({ "name": NAME, "data": { "do": act, "text": "\u{2028}ä\"\\" }, "opts": opts }))
    };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("jobs"), jobs.iter().map(line).collect::<Vec<_>>().concat()).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_oxherd"))
        .args(["job", "add", queue, "--from", "jobs", "--redis", &redis.url()])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

/// Works a queue with a helper on this file, and sees what becomes of the jobs.
fn works(helper: &[&str], file: &str, content: &str, more: &[&str]) {
    let redis = Redis::start();
    let work = tempfile::tempdir().unwrap();
    std::fs::write(work.path().join(file), content).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helpers").join(helper[1]);
    let mut argv = vec![helper[0], path.to_str().unwrap()];
    argv.extend(more);
    let mut daemon = Daemon::start(
        &redis,
        &format!(
            "[queues.work]\nhandler = \"pool\"\ntimeout = \"1500ms\"\nconcurrency = 1\nbackoff = {{ delay = \"0s\" }}\n\
             [handlers.pool.process]\nargv = {}\ndirectory = {}\n",
            json!(argv),
            json!(work.path())
        ),
    );
    let is_shell = helper[0] == "sh";
    let mut jobs = vec!["good", "fail", "retry", "slow", "defer", "last"];
    // a deferral by exit code is one of 30 s
    jobs.retain(|act| !is_shell || *act != "defer");
    add(&redis, "work", &jobs);
    let count = |state: &str| redis.number(&["ZCARD", &format!("bull:work:{state}")]);
    eventually("all is done", || count("completed") + count("failed") == jobs.len() as u64);

    let field = |act: &str, field: &str| redis.call(&["HGET", &format!("bull:work:job-{act}"), field]);
    for act in jobs.iter().filter(|act| ["good", "defer", "last"].contains(act)) {
        assert_eq!((field(act, "atm"), field(act, "progress")), ("1".into(), "40".into()), "{act}");
        let value: Value = serde_json::from_str(&field(act, "returnvalue")).unwrap();
        let name = if is_shell { &value } else { &value["name"] };
        assert_eq!(name, NAME, "{act}");
        assert!(is_shell || value["text"] == "\u{2028}ä\"\\", "{value}");
        let log = redis.list(&["LRANGE", &format!("bull:work:job-{act}:logs"), "0", "-1"]);
        assert!(log.contains(&"halfway å".to_owned()), "{log:?}");
    }
    assert!(is_shell || field("defer", "ats") == "2");
    let reasons = ["fail", "retry", "slow"].map(|act| (field(act, "atm"), field(act, "failedReason")));
    assert!(reasons[0].0 == "1" && reasons[0].1.ends_with("no use"), "{reasons:?}");
    assert!(reasons[1].0 == "2" && reasons[1].1.ends_with("bad luck"), "{reasons:?}");
    assert_eq!(reasons[2], ("1".into(), "timed out after 1.5s".into()));
    assert!(!work.path().join("pwned").exists());
    // it did all of that itself: nothing had to be ended
    assert!(!daemon.log().contains("a process has gone"), "{}", daemon.log());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn python_functions_do_jobs() {
    works(&["python3", "oxherd.py"], "work.py", PYTHON, &["work.py:work", "--slots", "2"]);
    works(&["python3", "oxherd.py"], "work.py", PYTHON, &["work:work_async", "--slots", "2"]);
}

#[test]
fn php_functions_do_jobs() {
    works(&["php", "oxherd.php"], "work.php", PHP, &["work.php"]);
}

#[test]
fn shell_functions_do_jobs() {
    works(&["sh", "oxherd.sh"], "work.sh", SHELL, &["--source", "work.sh", "work"]);
}

#[test]
fn a_processor_of_node_is_told_to_stop_by_its_signal() {
    let redis = Redis::start();
    let work = tempfile::tempdir().unwrap();
    let processor = r"
        const { once } = require('node:events');
        const { writeFileSync } = require('node:fs');
        module.exports = async (job, token, signal) => {
          if (job.data.do === 'slow') {
            await once(signal, 'abort');
            writeFileSync('reason', signal.reason);
            throw signal.reason;
          }
          return process.pid;
        };";
    std::fs::write(work.path().join("work.cjs"), processor).unwrap();
    let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helpers/oxherd.mjs");
    let toml = format!(
        "[queues.work]\nhandler = \"pool\"\ntimeout = \"500ms\"\nconcurrency = 4\n\
         [handlers.pool.process]\nargv = {}\ndirectory = {}\n",
        json!(["node", helper, "work.cjs", "--slots", "4"]),
        json!(work.path())
    );
    let mut daemon = Daemon::start(&redis, &toml);
    add(&redis, "work", &["good", "slow"]);
    let count = |state: &str| redis.number(&["ZCARD", &format!("bull:work:{state}")]);
    eventually("both are done", || count("completed") + count("failed") == 2);
    // from its start on a process: the wait for one is given back
    let reason = redis.call(&["HGET", "bull:work:job-slow", "failedReason"]);
    assert!(reason.starts_with("timed out after "), "{reason}");
    assert_eq!(std::fs::read_to_string(work.path().join("reason")).unwrap(), "timeout");
    // the process goes on, and ends with the daemon
    add(&redis, "work", &["last"]);
    eventually("the last is done", || count("completed") == 2);
    let [first, last] =
        ["good", "last"].map(|act| redis.call(&["HGET", &format!("bull:work:job-{act}"), "returnvalue"]));
    assert_eq!(first, last);
    assert_eq!(daemon.stop(), Some(0));
    eventually("the process is gone", || !Path::new("/proc").join(&first).exists());
}
