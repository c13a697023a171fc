//! The handler against scripted servers on real sockets. What TLS, login and a server that knows mail make of it, tests
//! of whole programs show.

use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
#[cfg(feature = "http")]
use crate::config::PemFile;
use crate::config::{MailTls, RateLimit};
use crate::handler::Standing;
use crate::handler::testing::job;
use crate::job::JobId;

/// What the server does about a line.
enum Step {
    Say(&'static str),
    /// Says it after a while.
    Late(&'static str),
    SayAndClose(&'static str),
    Close,
    /// Says nothing more for as long as the other side is there.
    Hang,
}

use Step::{Close, Hang, Late, Say, SayAndClose};

/// Everything the other side sent, connection by connection.
type Heard = Arc<Mutex<Vec<String>>>;

struct Peer {
    address: SocketAddr,
    heard: Heard,
}

impl Peer {
    /// A server that asks its script about each line, given the number of the connection, from 0. The end of a mail's
    /// content is the line `.`, the beginning of a connection the empty one. `None`: what a kind server says.
    async fn start(script: impl Fn(usize, &str) -> Option<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Heard::default();
        let (script, all) = (Arc::new(script), Arc::clone(&heard));
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                all.lock().unwrap().push(String::new());
                let (script, all) = (Arc::clone(&script), Arc::clone(&all));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let _ = converse(&mut stream, connection, &*script, &all).await;
                });
            }
        });
        Self { address, heard }
    }

    fn config(&self) -> SmtpHandler {
        let url = format!("smtp://{}", self.address);
        SmtpHandler { tls: MailTls::Off, hello: Some("t".into()), ..SmtpHandler::new(&url, "app@example.org").unwrap() }
    }

    fn handler(&self) -> Smtp {
        Smtp::new(self.config()).unwrap()
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// How often a line that begins like this was said, over all connections.
    fn count(&self, start: &str) -> usize {
        self.heard().iter().flat_map(|all| all.lines()).filter(|line| line.starts_with(start)).count()
    }
}

async fn converse(
    stream: &mut BufReader<TcpStream>,
    connection: usize,
    script: &(impl Fn(usize, &str) -> Option<Step> + ?Sized),
    heard: &Heard,
) -> std::io::Result<()> {
    let mut line = String::new();
    loop {
        let word = line.trim_end().to_owned();
        let kind = match word.split([' ', ':']).next().unwrap() {
            "" => "220 kind\r\n",
            "EHLO" => "250-kind\r\n250 8BITMIME\r\n",
            "DATA" => "354 go on\r\n",
            _ => "250 2.0.0 ok\r\n",
        };
        let said = match script(connection, &word).unwrap_or(Say(kind)) {
            Say(text) => text,
            Late(text) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                text
            }
            SayAndClose(text) => {
                stream.write_all(text.as_bytes()).await?;
                return Ok(());
            }
            Close => return Ok(()),
            Hang => {
                stream.read_to_end(&mut Vec::new()).await?;
                return Ok(());
            }
        };
        stream.write_all(said.as_bytes()).await?;
        let is_content = word == "DATA" && said.starts_with("354");
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            heard.lock().unwrap()[connection].push_str(&line);
            if !is_content || line == ".\r\n" {
                break;
            }
        }
    }
}

fn mail() -> Value {
    json!({"to": ["a@example.org", "b@example.net"], "subject": "s", "text": "hello"})
}

/// One of three attempts; the context is the job's own.
fn attempt(data: &Value, change: impl FnOnce(&mut Job)) -> (Arc<Job>, JobContext) {
    let mut job = job(&data.to_string());
    job.opts.attempts = Some(3);
    change(&mut job);
    let job = Arc::new(job);
    (Arc::clone(&job), JobContext::detached(job, Duration::from_secs(60)))
}

async fn run_with(handler: &Smtp, data: &Value, change: impl FnOnce(&mut Job)) -> Outcome {
    let (job, ctx) = attempt(data, change);
    handler.run(job, ctx).await
}

async fn run(handler: &Smtp, data: &Value) -> Outcome {
    run_with(handler, data, |_| {}).await
}

fn completed(outcome: &Outcome) -> Value {
    let Outcome::Complete(value) = outcome else { panic!("expected complete, got {outcome:?}") };
    serde_json::from_str(value.get()).unwrap()
}

fn failed(outcome: Outcome) -> String {
    let Outcome::Fail(failure) = outcome else { panic!("expected fail, got {outcome:?}") };
    failure.message
}

