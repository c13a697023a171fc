//! Every row of the table of answers in `docs/handlers/http.md`, code by code, over real exchanges. The page is the
//! expectation: where it and the handler disagree, one of them is wrong.

use super::*;
use crate::handler::testing::rows;

/// What an answer is, where it has a status.
struct Case {
    code: u16,
    retry_after: Option<String>,
    /// The value says when to come back.
    usable: bool,
}

/// The outcome the page gives for a status, by the first row that is about it.
fn promised<'a>(rows: &[Vec<&'a str>], case: &Case) -> &'a str {
    let is_about = |row: &Vec<&str>| {
        // "423, 429, 503 with a usable `Retry-After`", "…, 3xx, and 423, 429, 503 otherwise", "any other 4xx"
        let (always, sometimes) = row[0].split_once(", and ").unwrap_or((row[0], ""));
        let (listed, condition) = always.split_once(" with ").unwrap_or((always, ""));
        let lists = |text: &str| {
            text.split([',', ' ']).any(|word| match word.strip_suffix("xx") {
                Some(class) => class == (case.code / 100).to_string(),
                None => word == case.code.to_string(),
            })
        };
        lists(listed) && (condition.is_empty() || case.usable) || lists(sometimes) && !case.usable
    };
    rows.iter().find(|row| is_about(row)).unwrap_or_else(|| panic!("no row is about {}", case.code))[1]
}

/// The first words of a table's cell that are an outcome.
fn word(outcome: &Outcome) -> &'static str {
    outcome.as_str()
}

fn answers() -> Vec<Case> {
    let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    let mut cases: Vec<Case> = (200..600).map(|code| Case { code, retry_after: None, usable: false }).collect();
    for code in [202, 302, 400, 408, 423, 429, 500, 502, 503] {
        for (value, usable) in [
            ("7", true),
            (in_an_hour.as_str(), true),
            ("0", false),
            ("-1", false),
            ("soon", false),
            ("1.5", false),
            ("", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", false),
        ] {
            cases.push(Case { code, retry_after: Some(value.to_owned()), usable });
        }
    }
    cases
}

#[tokio::test]
async fn f102_every_status_of_the_table() {
    let rows = rows(include_str!("../../../../docs/handlers/http.md"), "answer");
    let cases = answers();
    let texts: Vec<String> = cases
        .iter()
        .map(|case| {
            let header = case.retry_after.as_ref().map(|value| format!("retry-after: {value}\r\n"));
            answer(&format!("{} Status", case.code), &header.unwrap_or_default(), "")
        })
        .collect();
    let peer = Peer::start(move |n| Step::Say(texts[n].clone())).await;
    let handler = peer.handler();
    for case in &cases {
        let outcome = run(&handler).await;
        let what = format!("{} {:?}: {outcome:?}", case.code, case.retry_after);
        assert_eq!(word(&outcome), promised(&rows, case), "{what}");
        match (&outcome, case.retry_after.as_deref()) {
            (Outcome::Defer { after, .. }, Some("7")) => assert_eq!(after.as_secs(), 7, "{what}"),
            // `max_defer` of the handler is the bound
            (Outcome::Defer { after, .. }, _) => assert!((3590..=3600).contains(&after.as_secs()), "{what}"),
            (Outcome::Retry { after, .. }, _) => assert_eq!(*after, None, "{what}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn every_way_to_have_no_answer_of_the_table() {
    let rows = rows(include_str!("../../../../docs/handlers/http.md"), "answer");
    let row = rows.last().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let reset = Peer::start(|_| Step::Reset).await;
    let half = Peer::start(|_| Step::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into())).await;
    let plain = Peer::start(|_| Step::SayAndClose("no TLS here".into())).await;
    let ways = [
        ("no connection", format!("http://{nobody}/jobs")),
        ("no such host", "http://nowhere.invalid/jobs".into()),
        ("TLS refused", format!("https://{}/jobs", plain.address)),
        ("connection lost before", format!("http://{}/jobs", reset.address)),
        ("in the answer", format!("http://{}/jobs", half.address)),
    ];
    let named: Vec<&str> = row[0].split(", ").flat_map(|way| way.split(" or ")).collect();
    assert_eq!(named, ways.iter().map(|(way, _)| *way).collect::<Vec<_>>());
    for (way, url) in ways {
        let outcome = run(&Http::new(HttpHandler::new(url)).unwrap()).await;
        assert_eq!(word(&outcome), row[1], "{way}: {outcome:?}");
    }
}

/// The endpoint's own word beats its status, and the operator's beats the table.
#[tokio::test]
async fn what_is_stronger_than_the_table() {
    for (code, named, configured, want) in [
        (500, Some("complete"), None, "complete"),
        (200, Some("retry"), None, "retry"),
        (200, Some("defer"), None, "defer"),
        (200, Some("fail"), None, "fail"),
        (503, Some("discard"), None, "discard"),
        (200, Some("waiting-children"), None, "waiting-children"),
        (200, Some("nonsense"), None, "complete"),
        (404, None, Some(config::Answer::Complete), "complete"),
        (200, None, Some(config::Answer::Fail), "fail"),
        (404, Some("retry"), Some(config::Answer::Fail), "retry"),
    ] {
        let header = named.map(|named| format!("oxherd-outcome: {named}\r\n")).unwrap_or_default();
        let peer = Peer::saying(&answer(&format!("{code} Status"), &header, "")).await;
        let mut config = peer.config();
        config.status.extend(configured.map(|answer| (code, answer)));
        let outcome = run(&Http::new(config).unwrap()).await;
        assert_eq!(word(&outcome), want, "{code} {named:?} {configured:?}");
    }
}
