//! `oxherd exec`: one job without Redis, and what `--conformance` finds good and bad.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::harness::{Ended, Oxherd, eventually, text};

const CONFIG: &str = r#"
[queues.mail]
handler = "greet"
attempts = 2
backoff = { type = "fixed", delay = "1s", jitter = 0 }
timeout = "5s"
[handlers.greet.command]
argv = ["sh", "-c", '''
echo '{"progress":40}' >&3
echo halfway >&2
read -r line
case $line in *'"fail"'*) exit 65 ;; *'"retry"'*) exit 1 ;; *'"defer"'*) exit 75 ;;
*'"more"'*) echo '{"data":{"step":2}}' >&3; echo '{"children":[{"name":"kid","data":1}]}' >&3;
    echo '{"outcome":"waiting-children"}' >&3 ;;
esac
echo '{"n": 1.10}'
''']
[handlers.trace.log]
"#;

fn oxherd(files: &[(&str, &str)]) -> Oxherd {
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", CONFIG);
    for (name, content) in files {
        oxherd.file(name, content);
    }
    oxherd
}

fn exec(job: &str, more: &[&str]) -> Ended {
    let mut arguments = vec!["exec", "--job", "job.json", "--json"];
    arguments.extend(more);
    oxherd(&[("job.json", job)]).run(&arguments)
}