fn retried(outcome: Outcome) -> (String, u64) {
    let Outcome::RetryLater { failure, least } = outcome else { panic!("expected retry, got {outcome:?}") };
    (failure.message, least.as_secs())
}

#[tokio::test]
async fn a_mail_goes_out_in_one_transaction() {
    let peer = Peer::start(|_, line| (line == ".").then_some(Say("250 2.0.0 queued as 1\r\n"))).await;
    let mut data = mail();
    data["bcc"] = json!("hidden@example.org");
    let result = completed(&run(&peer.handler(), &data).await);
    let id = result["messageId"].as_str().unwrap();
    assert!(id.starts_with("<msg_") && id.ends_with("@example.org>"), "{id}");
    assert_eq!(
        result,
        json!({"sent": true, "messageId": id, "accepted": ["a@example.org", "b@example.net", "hidden@example.org"], "rejected": [],
               "answers": {"a@example.org": "250 2.0.0 queued as 1", "b@example.net": "250 2.0.0 queued as 1",
                           "hidden@example.org": "250 2.0.0 queued as 1"}})
    );
    let heard = &peer.heard()[0];
    let (commands, content) = heard.split_once("DATA\r\n").unwrap();
    assert_eq!(
        commands,
        "EHLO t\r\nMAIL FROM:<app@example.org>\r\nRCPT TO:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n\
         RCPT TO:<hidden@example.org>\r\n"
    );
    assert!(content.contains(&format!("Message-ID: {id}\r\n")) && !content.contains("hidden"), "{content}");
    assert!(content.ends_with("\r\n\r\nhello\r\n.\r\n"), "{content}");
}

#[tokio::test]
async fn f105_a_temporary_refusal_waits_for_the_greylist_minimum() {
    for (script, why) in [
        (("MAIL", "451 4.7.1 come back\r\n"), "a@example.org: 451 4.7.1 come back; b@example.net: 451 4.7.1 come back"),
        (("RCPT TO:<b", "450 4.2.0 greylisted\r\n"), "b@example.net: 450 4.2.0 greylisted"),
        (("DATA", "451 4.3.0 busy\r\n"), "a@example.org: 451 4.3.0 busy; b@example.net: 451 4.3.0 busy"),
        ((".", "452 4.3.1 full\r\n"), "a@example.org: 452 4.3.1 full; b@example.net: 452 4.3.1 full"),
        (("RCPT TO:<b", "421 4.3.2 shutting down\r\n"), "a@example.org: 421 4.3.2 shutting down; b@example.net: 421"),
    ] {
        let peer = Peer::start(move |_, line| line.starts_with(script.0).then_some(Say(script.1))).await;
        let (reason, least) = retried(run(&peer.handler(), &mail()).await);
        assert!(reason.starts_with(&format!("the mail was put off: {why}")), "{reason}");
        assert_eq!(least, 300, "{reason}");
    }
    let peer = Peer::start(|_, line| line.is_empty().then_some(Say("421 4.3.2 too many connections\r\n"))).await;
    let (reason, least) = retried(run(&peer.handler(), &mail()).await);
    assert!(reason.ends_with(": 421 4.3.2 too many connections") && least == 300, "{reason} {least}");
}

#[tokio::test]
async fn f105_who_has_the_mail_does_not_get_it_again() {
    let peer = Peer::start(|_, _| None).await;
    let mut data = mail();
    data["oxherd.mail"] = json!({"accepted": {"a@example.org": "250 before"}, "rejected": {}});
    let result = completed(&run(&peer.handler(), &data).await);
    assert_eq!(result["accepted"], json!(["a@example.org", "b@example.net"]));
    assert_eq!(result["answers"]["a@example.org"], "250 before");
    assert_eq!((peer.count("RCPT TO:<a"), peer.count("RCPT TO:<b")), (0, 1));
    assert!(peer.heard()[0].contains("To: a@example.org, b@example.net\r\n"), "the head is the same for all");
    // nobody is left
    data["oxherd.mail"] = json!({"accepted": {"a@example.org": "250 x"}, "rejected": {"b@example.net": "550 y"}});
    let result = completed(&run(&peer.handler(), &data).await);
    assert_eq!((result["rejected"].clone(), peer.count("MAIL")), (json!(["b@example.net"]), 1));
}

