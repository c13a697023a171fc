//! Signed requests in the eyes of the public Standard Webhooks libraries.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::program::{Program, node, python};
use super::support::redis::Redis;

const OLD: &str = "whsec_b2xkIHNlY3JldCwgdG8gYmUgcmVwbGFjZWQgc29vbg==";
const NEW: &str = "a new secret, plain text this time";
const OTHER: &str = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCBpcyB0aGlz";

/// One endpoint that knows three secrets, each under a path of its own, and a queue for each path.
fn verified_by(start: fn(&Redis, &[&str]) -> Program) {
    let redis = Redis::start();
    let mut endpoint = start(&redis, &["--old", OLD, "--new", NEW, "--other", OTHER]);
    let url = endpoint.wait_for("ready", |line| line["event"] == "ready")["url"].as_str().unwrap().to_owned();
    let queue = |queue: &str, path: &str, secrets: &str| {
        format!(
            "[queues.{queue}]\nhandler = \"{queue}\"\nattempts = 1\n[handlers.{queue}.http]\nurl = \"{url}/{path}\"\n\
             signing_secrets = {secrets}\n"
        )
    };
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("old");
    std::fs::write(&kept, OLD).unwrap();
    std::fs::set_permissions(&kept, Permissions::from_mode(0o600)).unwrap();
    let both = format!("[{NEW:?}, {{ file = \"{}\" }}]", kept.display());
    let toml = [
        queue("knows-old", "old", &both),
        queue("knows-new", "new", &both),
        queue("knows-neither", "other", &both),
        queue("rotated", "old", &format!("\"{NEW}\"")),
        queue("batched", "new", &format!("\"{NEW}\"\nbatch = {{ max = 3, wait = \"30s\" }}")),
    ]
    .concat();
    let _daemon = Daemon::start(&redis, &toml);

    let data = json!({"to": "größe@example.org", "n": 1.10, "text": "a\nb 🎉"}).to_string();
    let ended = |queue: &str, state: &str, field: &str| {
        oxherd(&redis, &["job", "add", queue, "welcome", &data]);
        eventually(&format!("the job of {queue} is {state}"), || {
            redis.number(&["ZCARD", &format!("bull:{queue}:{state}")]) == 1
        });
        redis.call(&["HGET", &format!("bull:{queue}:1"), field])
    };
    for (queue, signatures) in [("knows-old", 2), ("knows-new", 2)] {
        let found: Value = serde_json::from_str(&ended(queue, "completed", "returnvalue")).unwrap();
        // whole it is accepted; whatever is changed, it is not
        let want = json!({
            "verified": true, "body": false, "id": false, "timestamp": false, "signature": false, "signatures": signatures,
        });
        assert_eq!(found, want, "{queue}");
    }
    for queue in ["knows-neither", "rotated"] {
        let reason = ended(queue, "failed", "failedReason");
        assert!(reason.starts_with("HTTP 401 Unauthorized: "), "{reason}");
    }
    for _ in 0..3 {
        oxherd(&redis, &["job", "add", "batched", "welcome", &data]);
    }
    eventually("the batch is completed", || redis.number(&["ZCARD", "bull:batched:completed"]) == 3);
    for id in ["1", "2", "3"] {
        let found: Value =
            serde_json::from_str(&redis.call(&["HGET", &format!("bull:batched:{id}"), "returnvalue"])).unwrap();
        assert_eq!(
            (&found["verified"], &found["body"], &found["batch"]),
            (&json!(true), &json!(false), &json!(3)),
            "{found}"
        );
    }
    endpoint.stop();
}

#[test]
fn the_library_for_node_verifies_what_is_signed() {
    verified_by(|redis, words| node("webhook.mjs", 6, redis, words));
}

#[test]
fn the_library_for_python_verifies_what_is_signed() {
    verified_by(|redis, words| python("webhook.py", redis, words));
}
