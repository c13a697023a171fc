//! What an answer means: from status and headers to an outcome.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

use crate::config::Answer;
use crate::config::HttpHandler;
use crate::handler::wire;
use crate::job::{Failure, Outcome};

/// The header by which an endpoint states the outcome itself.
const OUTCOME: &str = "oxherd-outcome";
/// Characters of a body that go into a reason.
const REASON: usize = 300;

/// Status and headers, read and weighed; the body is still to come.
pub(super) struct Reply {
    pub(super) answer: Answer,
    status: StatusCode,
    /// Already bounded.
    retry_after: Option<Duration>,
    /// The endpoint named the outcome in a header.
    named: bool,
}

impl Reply {
    /// The endpoint's own word first, then the operator's table, then ours.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, config: &HttpHandler, now: SystemTime) -> Self {
        let retry_after =
            headers.get(RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, now)).map(|w| w.min(config.max_defer));
        let named = headers.get(OUTCOME).and_then(|value| Answer::parse(value.to_str().ok()?.trim()));
        let answer = named
            .or_else(|| config.status.get(&status.as_u16()).copied())
            .unwrap_or_else(|| usual(status.as_u16(), retry_after.is_some()));
        Self { answer, status, retry_after, named: named.is_some() }
    }

    /// The endpoint has taken the job and is not done with it; one that can call back may say so.
    pub(super) fn is_accepted(&self) -> bool {
        self.answer == Answer::Complete && self.status == StatusCode::ACCEPTED && !self.named
    }

    /// The outcome, given as much of the body as was kept; `None` is a body beyond the bound.
    pub(super) fn outcome(&self, body: Option<Vec<u8>>) -> Outcome {
        match self.answer {
            Answer::Complete if matches!(self.status.as_u16(), 204 | 205) => Outcome::done(),
            Answer::Complete => body.map_or_else(Outcome::done, |body| Outcome::Complete(wire::value(body))),
            Answer::Retry => Outcome::Retry {
                failure: Failure::new(self.reason(body)),
                // a wait the endpoint asks for counts where it also asks for the retry
                after: if self.named { self.retry_after } else { None },
            },
            Answer::Defer => {
                Outcome::Defer { reason: self.reason(body), after: self.retry_after.unwrap_or(wire::DEFER) }
            }
            Answer::Fail => Outcome::fail(self.reason(body)),
            Answer::Discard => Outcome::Discard { reason: self.reason(body) },
            Answer::WaitingChildren => Outcome::WaitForChildren,
        }
    }

    /// Whether it says more about the endpoint than about this job: it is not there, or does not know us. Not where the
    /// operator or the endpoint gives the status another meaning.
    pub(super) fn tells_of_an_outage(&self) -> bool {
        self.answer == Answer::Retry && !self.named && matches!(self.status.as_u16(), 401 | 403 | 404 | 407 | 502 | 504)
    }

    /// How long nobody is to call, where the endpoint asks for that.
    pub(super) fn holds_all(&self) -> Option<Duration> {
        let asks = self.answer == Answer::Defer && !self.named && matches!(self.status.as_u16(), 429 | 503);
        self.retry_after.filter(|_| asks)
    }

    /// Whether the endpoint is said to be gone for good.
    pub(super) fn is_gone(&self) -> bool {
        self.status == StatusCode::GONE && self.answer == Answer::Fail && !self.named
    }

    /// The status in words.
    pub(super) fn status_line(&self) -> String {
        match self.status.canonical_reason() {
            Some(name) => format!("HTTP {} {name}", self.status.as_u16()),
            None => format!("HTTP {}", self.status.as_u16()),
        }
    }

    fn reason(&self, body: Option<Vec<u8>>) -> String {
        let status = self.status_line();
        match wire::snippet(&body.unwrap_or_default(), REASON) {
            // the page that comes with it repeats where it leads, tokens and all
            _ if self.status.is_redirection() => format!("{status}: redirects are not followed"),
            text if !text.is_empty() => format!("{status}: {text}"),
            _ => status,
        }
    }
}

/// The built-in table.
fn usual(status: u16, says_when: bool) -> Answer {
    match status {
        200..=299 => Answer::Complete,
        423 | 429 | 503 if says_when => Answer::Defer,
        // 401, 403 and 404 are most often a deployment under way, not the job's fault
        ..=199 | 300..=399 | 401 | 403 | 404 | 407 | 408 | 409 | 421 | 423 | 425 | 426 | 428 | 429 | 500.. => {
            Answer::Retry
        }
        400..=499 => Answer::Fail,
    }
}