#[tokio::test]
async fn f105_at_the_last_attempt_some_may_be_enough() {
    let script = |_: usize, line: &str| line.starts_with("RCPT TO:<b").then_some(Say("450 not now\r\n"));
    let peer = Peer::start(script).await;
    let last = |job: &mut Job| job.attempts_made = 2;
    let result = completed(&run_with(&peer.handler(), &mail(), last).await);
    assert_eq!(result["rejected"], json!(["b@example.net"]));
    assert_eq!(result["answers"]["b@example.net"], "450 not now");
    let strict = SmtpHandler { on_partial: OnPartial::Fail, ..peer.config() };
    let why = failed(run_with(&Smtp::new(strict).unwrap(), &mail(), last).await);
    assert_eq!(why, "the mail was refused for some: b@example.net: 450 not now");
}

#[tokio::test]
async fn f106_a_refusal_is_final_for_its_recipient() {
    let script =
        |_: usize, line: &str| line.starts_with("RCPT TO:<b").then_some(Say("550-5.1.1 no\r\n550 5.1.1 such user\r\n"));
    let peer = Peer::start(script).await;
    let result = completed(&run(&peer.handler(), &mail()).await);
    assert_eq!(
        (result["accepted"].clone(), result["rejected"].clone()),
        (json!(["a@example.org"]), json!(["b@example.net"]))
    );
    assert_eq!(result["answers"]["b@example.net"], "550 5.1.1 no such user");
    let strict = SmtpHandler { on_partial: OnPartial::Fail, ..peer.config() };
    let why = failed(run(&Smtp::new(strict).unwrap(), &mail()).await);
    assert_eq!(why, "the mail was refused for some: b@example.net: 550 5.1.1 no such user");
    assert_eq!(peer.count("DATA"), 2, "the others get it either way");
}

#[tokio::test]
async fn f106_the_job_fails_when_all_refuse() {
    for (start, said) in [
        ("RCPT", "550 no\r\n"),
        ("MAIL", "553 no such sender\r\n"),
        (".", "554 looks like spam\r\n"),
        ("DATA", "503 no\r\n"),
    ] {
        let peer = Peer::start(move |_, line| line.starts_with(start).then_some(Say(said))).await;
        let handler = peer.handler();
        let why = failed(run(&handler, &mail()).await);
        assert!(why.starts_with(&format!("the mail was refused: a@example.org: {}", said.trim_end())), "{why}");
        // the connection is of use still
        failed(run(&handler, &mail()).await);
        assert_eq!(peer.heard().len(), 1, "{start}");
        // and the next mail begins anew where a part of this one was taken
        assert_eq!(peer.count("RSET"), if ["RCPT", "DATA"].contains(&start) { 2 } else { 0 }, "{start}");
    }
}

#[tokio::test]
async fn f107_a_connection_lost_after_the_last_line_is_told_from_one_lost_before() {
    let script = |connection: usize, line: &str| match (connection, line) {
        (0, ".") => Some(Close),
        (1, "DATA") => Some(SayAndClose("354 go on\r\n")),
        _ => None,
    };
    let peer = Peer::start(script).await;
    let handler = peer.handler();
    // larger than any buffer on the way
    let mut data = mail();
    data["attachments"] = json!([{"filename": "a", "text": "x".repeat(8_000_000)}]);
    let (reason, _) = retried(run(&handler, &data).await);
    assert!(
        reason.starts_with("the mail was sent and not answered, so it may have been accepted: a@example.org"),
        "{reason}"
    );
    let (reason, _) = retried(run(&handler, &data).await);
    assert!(reason.starts_with("the mail was put off: a@example.org: the connection was lost"), "{reason}");
    completed(&run(&handler, &data).await);
    let ids: Vec<String> = peer
        .heard()
        .iter()
        .filter_map(|all| all.lines().find(|line| line.starts_with("Message-ID: ")).map(str::to_owned))
        .collect();
    assert!(ids.len() >= 2 && ids.iter().all(|id| *id == ids[0]), "one for all attempts: {ids:?}");
}

