//! Status for browsers: `/v1/events` as server-sent events and over WebSocket, who sees what, and what ends it.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use ring::hmac;
use serde_json::{Value, json};

use super::support::daemon::{Daemon, oxherd};
use super::support::redis::Redis;
use super::support::viewer::{Answer, Event, Socket, ask, follow, free_port};
use super::support::{eventually, viewer};

const ADMIN: &str = "the-token-of-the-admin";
const SECRET: &str = "first-secret-of-at-least-thirty-two-bytes";

struct Scene {
    redis: Redis,
    daemon: Daemon,
    port: u16,
}

/// Two queues, and a server; `events` are more lines of its section.
fn toml(port: u16, secret: &str, events: &str) -> String {
    format!(
        "[queues.email]\nhandler = \"log\"\n[queues.export]\nhandler = \"log\"\n[handlers.log.log]\n\
         [admin]\nlisten = \"127.0.0.1:{port}\"\ntoken = \"{ADMIN}\"\n[admin.events]\nsecrets = [\"{secret}\"]\n{events}\n"
    )
}

impl Scene {
    fn start(events: &str) -> Self {
        let redis = Redis::start();
        let port = free_port();
        let daemon = Daemon::start(&redis, &toml(port, SECRET, events));
        Self { redis, daemon, port }
    }

    /// A token for a tenant, made by the command line.
    fn token(&self, tenant: &str, more: &[&str]) -> String {
        let file = self.daemon.directory().join("oxherd.toml");
        let arguments = [&["token", "-c", file.to_str().unwrap(), "--tenant", tenant], more].concat();
        oxherd(&self.redis, &arguments)["token"].as_str().unwrap().to_owned()
    }

    fn follow(&self, token: &str, filter: &str) -> Answer {
        follow(self.port, &format!("token={token}{filter}"))
    }

    fn add(&self, queue: &str, tenant: &str) -> String {
        let data = json!({ "tenantId": tenant }).to_string();
        oxherd(&self.redis, &["job", "add", queue, "n", &data])["id"].as_str().unwrap().to_owned()
    }
}

/// A token as a web application makes it.
fn signed(claims: &Value) -> String {
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let text = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{text}.{}", encode(hmac::sign(&key, text.as_bytes()).as_ref()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Queue, job and status of what comes until a job has completed.
fn until_completed(viewer: &mut Answer, job: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        let data = viewer.expect("status");
        let is_end = data["jobId"] == *job && data["status"] == "COMPLETED";
        seen.push(data);
        if is_end {
            return seen;
        }
    }
}

#[test]
fn a_tenant_sees_its_own_jobs_and_nobody_elses() {
    let scene = Scene::start("");
    let (mut one, mut two) = (scene.follow(&scene.token("t1", &[]), ""), scene.follow(&scene.token("t2", &[]), ""));
    let mut all = scene.follow(ADMIN, "");
    let jobs: Vec<(String, &str)> = (0..6)
        .map(|n| {
            let tenant = ["t1", "t2", ""][n % 3];
            (scene.add("email", tenant), tenant)
        })
        .collect();
    let last = |tenant: &str, viewer: &mut Answer| {
        let (id, _) = jobs.iter().rfind(|(_, of)| *of == tenant).unwrap();
        until_completed(viewer, id)
    };
    for (tenant, viewer) in [("t1", &mut one), ("t2", &mut two)] {
        let seen = last(tenant, viewer);
        assert!(seen.iter().all(|message| message["tenantId"] == tenant), "{seen:?}");
        let words: Vec<_> = seen.iter().filter(|message| message["jobId"] == seen[0]["jobId"]).collect();
        assert_eq!(words.last().unwrap()["status"], "COMPLETED");
        assert!(words.iter().any(|message| message["status"] == "RUNNING"), "{words:?}");
    }
    let seen = last("", &mut all);
    assert!(jobs.iter().all(|(id, _)| seen.iter().any(|message| message["jobId"] == **id)), "{seen:?}");
    // as it was published, key by key
    let keys: Vec<_> = seen[0].as_object().unwrap().keys().take(4).cloned().collect();
    assert_eq!(keys[..3], ["tenantId", "jobId", "status"]);
}

