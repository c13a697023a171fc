//! Mails through a real server, from the job in the queue to what Python's own email package reads.

use std::path::Path;

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::support::daemon::{Daemon, oxherd};
use super::support::eventually;
use super::support::program::{Program, python};
use super::support::redis::Redis;

/// A private authority, and a server's certificate that it has signed, in a directory.
struct Authority(tempfile::TempDir);

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let server = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&server, &issuer).unwrap();
        let this = Self(directory);
        std::fs::write(this.file("ca.pem"), own.pem()).unwrap();
        std::fs::write(this.file("server.pem"), certificate.pem()).unwrap();
        std::fs::write(this.file("server.key"), server.serialize_pem()).unwrap();
        this
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// The words that make a server use its certificate.
    fn words(&self) -> [String; 4] {
        ["--certificate".into(), self.file("server.pem"), "--key".into(), self.file("server.key")]
    }
}

struct Server {
    program: Program,
    port: u64,
}

impl Server {
    fn start(redis: &Redis, words: &[&str], answers: &Value) -> Self {
        let answers = answers.to_string();
        let words = [words, &["--answers", &answers]].concat();
        let mut program = python("mailserver.py", redis, &words);
        let port = program.wait_for("ready", |line| line["event"] == "ready")["port"].as_u64().unwrap();
        Self { program, port }
    }

    /// The mails so far, once there are as many.
    fn mails(&mut self, count: usize) -> Vec<Value> {
        self.program.wait_for_count("mails", count, |line| line["event"] == "mail");
        self.program.said.iter().filter(|line| line["event"] == "mail").cloned().collect()
    }
}

const QUEUE: &str = "[queues.email]\nhandler = \"mailer\"\nattempts = 3\nbackoff = { delay = \"10ms\" }\n\
                     [handlers.mailer.smtp]\nfrom = \"Example <app@example.org>\"\nhello = \"test.example.org\"\n";

fn add(redis: &Redis, data: &Value) -> String {
    let added = oxherd(redis, &["job", "add", "email", "mail", &data.to_string()]);
    added["id"].as_str().unwrap_or_else(|| panic!("{added}")).to_owned()
}

fn ended(redis: &Redis, id: &str, state: &str) -> Value {
    eventually(&format!("job {id} is {state}"), || {
        !redis.call(&["ZSCORE", &format!("bull:email:{state}"), id]).is_empty()
    });
    oxherd(redis, &["job", "show", "email", id])
}