#[tokio::test]
async fn f107_a_mail_that_must_not_be_doubled_is_not_sent_again() {
    let peer = Peer::start(|_, line| (line == ".").then_some(Close)).await;
    let config = SmtpHandler { on_ambiguous: OnAmbiguous::Fail, ..peer.config() };
    let handler = Smtp::new(config).unwrap();
    let why = failed(run(&handler, &mail()).await);
    assert!(
        why.starts_with("the mail was sent and not answered, so it may have been accepted: the connection was lost"),
        "{why}"
    );
    // an attempt that never came to say how it ended, as when its process was killed
    let mut data = mail();
    data["oxherd.mail"] = json!({"sending": true});
    let why = failed(run(&handler, &data).await);
    assert!(why.starts_with("an attempt before this one may have sent the mail"), "{why}");
    assert_eq!(peer.count("DATA"), 1);
}

#[tokio::test]
async fn f107_no_answer_to_the_mail_is_ambiguous_too() {
    let peer = Peer::start(|_, line| (line == ".").then_some(Hang)).await;
    let config = SmtpHandler { data_timeout: Duration::from_millis(50), ..peer.config() };
    let (reason, _) = retried(run(&Smtp::new(config).unwrap(), &mail()).await);
    assert!(reason.contains("may have been accepted") && reason.contains("no answer to the mail in time"), "{reason}");
}

#[tokio::test]
async fn f108_a_connection_the_server_has_closed_costs_no_attempt() {
    for text in ["250 ok\r\n", "250 ok\r\n421 4.4.2 idle for too long\r\n"] {
        let peer =
            Peer::start(move |connection, line| (connection == 0 && line == ".").then_some(SayAndClose(text))).await;
        let handler = peer.handler();
        completed(&run(&handler, &mail()).await);
        completed(&run(&handler, &mail()).await);
        completed(&run(&handler, &mail()).await);
        assert_eq!(peer.heard().len(), 2, "one connection was kept, then the other");
    }
}

#[tokio::test]
async fn f108_an_idle_connection_is_closed_by_us_in_time() {
    let peer = Peer::start(|_, _| None).await;
    let config = SmtpHandler { idle: Duration::from_millis(50), ..peer.config() };
    let handler = Smtp::new(config).unwrap();
    completed(&run(&handler, &mail()).await);
    while peer.count("QUIT") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    completed(&run(&handler, &mail()).await);
    assert_eq!(peer.heard().len(), 2);
}

fn with_login(peer: &Peer) -> SmtpHandler {
    let url = format!("smtp://me:secret@{}", peer.address);
    SmtpHandler { hello: Some("t".into()), ..SmtpHandler::new(&url, "app@example.org").unwrap() }
}

#[tokio::test]
async fn f109_without_starttls_neither_mail_nor_password_goes_out() {
    let offers = "250-kind\r\n250 AUTH PLAIN LOGIN\r\n";
    let peer = Peer::start(move |_, line| line.starts_with("EHLO").then_some(Say(offers))).await;
    let (reason, _) = retried(run(&Smtp::new(with_login(&peer)).unwrap(), &mail()).await);
    assert_eq!(reason, format!("{} does not offer STARTTLS, and nothing is sent without TLS", peer.address));
    assert_eq!(peer.heard(), ["EHLO t\r\n"]);
    let plain = SmtpHandler { tls: MailTls::Off, ..with_login(&peer) };
    assert!(
        matches!(Smtp::new(plain), Err(Refused::Mail(why)) if why.starts_with("a login is never sent without TLS"))
    );
}

/// A server with STARTTLS, and somebody in front of it who puts words behind the answer to that. What it hears by TLS.
#[cfg(feature = "http")]
fn injected(listener: &std::net::TcpListener, tls: rustls::ServerConfig, words: &str) -> std::io::Result<Vec<String>> {
    use std::io::{BufRead, BufReader, Write};
    let mut stream = BufReader::new(listener.accept()?.0);
    let mut line = String::new();
    for answer in ["220 kind\r\n", "250-kind\r\n250 STARTTLS\r\n"] {
        stream.get_mut().write_all(answer.as_bytes())?;
        stream.read_line(&mut line)?;
    }
    let mut stream = stream.into_inner();
    stream.write_all(format!("220 go on\r\n{words}").as_bytes())?;
    let connection = rustls::ServerConnection::new(Arc::new(tls)).unwrap();
    let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
    let mut heard = Vec::new();
    loop {
        line.clear();
        match stream.read_line(&mut line) {
            Ok(1..) => heard.push(line.clone()),
            _ => return Ok(heard),
        }
        stream.get_mut().write_all(b"250 ok\r\n")?;
    }
}