#[test]
fn filters_narrow_and_never_widen() {
    let scene = Scene::start("");
    let token = scene.token("t1", &[]);
    let foreign = scene.add("email", "t2");
    // what is asked for is another tenant's
    let mut nothing = scene.follow(&token, &format!("&job={foreign}&queue=email&job=99"));
    let mut narrow = scene.follow(&token, "&queue=export&status=COMPLETED&status=FAILED");
    let mut bound = scene.follow(&scene.token("t1", &["--queue", "export"]), "&queue=export&queue=email");
    let mut other = scene.follow(ADMIN, "&tenant=t2&status=COMPLETED");
    for queue in ["email", "export"] {
        scene.add(queue, "t2");
        scene.add(queue, "t1");
    }
    let last = scene.add("export", "t1");
    for viewer in [&mut narrow, &mut bound] {
        let seen = until_completed(viewer, &last);
        assert!(seen.iter().all(|message| message["queue"] == "export" && message["tenantId"] == "t1"), "{seen:?}");
    }
    let first = other.expect("status");
    assert_eq!((&first["tenantId"], &first["status"]), (&json!("t2"), &json!("COMPLETED")));
    scene.redis.call(&["PUBLISH", "job_updates", r#"{"tenantId":"t1","jobId":"99","status":"X","queue":"email"}"#]);
    assert_eq!(nothing.expect("status")["jobId"], "99", "nothing came before it");

    let refused = |query: &str| {
        let answer = ask(scene.port, "GET", &format!("/v1/events?token={token}&{query}"), &[]);
        (answer.status, answer.error())
    };
    assert_eq!(refused("tenant=t2").0, 403);
    assert_eq!(
        refused("colour=red"),
        (400, "unknown parameter \"colour\"; known are queue, job, status, tenant, token, lastEventId".into())
    );
    assert_eq!(refused("tenant=t1&tenant=t1"), (400, "tenant stands in the query twice".into()));
    assert_eq!(refused(&format!("job={}", "x".repeat(9000))).0, 414);
}

#[test]
fn f142_who_has_no_right_sees_nothing_and_no_token_is_logged() {
    let redis = Redis::start();
    let port = free_port();
    let daemon = Daemon::start(&redis, &format!("level = \"trace\"\n{}", toml(port, SECRET, "")));
    let scene = Scene { redis, daemon, port };
    let good = scene.token("t1", &[]);
    let expired = signed(&json!({ "tenant": "t1", "exp": now() - 11 }));
    let (_, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"} and {"alg":"RS256"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    let foreign = format!("eyJhbGciOiJSUzI1NiJ9.{claims}.{signature}");
    // {"tenant":"t2","exp":9e9}
    let forged = format!("{}.eyJ0ZW5hbnQiOiJ0MiIsImV4cCI6OWU5fQ.{signature}", good.split('.').next().unwrap());
    let status =
        |query: &str, headers: &[(&str, &str)]| ask(scene.port, "GET", &format!("/v1/events{query}"), headers).status;
    for wrong in ["", "nonsense", &unsigned, &foreign, &forged, &expired, &good[..good.len() - 2], SECRET] {
        assert_eq!(status(&format!("?token={wrong}"), &[]), 401, "{wrong}");
        assert_eq!(status("", &[("authorization", &format!("Bearer {wrong}"))]), 401, "{wrong}");
        assert_eq!(Socket::open(scene.port, &format!("token={wrong}"), &[]).err(), Some(401), "{wrong}");
    }
    let nameless = ask(scene.port, "GET", "/v1/events", &[]);
    assert_eq!((nameless.status, nameless.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(status("", &[("authorization", &format!("Bearer {good}"))]), 200);
    assert_eq!(status("", &[("authorization", &format!("bearer {ADMIN}"))]), 200);
    // what there is, is nobody's business either
    assert_eq!(ask(scene.port, "GET", "/else", &[]).status, 401);
    let admin = format!("Bearer {ADMIN}");
    assert_eq!(ask(scene.port, "GET", "/else", &[("authorization", &admin)]).status, 404);
    let mut viewer = scene.follow(&good, "");
    let id = scene.add("email", "t1");
    until_completed(&mut viewer, &id);

    let log = scene.daemon.log();
    assert!(log.contains("\"level\":\"debug\""), "the log says much");
    let signature = good.rsplit('.').next().unwrap();
    for secret in [signature, expired.rsplit('.').next().unwrap(), ADMIN, SECRET] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn pages_elsewhere_read_only_when_they_are_named() {
    let scene = Scene::start("allow_origins = [\"https://app.example.org\"]");
    let token = scene.token("t1", &[]);
    let path = format!("/v1/events?token={token}");
    let named = ask(scene.port, "GET", &path, &[("origin", "https://app.example.org")]);
    assert_eq!((named.status, named.header("access-control-allow-origin")), (200, Some("https://app.example.org")));
    assert_eq!((named.header("vary"), named.header("access-control-allow-credentials")), (Some("origin"), None));
    for (name, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
    {
        assert_eq!(named.header(name), Some(value));
    }
    // it may read why not
    let wrong = ask(scene.port, "GET", "/v1/events?token=x", &[("origin", "https://app.example.org")]);
    assert_eq!((wrong.status, wrong.header("access-control-allow-origin")), (401, Some("https://app.example.org")));
    let asks_first = [
        ("origin", "https://app.example.org"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let preflight = ask(scene.port, "OPTIONS", "/v1/events", &asks_first);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example.org"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("authorization"));
    for stranger in ["https://evil.example", "https://app.example.org.evil.example", "null"] {
        for method in ["GET", "OPTIONS"] {
            let answer = ask(scene.port, method, &path, &[("origin", stranger)]);
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None), "{stranger}");
        }
        let upgraded = Socket::open(scene.port, &format!("token={token}"), &[("origin", stranger)]);
        assert_eq!(upgraded.err(), Some(403), "{stranger}");
    }
    let own = format!("http://127.0.0.1:{}", scene.port);
    assert!(Socket::open(scene.port, &format!("token={token}"), &[("origin", &own)]).is_ok());
}

#[test]
fn with_a_stream_a_viewer_that_comes_back_has_missed_nothing() {
    let redis = Redis::start();
    let port = free_port();
    let toml = format!("{}[status]\nstream = {{ key = \"updates\" }}\n", toml(port, SECRET, "buffer = 1"));
    let daemon = Daemon::start(&redis, &toml);
    let mut scene = Scene { redis, daemon, port };
    let token = scene.token("t1", &[]);
    let mut viewer = scene.follow(&token, "");
    let first = scene.add("email", "t1");
    let id = loop {
        let event = viewer.next().unwrap();
        if event.data["jobId"] == *first && event.data["status"] == "COMPLETED" {
            break event.id.unwrap();
        }
    };
    viewer.leave();
    assert_eq!(scene.daemon.stop(), Some(0));
    let jobs: Vec<String> = (0..300).map(|n| scene.add("email", ["t1", "t2", "t1"][n % 3])).collect();
    scene.daemon.again();
    let own: Vec<&String> = jobs.iter().enumerate().filter(|(n, _)| n % 3 != 1).map(|(_, id)| id).collect();
    for path in [format!("token={token}&lastEventId={id}"), format!("token={token}&status=COMPLETED&lastEventId={id}")]
    {
        let mut viewer = follow(port, &path);
        let mut missing = own.clone();
        let mut last = (id.clone(), Value::Null);
        while !missing.is_empty() {
            // what has been told is never told again, and in order
            let event = viewer.next().unwrap();
            assert_eq!((event.name.as_str(), &event.data["tenantId"]), ("status", &json!("t1")), "{}", event.data);
            let place = |id: &str| id.split('-').map(|part| part.parse::<u64>().unwrap()).collect::<Vec<_>>();
            let id = event.id.unwrap();
            assert!(place(&id) > place(&last.0), "{id} after {last:?}");
            last = (id, event.data);
            if last.1["status"] == "COMPLETED" {
                missing.retain(|id| last.1["jobId"] != **id);
            }
        }
    }
    // what the stream has lost is told
    scene.redis.call(&["XTRIM", "updates", "MAXLEN", "2"]);
    let mut late = ask(port, "GET", &format!("/v1/events?token={ADMIN}"), &[("last-event-id", &id)]);
    assert_eq!((late.expect("ready"), late.expect("gap")), (json!({}), json!({})));
    late.expect("status");
    let wrong = ask(port, "GET", &format!("/v1/events?token={token}&lastEventId=x"), &[]);
    assert_eq!(wrong.error(), "lastEventId: expected the id of an entry, such as 1788253198120-0, got \"x\"");
}

#[test]
fn without_a_stream_nobody_is_made_believe_to_have_missed_nothing() {
    let scene = Scene::start("");
    let mut viewer = scene.follow(ADMIN, "&lastEventId=1-0");
    viewer.expect("gap");
}

#[test]
fn a_socket_tells_the_same() {
    let scene = Scene::start("heartbeat = \"1s\"");
    let mut socket = Socket::open(scene.port, &format!("token={}", scene.token("t1", &[])), &[]).unwrap();
    assert_eq!(socket.next().unwrap(), Event { name: "ready".into(), id: None, data: json!({}) });
    socket.send(1, b"what a viewer says is not listened to");
    scene.add("email", "t2");
    let id = scene.add("email", "t1");
    loop {
        let event = socket.next().unwrap();
        assert_eq!((event.name.as_str(), &event.data["tenantId"]), ("status", &json!("t1")));
        if event.data["jobId"] == *id && event.data["status"] == "COMPLETED" {
            break;
        }
    }
    let mut quiet = Socket::open(scene.port, &format!("token={}&job=-", scene.token("t1", &[])), &[]).unwrap();
    assert_eq!(quiet.next().unwrap().name, "ready");
    std::thread::sleep(Duration::from_millis(1200));
    scene.redis.call(&["PUBLISH", "job_updates", r#"{"tenantId":"t1","jobId":"-","status":"X"}"#]);
    assert_eq!(quiet.next().unwrap().data["jobId"], "-");
    assert!(quiet.pings > 0, "a silent connection shows that it stands");
    quiet.send(8, &1000_u16.to_be_bytes());
    assert_eq!(quiet.next().unwrap_err().0, 1000);
}

#[test]
fn a_token_that_ends_ends_what_it_opened() {
    let scene = Scene::start("");
    // clocks are given ten seconds, so this one has two left
    let short = signed(&json!({ "tenant": "t1", "exp": now() - 8 }));
    let mut viewer = scene.follow(&short, "");
    let mut socket = Socket::open(scene.port, &format!("token={short}"), &[]).unwrap();
    assert_eq!(socket.next().unwrap().name, "ready");
    assert_eq!(viewer.expect("end"), json!({ "reason": "expired" }));
    assert_eq!(viewer.next(), None);
    assert_eq!(socket.next().unwrap().data, json!({ "reason": "expired" }));
    assert_eq!(socket.next().unwrap_err(), (4401, "expired".into()));
}

#[test]
fn tokens_are_made_in_any_language_as_the_manual_shows() {
    let scene = Scene::start("");
    let page = include_str!("../../docs/browser.md");
    let mut tried = 0;
    for (language, program, extension) in [("js", "node", "mjs"), ("php", "php", "php"), ("python", "python3", "py")] {
        let open = format!("```{language}\n");
        let blocks = page.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap());
        for code in blocks.filter(|code| code.contains("mint")) {
            let file = scene.daemon.directory().join(format!("mint.{extension}"));
            std::fs::write(&file, code).unwrap();
            let output = Command::new(program).arg(file).env("EVENTS_SECRET", SECRET).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            scene.follow(String::from_utf8(output.stdout).unwrap().trim(), "");
            tried += 1;
        }
    }
    assert_eq!(tried, 3);
}

#[test]
fn a_reload_changes_who_may_see_without_a_restart() {
    let scene = Scene::start("");
    let (old, port) = (scene.token("t1", &[]), scene.port);
    let (mut viewer, mut admin) = (scene.follow(&old, ""), scene.follow(ADMIN, ""));
    // both secrets hold while they are rotated
    let both = format!("new-{SECRET}\", \"{SECRET}");
    scene.daemon.reload(&scene.redis, &toml(port, &both, "allow_origins = [\"https://new.example\"]"));
    let new = scene.token("t1", &[]);
    assert_eq!(ask(port, "GET", "/v1/events?token=x", &[("origin", "https://new.example")]).status, 401);
    for token in [&old, &new] {
        scene.follow(token, "");
    }
    scene.daemon.reload(&scene.redis, &toml(free_port(), &format!("new-{SECRET}"), ""));
    scene.daemon.says("admin.listen");
    assert_eq!(viewer.expect("end"), json!({ "reason": "revoked" }));
    assert_eq!(ask(port, "GET", &format!("/v1/events?token={old}"), &[]).status, 401);
    let mut viewer = scene.follow(&new, "");
    let id = scene.add("email", "t1");
    until_completed(&mut viewer, &id);
    until_completed(&mut admin, &id);
    // and so does the channel
    scene.daemon.reload(
        &scene.redis,
        &format!("{}[status]\nchannel = \"elsewhere\"\n", toml(port, &format!("new-{SECRET}"), "")),
    );
    assert_eq!(viewer.expect("gap"), json!({}));
    let id = scene.add("email", "t1");
    until_completed(&mut viewer, &id);
}

#[test]
fn the_last_words_are_heard_and_nobody_holds_up_the_stop() {
    let mut scene = Scene::start("");
    let token = scene.token("t1", &[]);
    let mut viewer = scene.follow(&token, "");
    let mut socket = Socket::open(scene.port, &format!("token={token}"), &[]).unwrap();
    assert_eq!(socket.next().unwrap().name, "ready");
    // one that never reads, and one that has not even asked
    let _deaf = scene.follow(ADMIN, "");
    let _mute = std::net::TcpStream::connect(("127.0.0.1", scene.port)).unwrap();
    let long = format!(r#"{{"tenantId":"t2","jobId":"1","status":"{}"}}"#, "x".repeat(100_000));
    for _ in 0..100 {
        scene.redis.call(&["PUBLISH", "job_updates", &long]);
    }
    assert_eq!(scene.daemon.stop(), Some(0));
    assert_eq!(viewer.expect("end"), json!({ "reason": "stopping" }));
    assert_eq!(viewer.next(), None);
    assert_eq!(socket.next().unwrap().data, json!({ "reason": "stopping" }));
    assert_eq!(socket.next().unwrap_err(), (1001, "stopping".into()));
    scene.daemon.again();
    scene.follow(&token, "");
}

#[test]
fn there_is_room_for_so_many_and_one_subscription_for_all() {
    let scene = Scene::start("max_viewers = 3");
    let listening = || scene.redis.call(&["PUBSUB", "NUMSUB", "job_updates"]);
    assert_eq!(listening(), "job_updates\n0", "nobody watches");
    let viewers: Vec<Answer> = (0..3).map(|_| scene.follow(ADMIN, "")).collect();
    assert_eq!(listening(), "job_updates\n1");
    let late = ask(scene.port, "GET", &format!("/v1/events?token={ADMIN}"), &[]);
    assert_eq!((late.status, late.header("retry-after")), (503, Some("5")));
    assert_eq!(late.error(), "3 viewers are here already, which is admin.events.max_viewers");
    viewers.into_iter().for_each(Answer::leave);
    let token = scene.token("t1", &[]);
    eventually("a place is free", || ask(scene.port, "GET", &format!("/v1/events?token={token}"), &[]).status == 200);
    eventually("nobody listens for nobody", || listening() == "job_updates\n0");
}

#[test]
fn without_a_token_only_this_host_sees_anything() {
    let redis = Redis::start();
    let port = free_port();
    let queue = "[queues.email]\nhandler = \"log\"\n[handlers.log.log]\n";
    let daemon = Daemon::start(&redis, &format!("{queue}[admin]\nlisten = \"127.0.0.1:{port}\"\n"));
    let scene = Scene { redis, daemon, port };
    let mut viewer = viewer::follow(port, "tenant=t1");
    let id = scene.add("email", "t1");
    until_completed(&mut viewer, &id);
    for strange in [
        [("host", "evil.example"), ("accept", "*/*")],
        [("host", "127.0.0.1"), ("x-forwarded-for", "203.0.113.7")],
        [("host", "localhost"), ("origin", "https://evil.example")],
    ] {
        assert_eq!(ask(port, "GET", "/v1/events", &strange).status, 403, "{strange:?}");
        assert_eq!(Socket::open(port, "", &strange).err(), Some(403), "{strange:?}");
    }
    assert_eq!(ask(port, "GET", "/v1/events", &[("host", "localhost"), ("origin", "http://localhost")]).status, 200);
}