#[test]
fn f105_a_mail_with_template_and_attachment_outlives_a_greylist_and_a_restart() {
    let (redis, authority) = (Redis::start(), Authority::new());
    let words = authority.words();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.extend(["--tls", "starttls", "--login", "app:hunter2"]);
    let answers = json!({"rcpt bo@example.net": ["450 4.2.0 greylisted, come back", "451 4.7.1 still"]});
    let mut server = Server::start(&redis, &words, &answers);
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mail");
    let toml = format!(
        "{QUEUE}url = \"smtp://app:hunter2@127.0.0.1:{}\"\nca = {:?}\ntemplates = {:?}\ngreylist = \"400ms\"\n",
        server.port,
        authority.file("ca.pem"),
        templates.display().to_string(),
    );
    let mut daemon = Daemon::start(&redis, &toml);
    let report: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let data = json!({
        "to": ["Änne <ann@example.org>", {"name": "Bo", "address": "bo@example.net"}],
        "bcc": "archive@example.org",
        "template": "welcome",
        "context": {"product": {"name": "Example", "url": "https://example.org"},
                    "user": {"name": "Änne & Bo", "email": "ann@example.org"}, "actionUrl": "https://example.org/start"},
        "headers": {"List-Unsubscribe": "<https://example.org/unsubscribe>"},
        "attachments": [{"filename": "Bericht für Änne.pdf", "contentType": "application/pdf", "content": base64(&report)}],
        "n": 1.10,
    });
    let id = add(&redis, &data);
    let first = server.mails(1).remove(0);
    // the next attempt is another process's
    eventually("the job waits for its next attempt", || redis.number(&["ZCARD", "bull:email:delayed"]) == 1);
    daemon.stop();
    daemon.again();
    let mails = server.mails(2);
    let job = ended(&redis, &id, "completed");

    assert_eq!(first["recipients"], json!(["ann@example.org", "archive@example.org"]));
    assert_eq!(mails[1]["recipients"], json!(["bo@example.net"]), "who has it does not get it again");
    for mail in &mails {
        assert_eq!((&mail["tls"], &mail["login"], &mail["defects"]), (&json!(true), &json!("app"), &json!([])));
        assert_eq!(mail["sender"], "app@example.org");
        let headers = &mail["headers"];
        assert_eq!(headers["subject"], "Welcome to Example, Änne & Bo");
        assert_eq!(
            (&headers["from"], &headers["auto-submitted"]),
            (&json!("Example <app@example.org>"), &json!("auto-generated"))
        );
        assert_eq!(headers["to"], "Änne <ann@example.org>, Bo <bo@example.net>");
        assert_eq!(headers["list-unsubscribe"], "<https://example.org/unsubscribe>");
        assert!(headers["bcc"].is_null() && headers["date"].is_string(), "{headers}");
        assert_eq!(headers["message-id"], job["returnvalue"]["messageId"], "one for all attempts");
        assert_eq!(
            mail["shape"],
            json!(["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/pdf"])
        );
        let parts = &mail["parts"];
        assert!(parts[0]["content"].as_str().unwrap().contains("Hello Änne & Bo,"), "{parts}");
        assert!(parts[1]["content"].as_str().unwrap().contains("Hello Änne &amp; Bo,"), "{parts}");
        assert_eq!(
            (&parts[2]["filename"], &parts[2]["disposition"]),
            (&json!("Bericht für Änne.pdf"), &json!("attachment"))
        );
        assert_eq!(parts[2]["content"], base64(&report));
    }
    assert_eq!(job["attemptsMade"], 3);
    assert_eq!(job["returnvalue"]["accepted"], json!(["ann@example.org", "bo@example.net", "archive@example.org"]));
    assert_eq!(job["returnvalue"]["answers"]["ann@example.org"], "250 2.0.0 taken");
    // the producer's data is as it was, beside what is kept of the attempts
    let kept = redis.call(&["HGET", &format!("bull:email:{id}"), "data"]);
    assert!(kept.starts_with(&data.to_string()[..data.to_string().len() - 1]), "{kept}");
    assert!(kept.ends_with(r#""oxherd.mail":{"accepted":{"ann@example.org":"250 2.0.0 taken","archive@example.org":"250 2.0.0 taken"},"rejected":{}}}"#), "{}", &kept[kept.len() - 300..]);
    // three attempts, each at least the minimum after the one before
    let at = |field: &str| job[field].as_i64().unwrap();
    assert!(at("finishedOn") - at("timestamp") >= 800, "{job}");
}

#[test]
fn f106_refused_for_good_by_some_and_by_all() {
    let redis = Redis::start();
    let no = "550 5.1.1 no such user";
    let mut server = Server::start(&redis, &[], &json!({"rcpt x@example.net": [no, no, no]}));
    let toml = format!("{QUEUE}url = \"smtp://127.0.0.1:{}\"\ntls = \"off\"\n", server.port);
    let _daemon = Daemon::start(&redis, &toml);
    let some = add(&redis, &json!({"to": ["x@example.net", "a@example.org"], "subject": "s", "text": "t"}));
    let result = ended(&redis, &some, "completed")["returnvalue"].clone();
    assert_eq!((&result["accepted"], &result["rejected"]), (&json!(["a@example.org"]), &json!(["x@example.net"])));
    assert_eq!(server.mails(1)[0]["recipients"], json!(["a@example.org"]));
    let all = add(&redis, &json!({"to": "x@example.net", "text": "t"}));
    let job = ended(&redis, &all, "failed");
    assert_eq!(
        (&job["attemptsMade"], &job["failedReason"]),
        (&json!(1), &json!(format!("the mail was refused: x@example.net: {no}")))
    );
    let wrong = add(&redis, &json!({"to": "x@example.net\r\nDATA", "text": "t"}));
    let reason = ended(&redis, &wrong, "failed")["failedReason"].clone();
    assert!(reason.as_str().unwrap().starts_with("to holds the control character '\\r'"), "{reason}");
    assert_eq!(server.mails(1).len(), 1);
}

#[test]
fn f107_a_mail_that_must_not_be_doubled_is_not_sent_again_by_whoever_finds_its_job() {
    let redis = Redis::start();
    let mut server = Server::start(&redis, &[], &json!({"data": ["hang"]}));
    let toml = format!(
        "[daemon]\nstate_dir = \"state\"\n{QUEUE}url = \"smtp://127.0.0.1:{}\"\ntls = \"off\"\non_ambiguous = \"fail\"\n",
        server.port
    );
    let mut daemon = Daemon::start(&redis, &toml);
    let id = add(&redis, &json!({"to": "a@example.org", "subject": "s", "text": "t"}));
    server.mails(1);
    // the server has the mail, and nobody is left to hear that
    daemon.kill();
    daemon.again();
    let reason = ended(&redis, &id, "failed")["failedReason"].clone();
    assert!(reason.as_str().unwrap().starts_with("an attempt before this one may have sent the mail"), "{reason}");
    assert_eq!(server.mails(1).len(), 1);
    // to send it again is somebody's decision
    oxherd(&redis, &["job", "retry", "email", &id]);
    ended(&redis, &id, "completed");
    let mails = server.mails(2);
    assert_eq!(mails[0]["headers"]["message-id"], mails[1]["headers"]["message-id"]);
}

#[test]
fn f109_only_the_server_we_trust_gets_mail_and_password() {
    let (redis, authority, stranger) = (Redis::start(), Authority::new(), Authority::new());
    let words = authority.words();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.extend(["--tls", "implicit", "--login", "app:hunter2"]);
    let mut server = Server::start(&redis, &words, &json!({}));
    let plain = Server::start(&redis, &[], &json!({}));
    let one = |queue: &str, scheme: &str, port: u64, password: &str, ca: &Authority| {
        format!(
            "[queues.{queue}]\nhandler = \"{queue}\"\nattempts = 1\n[handlers.{queue}.smtp]\nfrom = \"app@example.org\"\n\
             url = \"{scheme}://app:{password}@127.0.0.1:{port}\"\nca = {:?}\n",
            ca.file("ca.pem")
        )
    };
    let toml = [
        one("stranger", "smtps", server.port, "hunter2", &stranger),
        one("wrong", "smtps", server.port, "hunter3", &authority),
        one("stripped", "smtp", plain.port, "hunter2", &authority),
        one("right", "smtps", server.port, "hunter2", &authority),
    ]
    .concat();
    let _daemon = Daemon::start(&redis, &toml);
    let data = json!({"to": "a@example.org", "text": "t"}).to_string();
    for (queue, why) in [
        ("stranger", "invalid peer certificate"),
        ("wrong", "no login at 127.0.0.1"),
        ("stripped", "does not offer STARTTLS, and nothing is sent without TLS"),
    ] {
        oxherd(&redis, &["job", "add", queue, "mail", &data]);
        eventually(&format!("the job of {queue} fails"), || {
            redis.number(&["ZCARD", &format!("bull:{queue}:failed")]) == 1
        });
        let reason = redis.call(&["HGET", &format!("bull:{queue}:1"), "failedReason"]);
        assert!(reason.contains(why) && !reason.contains("hunter"), "{reason}");
    }
    oxherd(&redis, &["job", "add", "right", "mail", &data]);
    let mails = server.mails(1);
    assert_eq!((mails.len(), &mails[0]["login"], &mails[0]["tls"]), (1, &json!("app"), &json!(true)));
    assert!(plain.program.stop().iter().all(|line| line["event"] != "mail"));
}

#[test]
fn templates_are_read_again_with_the_configuration() {
    let redis = Redis::start();
    let mut server = Server::start(&redis, &[], &json!({}));
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("note.txt"), text).unwrap();
    write("old {{ what }}");
    let templates = folder.path().display().to_string();
    let toml = format!("{QUEUE}url = \"smtp://127.0.0.1:{}\"\ntls = \"off\"\ntemplates = {templates:?}\n", server.port);
    let daemon = Daemon::start(&redis, &toml);
    let data = json!({"to": "a@example.org", "subject": "s", "template": "note", "context": {"what": "text"}});
    let said = |mails: &[Value]| mails.last().unwrap()["parts"][0]["content"].as_str().unwrap().trim().to_owned();
    add(&redis, &data);
    assert_eq!(said(&server.mails(1)), "old text");
    write("new {{ what }}");
    daemon.signal(Signal::SIGHUP);
    daemon.says("configuration reloaded");
    add(&redis, &data);
    assert_eq!(said(&server.mails(2)), "new text");
    write("broken {{ what");
    daemon.signal(Signal::SIGHUP);
    daemon.says("configuration refused; nothing changed");
    add(&redis, &data);
    assert_eq!(said(&server.mails(3)), "new text");
    let missing = add(&redis, &json!({"to": "a@example.org", "template": "note"}));
    let reason = ended(&redis, &missing, "failed")["failedReason"].clone();
    assert_eq!(
        reason,
        "template note.txt, line 1: undefined value: `what` is undefined; the job's context must have it"
    );
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