#[cfg(feature = "http")]
#[tokio::test]
async fn f109_what_somebody_puts_behind_the_answer_to_starttls_is_not_taken_for_the_servers() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let ca = PemFile { path: "ca.pem".into(), pem: key.cert.pem().into_bytes() };
    for (words, is_sent) in [("", true), ("250-evil\r\n250 AUTH PLAIN\r\n235 welcome\r\n", false)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], key.signing_key.serialize_der().try_into().unwrap())
            .unwrap();
        let server = tokio::task::spawn_blocking(move || injected(&listener, tls, words));
        let base = SmtpHandler::new(&url, "app@example.org").unwrap();
        let handler = Smtp::new(SmtpHandler { ca: Some(ca.clone()), hello: Some("t".into()), ..base }).unwrap();
        let (reason, _) = retried(run(&handler, &mail()).await);
        drop(handler);
        let heard = server.await.unwrap().unwrap();
        // the server takes no content, but by then it has been spoken to
        assert_eq!(heard.iter().any(|line| line.starts_with("MAIL")), is_sent, "{heard:?} {reason}");
        assert_eq!(heard.is_empty(), !is_sent, "{heard:?}");
        assert_eq!(reason.starts_with("no TLS with 127.0.0.1"), !is_sent, "{reason}");
    }
}

#[tokio::test]
async fn f110_dots_are_doubled_and_no_body_ends_the_mail() {
    let peer = Peer::start(|_, _| None).await;
    let body = "one\n.\nQUIT\r\n.\r\nMAIL FROM:<evil@example.org>\r\n..two\r.\rthree\n\n.";
    let data = json!({"to": "a@example.org", "subject": ".", "text": body});
    completed(&run(&peer.handler(), &data).await);
    let heard = peer.heard().concat();
    let content = heard.split_once("DATA\r\n").unwrap().1.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        content,
        "one\r\n..\r\nQUIT\r\n..\r\nMAIL FROM:<evil@example.org>\r\n...two\r\n..\r\nthree\r\n\r\n..\r\n.\r\n"
    );
    assert_eq!(heard.matches("\r\n.\r\n").count(), 1);
}

#[tokio::test]
async fn f110_a_wrong_field_costs_no_connection() {
    let peer = Peer::start(|_, _| None).await;
    let why = failed(run(&peer.handler(), &json!({"to": "a@example.org\r\nDATA", "text": "t"})).await);
    assert_eq!(why, "to holds the control character '\\r', which no header or address may; remove it");
    assert!(peer.heard().is_empty());
}

#[tokio::test]
async fn addresses_beyond_ascii_go_to_servers_that_take_them() {
    let peer =
        Peer::start(|_, line| line.starts_with("EHLO").then_some(Say("250-kind\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")))
            .await;
    let data = json!({"to": "jürgen@bücher.example", "text": "t"});
    completed(&run(&peer.handler(), &data).await);
    let heard = peer.heard().concat();
    assert!(
        heard.contains(
            "MAIL FROM:<app@example.org> SMTPUTF8 BODY=8BITMIME\r\nRCPT TO:<jürgen@xn--bcher-kva.example>\r\n"
        ),
        "{heard}"
    );
    let peer = Peer::start(|_, _| None).await;
    let why = failed(run(&peer.handler(), &data).await);
    assert!(why.ends_with("the server does not take addresses beyond ASCII (SMTPUTF8)"), "{why}");
    assert_eq!(peer.count("MAIL"), 0);
}

#[tokio::test]
async fn a_server_that_cannot_be_used_shuts_the_gate() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let base = SmtpHandler::new(&format!("smtp://{address}"), "app@example.org").unwrap();
    let breaker = Breaker { failures: 2, ..Breaker::default() };
    let handler = Smtp::new(SmtpHandler { tls: MailTls::Off, breaker: Some(breaker), ..base }).unwrap();
    let (reason, least) = retried(run(&handler, &mail()).await);
    assert!(reason.starts_with(&format!("cannot connect to {address}: ")), "{reason}");
    assert_eq!((least, handler.gate().unwrap().standing()), (0, Standing::Open));
    retried(run(&handler, &mail()).await);
    let standing = handler.gate().unwrap().standing();
    assert!(
        matches!(&standing, Standing::Shut { why, .. } if why.starts_with("2 failures in a row, the last: cannot connect")),
        "{standing:?}"
    );

    let peer = Peer::start(|connection, line| {
        (connection == 0 && line.starts_with("MAIL")).then_some(Say("530 5.7.0 login first\r\n"))
    })
    .await;
    let breaker = Breaker { failures: 1, ..breaker };
    let handler = Smtp::new(SmtpHandler { breaker: Some(breaker), idle: Duration::ZERO, ..peer.config() }).unwrap();
    let (reason, _) = retried(run(&handler, &mail()).await);
    assert_eq!(reason, "no mail is taken: 530 5.7.0 login first");
    assert_ne!(handler.gate().unwrap().standing(), Standing::Open);
    completed(&run(&handler, &mail()).await);
    assert_eq!(handler.gate().unwrap().standing(), Standing::Open);
}