/// How long a `Retry-After` asks to wait; `None` for what is past, negative or malformed.
fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = if text.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(text.parse().ok()?)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).ok()?
    };
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> HttpHandler {
        HttpHandler::new("http://api/".into())
    }

    fn reply(status: u16, headers: &[(&'static str, &str)], config: &HttpHandler) -> Reply {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Reply::read(StatusCode::from_u16(status).unwrap(), &map, config, now())
    }

    fn now() -> SystemTime {
        httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap()
    }

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Answer {
        reply(status, headers, &config()).answer
    }

    #[test]
    fn f102_every_status_of_the_table() {
        for status in 200..=299 {
            assert_eq!(answer(status, &[]), Answer::Complete, "{status}");
        }
        for status in (300..=399).chain([401, 403, 404, 407, 408, 409, 421, 423, 425, 426, 428, 429]).chain(500..=599) {
            assert_eq!(answer(status, &[]), Answer::Retry, "{status}");
        }
        for status in [400, 402, 405, 406, 410, 411, 412, 413, 414, 415, 416, 417, 418, 422, 424, 431, 451, 499] {
            assert_eq!(answer(status, &[]), Answer::Fail, "{status}");
        }
        let later = [("retry-after", "7")];
        for status in [423, 429, 503] {
            assert_eq!(answer(status, &later), Answer::Defer, "{status}");
        }
        for status in [301, 404, 408, 500, 502, 504] {
            assert_eq!(answer(status, &later), Answer::Retry, "{status}");
        }
        assert_eq!(answer(400, &later), Answer::Fail);
    }

    #[test]
    fn f98_retry_after_in_all_its_forms() {
        for (text, want) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("86400", Some(3600)),
            ("Tue, 31 Dec 2999 23:59:59 GMT", Some(3600)),
            ("0", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 07:00:00 GMT", None),
            ("99999999999999999999999999", None),
        ] {
            let reply = reply(429, &[("retry-after", text)], &config());
            let want = want.map(Duration::from_secs);
            assert_eq!(reply.retry_after, want, "{text}");
            assert_eq!(reply.answer, if want.is_some() { Answer::Defer } else { Answer::Retry }, "{text}");
        }
    }

    #[test]
    fn the_endpoints_word_beats_the_operators_beats_ours() {
        let mut config = config();
        config.status.insert(410, Answer::Discard);
        config.status.insert(200, Answer::Retry);
        assert_eq!(reply(410, &[], &config).answer, Answer::Discard);
        assert_eq!(reply(200, &[], &config).answer, Answer::Retry);
        assert_eq!(reply(200, &[(OUTCOME, "fail")], &config).answer, Answer::Fail);
        assert_eq!(reply(410, &[(OUTCOME, "perhaps")], &config).answer, Answer::Discard);
        for (name, want) in Answer::NAMES {
            assert_eq!(answer(500, &[(OUTCOME, name)]), want);
        }
    }

    #[test]
    fn retry_after_goes_with_a_named_outcome() {
        let named = |name| reply(200, &[(OUTCOME, name), ("retry-after", "9")], &config()).outcome(Some(Vec::new()));
        let nine = Duration::from_secs(9);
        assert!(matches!(named("retry"), Outcome::Retry { after: Some(after), .. } if after == nine));
        assert!(matches!(named("defer"), Outcome::Defer { after, .. } if after == nine));
        let bare = reply(200, &[(OUTCOME, "defer")], &config()).outcome(None);
        assert!(matches!(bare, Outcome::Defer { after, .. } if after == wire::DEFER));
        let server_error = reply(500, &[("retry-after", "9")], &config()).outcome(None);
        assert!(matches!(server_error, Outcome::Retry { after: None, .. }));
    }

    #[test]
    fn reasons_name_status_and_cause() {
        let reason = |status, body: &[u8]| reply(status, &[], &config()).reason(Some(body.to_vec()));
        assert_eq!(reason(500, b"no\x1b[1m disk\r\n"), "HTTP 500 Internal Server Error: no\\u{1b}[1m disk");
        assert_eq!(reason(302, b""), "HTTP 302 Found: redirects are not followed");
        assert_eq!(reason(599, b""), "HTTP 599");
        assert!(reason(400, &[b'x'; 5000]).chars().count() < 350);
    }
}
