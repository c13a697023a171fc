//! What a job says while oxherd runs it, in the ears of Node: progress, log, other data, children of its own.

use serde_json::{Value, json};

use super::oxherd::Oxherd;
use super::support::eventually;
use super::support::program::node;
use super::support::redis::Redis;

/// The queue `scripts` runs this; with `"` and `\` as the shell is to see them.
fn script(redis: &Redis, script: &str) -> Oxherd {
    let quoted = serde_json::to_string(script).unwrap();
    let rest = format!(
        "[handlers.script.command]\nargv = [\"sh\", \"-c\", {quoted}]\n[queues.scripts]\nhandler = \"script\"\n"
    );
    Oxherd::start_with(redis, &["email"], "", &rest)
}

fn add(version: u8, redis: &Redis, data: &Value) {
    let opts = r#"{"jobId":"said"}"#;
    node("control.mjs", version, redis, &["add", "job", &data.to_string(), opts, "--queue", "scripts"]).end();
}

fn says_how_it_goes(version: u8) {
    let redis = Redis::start();
    let _oxherd = script(
        &redis,
        r#"for percent in 1 20 40 60 80; do echo "{\"progress\":$percent}" >&3; echo "{\"log\":\"at $percent\"}" >&3; done
           echo '{"data":{"left":2}}' >&3
           echo '{"progress":{"step":"last","of":[1,2]}}' >&3; echo 'from stderr' >&2; echo '{"result":"all"}' >&3"#,
    );
    let mut events = node("events.mjs", version, &redis, &["--queues", "scripts"]).ready();
    add(version, &redis, &json!({"left": 7}));
    events.wait_for("the end", |line| line["event"] == "completed");
    let heard = events.stop();

    // the last word on its progress came before its end; of those before it some may be left out, none is turned round
    let at = |event: &str| heard.iter().rposition(|line| line["event"] == event).unwrap();
    assert!(at("progress") < at("completed"), "{heard:?}");
    assert_eq!(heard[at("progress")]["data"], json!({"step": "last", "of": [1, 2]}));
    let percents: Vec<u64> =
        heard.iter().filter(|line| line["event"] == "progress").filter_map(|line| line["data"].as_u64()).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(heard[at("completed")]["returnvalue"], "all");

    let mut reader = node("inspect.mjs", version, &redis, &["serve", "--queue", "scripts"]).ready();
    let job = reader.press(&["job", "said"])[0].clone();
    assert_eq!(job["progress"], json!({"step": "last", "of": [1, 2]}));
    assert_eq!(job["data"], json!({"left": 2}));
    let logs = reader.press(&["logs", "said"]);
    let mut rows: Vec<&str> = logs["logs"].as_array().unwrap().iter().map(|row| row.as_str().unwrap()).collect();
    assert_eq!(logs["count"], 6);
    rows.retain(|row| *row != "from stderr");
    assert_eq!(rows, ["at 1", "at 20", "at 40", "at 60", "at 80"]);
}

#[test]
fn node_6_hears_progress_and_reads_the_log() {
    says_how_it_goes(6);
}

#[test]
fn node_5_hears_progress_and_reads_the_log() {
    says_how_it_goes(5);
}

/// The other way round of `flows::children_a_running_node_job_adds_are_worked_by_oxherd`.
#[test]
fn children_a_running_oxherd_job_adds_are_worked_by_node() {
    for version in [5, 6] {
        let redis = Redis::start();
        let _oxherd = script(
            &redis,
            r#"envelope=$(cat)
               case $envelope in *'"children":'*) printf %s "$envelope"; exit;; esac
               echo '{"children":[{"name":"a","queueName":"children","data":{"n":1}},
                      {"name":"b","queueName":"children","data":{"n":2},"children":[{"name":"c","queueName":"children","data":{"n":3}}]}]}' | tr -d '\n' >&3
               echo >&3
               echo '{"outcome":"waiting-children"}' >&3"#,
        );
        add(version, &redis, &json!({}));
        eventually("the parent waits", || !redis.call(&["ZSCORE", "bull:scripts:waiting-children", "said"]).is_empty());
        let worker = node("worker.mjs", version, &redis, &["--queues", "children"]).ready();
        eventually("the parent is completed", || redis.number(&["ZCARD", "bull:scripts:completed"]) == 1);
        let field = |field: &str| redis.call(&["HGET", "bull:scripts:said", field]);
        assert_eq!((field("ats").as_str(), field("atm").as_str()), ("2", "1"));
        let value: Value = serde_json::from_str(&field("returnvalue")).unwrap();
        let mut numbers: Vec<u64> = value["children"]["processed"]
            .as_object()
            .unwrap()
            .values()
            .map(|child| child["n"].as_u64().unwrap())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2], "{value}");
        worker.stop();
    }
}