#[tokio::test]
async fn a_server_that_hangs_up_at_the_first_word_shuts_the_gate() {
    let peer = Peer::start(|_, line| line.starts_with("MAIL").then_some(Close)).await;
    let breaker = Some(Breaker { failures: 1, ..Breaker::default() });
    let handler = Smtp::new(SmtpHandler { breaker, ..peer.config() }).unwrap();
    let (reason, _) = retried(run(&handler, &mail()).await);
    assert!(reason.starts_with("no mail is taken: the connection was lost"), "{reason}");
    assert_eq!(peer.heard().len(), 1);
    assert_ne!(handler.gate().unwrap().standing(), Standing::Open);
}

#[tokio::test]
async fn a_slow_server_is_not_waited_for() {
    for line in ["", "EHLO t", "MAIL FROM:<app@example.org>", "DATA"] {
        let peer = Peer::start(move |_, heard| (heard == line).then_some(Hang)).await;
        let short = Duration::from_millis(50);
        let handler = Smtp::new(SmtpHandler { connect_timeout: short, timeout: short, ..peer.config() }).unwrap();
        let (reason, _) = retried(run(&handler, &mail()).await);
        assert!(
            reason.contains("no answer in time") || reason.contains("is not ready for mails within 50ms"),
            "{reason}"
        );
    }
}

/// Runs a job and tells it to stop as soon as this line was heard.
async fn stop_at(peer: &Peer, handler: &Smtp, line: &str) -> Outcome {
    let (job, ctx) = attempt(&mail(), |_| {});
    let mut running = handler.run(job, ctx.clone());
    while peer.count(line) == 0 {
        tokio::select! {
            ended = &mut running => panic!("ended before {line}: {ended:?}"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    ctx.cancel(CancelReason::Shutdown);
    running.await
}

#[tokio::test]
async fn stopped_before_the_last_line_nothing_is_sent() {
    let peer = Peer::start(|_, line| (line == "DATA").then_some(Hang)).await;
    assert!(matches!(stop_at(&peer, &peer.handler(), "DATA").await, Outcome::Interrupted));
    assert!(!peer.heard().concat().contains("hello"));
}

#[tokio::test]
async fn f107_stopped_after_the_last_line_the_answer_is_still_heard() {
    let peer = Peer::start(|_, line| (line == ".").then_some(Late("250 2.0.0 ok\r\n"))).await;
    completed(&stop_at(&peer, &peer.handler(), ".").await);
    let deaf = || Peer::start(|_, line| (line == ".").then_some(Hang));
    let (one, other) = (deaf().await, deaf().await);
    let strict = Smtp::new(SmtpHandler { on_ambiguous: OnAmbiguous::Fail, ..other.config() }).unwrap();
    let handler = one.handler();
    let (one, other) = tokio::join!(stop_at(&one, &handler, "."), stop_at(&other, &strict, "."));
    assert!(matches!(one, Outcome::Interrupted));
    assert!(failed(other).ends_with("stopped (the worker stops) before the answer"));
}

#[tokio::test]
async fn a_domain_that_has_had_its_share_puts_mails_off() {
    let peer = Peer::start(|_, _| None).await;
    let rate = Some(RateLimit { max: 1, per: Duration::from_secs(60) });
    let handler = Smtp::new(SmtpHandler { rate, ..peer.config() }).unwrap();
    completed(&run(&handler, &mail()).await);
    let outcome = run(&handler, &mail()).await;
    let Outcome::Defer { after, .. } = outcome else { panic!("{outcome:?}") };
    assert!(after > Duration::from_secs(55), "{after:?}");
    let other = json!({"to": "a@example.com", "text": "t"});
    completed(&run_with(&handler, &other, |job| job.id = JobId::stored("1043")).await);
    assert_eq!(peer.count("DATA"), 2);
}
