//! `[handlers.NAME.http]`, read.

use super::*;
use crate::config::{Breaker, Gone};

fn problem(lines: &str) -> String {
    Files::one(&format!("{SMALL}{lines}\n")).one_problem()
}

fn http(files: &Files) -> crate::config::HttpHandler {
    match files.load().handlers.remove("app") {
        Some(Handler::Http(http)) => http,
        other => panic!("{other:?}"),
    }
}

#[test]
fn signing_secrets_are_one_or_a_list() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PLAIN: &str = "twenty-four bytes or more";
    for (written, want) in [
        (format!("{SECRET:?}"), vec![SECRET]),
        ("{ env = \"S\" }".into(), vec![PLAIN]),
        ("[]".into(), vec![]),
        (format!("[{{ env = \"S\" }}, {SECRET:?}]"), vec![PLAIN, SECRET]),
        (format!("[\n\"${{S}}\",\n{SECRET:?},\n]"), vec![PLAIN, SECRET]),
    ] {
        let files = Files::one(&format!("{SMALL}signing_secrets = {written}\n")).env("S", PLAIN);
        let read = http(&files);
        assert_eq!(read.signing_secrets.iter().map(crate::config::Secret::reveal).collect::<Vec<_>>(), want);
        let shown = crate::config::show_json(&files.load())["handlers"]["app"]["http"]["signing_secrets"].clone();
        assert_eq!(shown, serde_json::json!(vec!["***"; want.len()]));
        assert!(!format!("{read:?}").contains(PLAIN));
    }
}