#[test]
fn a_job_is_run_and_its_outcome_printed() {
    let ended = exec(r#"{"name":"welcome","data":{"to":"a"}}"#, &["--handler", "greet"]).exits(0);
    let shown = ended.json();
    assert_eq!(
        (&shown["outcome"], &shown["error"], &shown["state"]),
        (&json!("complete"), &json!(null), &json!("completed"))
    );
    assert!(ended.stdout.contains(r#""result":{"n": 1.10}"#), "{}", ended.stdout);
    assert!(shown["durationMs"].is_u64());
    assert!(ended.stderr.contains("progress: 40") && ended.stderr.contains("log: halfway"), "{}", ended.stderr);
    // the queue's handler where none is named
    assert_eq!(exec(r#"{"data":1}"#, &["--queue", "mail"]).exits(0).json()["outcome"], "complete");
    assert_eq!(exec(r#"{"data":1}"#, &["--handler", "trace"]).exits(0).json()["result"], Value::Null);
}

#[test]
fn what_does_not_complete_ends_with_1_and_says_where_the_job_would_be() {
    for (kind, made, outcome, state, after) in [
        ("fail", 0, "fail", "failed", Value::Null),
        ("retry", 0, "retry", "delayed", json!("1s")),
        ("retry", 1, "retry", "failed", Value::Null),
        ("defer", 0, "defer", "delayed", json!("30s")),
        ("more", 0, "waiting-children", "waiting-children", Value::Null),
    ] {
        let job = json!({ "name": "x", "data": { kind: 1 }, "attemptsMade": made, "queue": "mail" }).to_string();
        let ended = exec(&job, &[]).exits(1);
        let shown = ended.json();
        assert_eq!((&shown["outcome"], &shown["state"]), (&json!(outcome), &json!(state)), "{kind}: {shown}");
        assert_eq!(shown["after"], after, "{kind}: {shown}");
        if kind == "more" {
            let said = "data: {\"step\":2}\nchild: kid in mail: 1\n";
            assert!(ended.stderr.contains(said), "{}", ended.stderr);
        } else {
            assert!(shown["error"].as_str().unwrap().contains("halfway"), "{shown}");
        }
    }
}

#[test]
fn the_time_limit_of_the_queue_holds() {
    let job = r#"{"name":"x","data":1}"#;
    let oxherd = oxherd(&[("job.json", job)]);
    let slow = "handlers.slow.command.argv=[\"sleep\", \"60\"]";
    let arguments = ["exec", "--handler", "slow", "--queue", "mail", "--job", "job.json", "--json"];
    let ended =
        oxherd.run(&[&arguments[..], &["--set", slow, "--set", "queues.mail.timeout=\"200ms\""]].concat()).exits(1);
    assert_eq!(ended.json()["error"], "timed out after 200ms");
}

#[test]
fn a_bad_job_file_a_bad_argument_and_a_bad_configuration_have_their_codes() {
    for (job, why) in [
        ("{}", "without name and data"),
        ("[]", "expected {\"name\""),
        ("{\"name\":", "job.json:1:8"),
        (r#"{"name":"x","opts":{"attempts":{}}}"#, "opts: job option attempts must be a number"),
    ] {
        let ended = exec(job, &["--handler", "trace"]).exits(65);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
    let good = r#"{"name":"x"}"#;
    assert!(exec(good, &["--handler", "no"]).exits(2).stderr.contains("known are greet, trace"));
    assert!(exec(good, &[]).exits(2).stderr.contains("--handler NAME"));
    exec(good, &["--handler", "trace", "--conformance"]).exits(2);
    Oxherd::new().run(&["exec"]).exits(2);
    exec(good, &["--handler", "trace", "--set", "queues.mail.nonsense=1"]).exits(78);
    oxherd(&[]).run(&["exec", "--handler", "trace", "--job", "gone.json"]).exits(65);
}

fn helper(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helpers").join(name)
}

#[test]
fn a_pool_is_started_for_the_job_and_ended_with_it() {
    let pool = format!("[handlers.pool.process]\nargv = {}\n", json!(["python3", helper("oxherd.py"), "work.py:work"]));
    let oxherd = Oxherd::new();
    oxherd.file("oxherd.toml", &pool);
    oxherd.file("job.json", r#"{"name":"a","data":{"text":"å"}}"#);
    let work = "import os\ndef work(job):\n    job.update_progress(7)\n    job.log('on the way')\n    return [os.getpid(), job['text']]\n";
    oxherd.file("work.py", work);
    let ended = oxherd.run(&["exec", "--handler", "pool", "--job", "job.json", "--json"]).exits(0);
    let result = &ended.json()["result"];
    assert_eq!(result[1], "å");
    assert!(ended.stderr.contains("progress: 7") && ended.stderr.contains("log: on the way"), "{}", ended.stderr);
    let process = Path::new("/proc").join(result[0].to_string());
    eventually("the process is gone", || !process.exists());
}

fn conformance(oxherd: &Oxherd, options: &[&str], command: &[&str]) -> Ended {
    let mut arguments = vec!["exec", "--conformance", "--json"];
    arguments.extend(options);
    arguments.push("--");
    arguments.extend(command);
    oxherd.run(&arguments)
}

/// The checks that have this result.
fn with(ended: &Ended, result: &str) -> Vec<String> {
    let shown = ended.json();
    let checks = shown["checks"].as_array().unwrap();
    checks.iter().filter(|row| row["result"] == result).map(|row| row["check"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_helper_conforms() {
    let oxherd = Oxherd::new();
    oxherd.file(
        "job.cjs",
        "module.exports = async (job, token, signal) => { console.log(job.name); await job.log('å'); return job.data }",
    );
    oxherd.file("job.mjs", "export default (job) => new Promise((done) => setTimeout(done, 20, { id: job.id }))");
    oxherd.file("job.py", "import asyncio, time\ndef work(job):\n    print(job.name); time.sleep(0.02); return {'id': job.id}\nasync def wait(job, context):\n    context.log('å'); await asyncio.sleep(0.02); return job.data\n");
    oxherd.file("job.php", "<?php return function (array $job, Oxherd $ctx): mixed { echo 'printed'; $ctx->log('å'); usleep(20000); return ['id' => $job['job']['id']]; };");
    oxherd.file("job.sh", "work() { read -r line; echo working >&2; echo \"$OXHERD_JOB_ID\"; }");
    let [node, python, php, shell] = ["oxherd.mjs", "oxherd.py", "oxherd.php", "oxherd.sh"].map(helper);
    let [node, python, php, shell] = [&node, &python, &php, &shell].map(|path| text(path));
    let commands: [&[&str]; 8] = [
        &["node", node, "job.cjs"],
        &["node", node, "job.mjs", "--slots", "4"],
        &["python3", python, "job.py:work"],
        &["python3", python, "job.py:work", "--slots", "4"],
        &["python3", python, "job:wait", "--slots=4"],
        &["php", php, "job.php"],
        &["sh", shell, "--source", "job.sh", "work"],
        &["sh", shell, "sleep", "0.05"],
    ];
    std::thread::scope(|scope| {
        for command in commands {
            for stdio in [false, true] {
                let oxherd = &oxherd;
                scope.spawn(move || {
                    let own: &[&str] = if stdio { &["--stdio"] } else { &[] };
                    let line = [&command[..2], own, &command[2..]].concat();
                    let ended = conformance(oxherd, &[own, &["--within", "30s"]].concat(), &line).exits(0);
                    assert_eq!(with(&ended, "failed"), [""; 0], "{line:?}");
                    let slots = line.iter().any(|word| word.starts_with("--slots"));
                    assert_eq!(with(&ended, "skipped").is_empty(), slots, "{line:?}: {}", ended.stdout);
                });
            }
        }
    });
}

#[test]
fn every_check_fails_a_child_that_breaks_it() {
    let child = &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/child.py");
    let oxherd = &Oxherd::new();
    // these keep us waiting
    let silent = [
        ("never says hello", "starts: hello, then ready"),
        ("is never ready", "starts: hello, then ready"),
        ("says nothing of the end", "does a job"),
        ("takes one job only", "does as many jobs at once as it has slots"),
        ("answers no ping", "answers a ping"),
        ("answers no ping with a job", "answers a ping that comes with a job"),
        ("forgets a cancelled job", "ends a cancelled job"),
        ("outlives its input", "ends when its input does"),
        ("outlives its input with a job", "ends when its input does, with a job"),
    ];
    let loud = [
        ("dies at the start", "starts: hello, then ready"),
        ("is ready before hello", "starts: hello, then ready"),
        ("speaks another version", "starts: hello, then ready"),
        ("has no slot", "starts: hello, then ready"),
        ("prints beside the frames", "does a job"),
        ("waits for a moment nobody knows", "does a job"),
        ("ends what it was not given", "does a job"),
        ("ends jobs twice", "does as many jobs at once as it has slots"),
        ("knows no long lines", "takes a job of 1 MiB"),
        ("breaks lines", "takes any text and any number"),
        ("minds frames it does not know", "leaves unknown frames and members alone"),
        ("minds members it does not know", "leaves unknown frames and members alone"),
        ("answers another ping", "answers a ping"),
        ("ends what has ended", "leaves the cancelling of what has ended alone"),
        ("talks while idle", "goes idle without a word"),
        ("leaves without bye", "drains: bye, exit 0"),
        ("exits with 5", "drains: bye, exit 0"),
        ("says something after bye", "drains: bye, exit 0"),
        ("leaves with a job", "drains: finishes the job it has"),
    ];
    std::thread::scope(|scope| {
        for slots in ["1", "2"] {
            scope.spawn(move || {
                let ended = conformance(oxherd, &[], &["python3", text(child), "none", slots]).exits(0);
                assert_eq!(with(&ended, "ok").len(), if slots == "1" { 14 } else { 15 });
                conformance(oxherd, &["--stdio"], &["python3", text(child), "none", slots, "stdio"]).exits(0);
            });
        }
    });
    let mut named = std::collections::BTreeSet::new();
    for (within, some) in std::iter::once(("4s", &silent[..])).chain(loud.chunks(6).map(|some| ("30s", some))) {
        std::thread::scope(|scope| {
            for (fault, check) in some {
                named.insert(*check);
                scope.spawn(move || {
                    let command = ["python3", "-SE", text(child), fault, "2"];
                    let ended = conformance(oxherd, &["--within", within], &command).exits(1);
                    let failed = with(&ended, "failed");
                    assert!(failed.contains(&(*check).to_owned()), "{fault}: {}", ended.stdout);
                });
            }
        });
    }
    assert_eq!(named.len(), 15, "every check has a child that fails it");
}

#[test]
fn what_cannot_be_started_fails_and_the_rest_is_skipped() {
    let oxherd = Oxherd::new();
    let ended = oxherd.run(&["exec", "--conformance", "--", "/no/such/program"]).exits(1);
    assert!(
        ended.stdout.contains("cannot start /no/such/program") && ended.stdout.contains("14 skipped"),
        "{}",
        ended.stdout
    );
}