#[test]
fn f129_signing_secrets_that_protect_nothing_are_refused_and_never_shown() {
    for (written, want) in [
        ("7", "signing_secrets must be a text or a table that says where it is kept"),
        ("[\"\"]", "signing_secrets must not be empty"),
        ("\"hunter2\"", "a signing secret cannot be used: it has 7 bytes, expected 24 to 64"),
        ("[\"whsec_hunter2 is base64?\"]", "a signing secret cannot be used: what follows whsec_ is not base64"),
        ("[{ env = \"S\" }]", "a signing secret cannot be used: it has 7 bytes, expected 24 to 64"),
        ("[\n  \"hunter2 and 24 bytes long\", { env = \"NONE\" },\n]", "environment variable NONE is not set"),
        ("[\n  \"hunter2\",\n]", "a signing secret cannot be used"),
        ("[{ environment = \"S\" }]", "unknown key \"environment\" in [handlers.app.http.signing_secrets[0]]"),
    ] {
        let problem = Files::one(&format!("{SMALL}signing_secrets = {written}\n")).env("S", "hunter2").one_problem();
        assert!(problem.contains(want) && problem.contains("--> oxherd.toml:"), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    assert!(problem("signing_secret = \"x\"").contains("did you mean \"signing_secrets\"?"));
}

#[test]
fn a_socket_stands_beside_the_url() {
    let files = Files::one(&format!("{SMALL}socket = \"run/app.sock\"\n"));
    assert_eq!(http(&files).socket, Some(files.path("run/app.sock")));
    let long = problem(&format!("socket = \"/{}\"", "x".repeat(107)));
    assert!(long.contains("the path of a socket has at most 107 bytes"), "{long}");
    for url in ["http+unix://%2Frun%2Fapp.sock/jobs", "unix:///run/app.sock"] {
        let text = SMALL.replace("http://localhost:3000/jobs", url);
        assert!(Files::one(&text).one_problem().contains("write socket = \"/run/app.sock\" beside"), "{url}");
    }
}

#[test]
fn a_breaker_is_a_table_or_off() {
    let read = |lines: &str| http(&Files::one(&format!("{SMALL}{lines}\n"))).breaker;
    let of = |failures, cool_down, max| {
        Some(Breaker { failures, cool_down: Duration::from_secs(cool_down), max: Duration::from_secs(max) })
    };
    for (written, want) in [
        ("", of(5, 10, 300)),
        ("breaker = false", None),
        ("breaker = { failures = 1 }", of(1, 10, 300)),
        ("breaker = { cool_down = \"1s\", max = \"1m\" }", of(5, 1, 60)),
        ("breaker = { cool_down = \"1h\" }", of(5, 3600, 3600)),
    ] {
        assert_eq!(read(written), want, "{written}");
        let files = Files::one(&format!("{SMALL}{written}\n"));
        let shown = crate::config::show_json(&files.load())["handlers"]["app"]["http"]["breaker"].clone();
        assert_eq!(shown.is_object(), want.is_some(), "{shown}");
    }
    for (written, want) in [
        ("breaker = 5", "breaker must be a table or false, got 5"),
        ("breaker = true", "breaker must be a table or false, got true"),
        ("breaker = { failures = 0 }", "failures must be at least 1, got 0"),
        ("breaker = { cool_down = \"10s\", max = \"5s\" }", "max is shorter than cool_down, 10s"),
        ("breaker = { failure = 5 }", "did you mean \"failures\"?"),
        ("gone = \"pause\"", "gone must be \"fail\" or \"stop\", got \"pause\""),
    ] {
        let problem = problem(written);
        assert!(problem.contains(want) && problem.contains("--> oxherd.toml:"), "{problem}");
    }
    assert_eq!(http(&Files::one(&format!("{SMALL}gone = \"stop\"\n"))).gone, Gone::Stop);
}

#[test]
fn the_host_is_the_jobs_only_with_a_list() {
    let with =
        |url: &str, rest: &str| Files::one(&format!("{}{rest}\n", SMALL.replace("http://localhost:3000/jobs", url)));
    let files = with("https://{data.tenant}.example.org:8443/x", "allow = [\"*.example.org\", \"10.0.0.0/8\"]");
    let allow: Vec<String> = http(&files).allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["*.example.org", "10.0.0.0/8"]);
    assert_eq!(http(&with("http://{data.host}", "allow = \"*\"")).allow.len(), 1);
    for (url, rest, want) in [
        ("http://{data.host}/", "", "list in allow what the host may become"),
        ("http://{data.host}/", "allow = []", "list in allow what the host may become"),
        ("http://{data.host}/", "allow = [\"http://x\"]", "\"http://x\" is no host"),
        ("http://{data.host}/", "allow = [7]", "must be a text, got 7"),
        ("http://{data.user}@api/", "allow = [\"api\"]", "may not fill scheme, credentials or port"),
        ("http://api:{data.port}/", "allow = [\"api\"]", "may not fill scheme, credentials or port"),
        ("http://{data.host}:99999/", "allow = [\"api\"]", "is not a number from 1 to 65535"),
        ("http://{data.host}/", "allow = [\"api\"]\nsocket = \"/s\"", "remove one of the two"),
    ] {
        let problem = with(url, rest).one_problem();
        assert!(problem.contains(want), "{problem}");
    }
    let (_, warnings) = with("http://api/{data.host}", "allow = [\"api\"]").try_load().unwrap();
    assert_eq!(warnings[0].message, "allow says nothing: no placeholder fills the host of url");
}

#[test]
fn f94_each_wait_has_a_limit() {
    let read = |lines: &str| {
        let read = http(&Files::one(&format!("{SMALL}{lines}\n")));
        (read.response_timeout, read.min_rate)
    };
    assert_eq!(read(""), (None, Some(16)));
    assert_eq!(read("response_timeout = \"30s\"\nmin_rate = \"1KiB\""), (Some(Duration::from_secs(30)), Some(1024)));
    assert_eq!(read("response_timeout = false\nmin_rate = false"), (None, None));
    for (written, want) in [
        ("response_timeout = \"0s\"", "response_timeout must be at least 1ms"),
        ("response_timeout = 30", "say the unit"),
        ("min_rate = 100", "say the unit: \"100B\""),
        ("min_rate = \"0B\"", "min_rate must be at least 1B, got \"0B\""),
        ("min_rate = true", "min_rate must be a size, got true"),
    ] {
        let problem = problem(written);
        assert!(problem.contains(want), "{problem}");
    }
}

#[test]
fn authorities_are_read_with_the_file() {
    let pem = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem();
    let tls = SMALL.replace("http://", "https://");
    let files = |text: &str| Files::new(&[("oxherd.toml", text), ("ca.pem", &pem), ("key.pem", "-----BEGIN KEY-----")]);
    let loaded = files(&format!("{tls}ca = \"ca.pem\"\nhttp2 = true\n"));
    let read = http(&loaded);
    assert_eq!(read.ca.unwrap(), crate::config::PemFile { path: loaded.path("ca.pem"), pem: pem.clone().into_bytes() });
    assert!(read.http2);
    for (name, want) in [("none.pem", "No such file"), ("key.pem", "no certificate in it")] {
        let problem = files(&format!("{tls}ca = \"{name}\"\n")).one_problem();
        assert!(problem.contains("cannot use ") && problem.contains(want), "{problem}");
    }
    let (_, warnings) = files(&format!("{SMALL}ca = \"ca.pem\"\n")).try_load().unwrap();
    assert_eq!(warnings[0].message, "ca says nothing: url is http, without TLS");
}

#[test]
fn a_batch_is_a_table_or_off() {
    let read = |lines: &str| {
        let (mut config, warnings) = Files::one(&format!("{SMALL}{lines}\n")).try_load().unwrap();
        let Some(Handler::Http(http)) = config.handlers.remove("app") else { panic!() };
        let warnings: Vec<String> = warnings.iter().map(|warning| warning.message.clone()).collect();
        (http.batch.map(|batch| (batch.max, batch.wait.as_millis(), batch.max_body)), warnings)
    };
    assert_eq!(read(""), (None, vec![]));
    assert_eq!(read("batch = false"), (None, vec![]));
    assert_eq!(read("batch = { max = 4, wait = \"0ms\", max_body = \"64KiB\" }"), (Some((4, 0, 65536)), vec![]));
    let never = "batches of 50 never fill: 5 jobs of a queue run at a time";
    assert_eq!(read("batch = {}"), (Some((50, 20, 1024 * 1024)), vec![never.to_owned()]));
    for (written, want) in [
        ("batch = 5", "batch must be a table or false, got 5"),
        ("batch = { max = 0 }", "max must be at least 1, got 0"),
        ("batch = { wait = \"2m\" }", "wait must be at most 1m"),
        ("batch = { size = 5 }", "unknown key \"size\""),
        ("batch = { max = 2 }\ncallback = true\n[callbacks]\nlisten = \"127.0.0.1:1\"", "remove one of the two"),
    ] {
        let wide = SMALL.replace("handler = ", "concurrency = 50\nhandler = ");
        let problem = Files::one(&format!("{wide}{written}\n")).one_problem();
        assert!(problem.contains(want) && problem.contains("--> oxherd.toml:"), "{problem}");
    }
}
