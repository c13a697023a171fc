//! Where a job is sent. Scheme and port are written in the configuration, and so is the host, unless the file lists
//! what a job may make of it. A job fills in path and query only in ways that cannot lead anywhere else.

use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::header::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

use super::guard::Guard;
use crate::config::HttpHandler;
use crate::handler::error::Refused;
use crate::handler::template::{Field, Part, Template};
use crate::job::Job;

/// An endpoint's address, checked when the handler is built.
pub(in crate::handler) enum Address {
    Fixed(Target),
    Filled {
        parts: Vec<Piece>,
        /// Scheme, port and credentials of every result, and the host where no guard is.
        base: Url,
        /// Where jobs choose the host.
        guard: Option<Guard>,
    },
}

/// Where one request goes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(in crate::handler) struct Target {
    /// Without credentials.
    pub(in crate::handler) uri: Uri,
    /// `host:port`, for messages; never credentials.
    pub(in crate::handler) authority: Arc<str>,
    /// The credentials that stand in the url.
    pub(super) authorization: Option<HeaderValue>,
}

pub(in crate::handler) enum Piece {
    Text(String),
    Host(Field),
    Path(Field),
    Query(Field),
}

/// How much of a url has been read.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    Host,
    Path,
    Query,
}

impl Address {
    pub(in crate::handler) fn new(config: &HttpHandler) -> Result<Self, Refused> {
        let mut parts = Vec::new();
        let mut reading = Reading::Host;
        // what has been read before path and query, with something in the place of what jobs fill in
        let mut start = String::new();
        let mut chosen: Option<Field> = None;
        for part in Template::parse(&config.url)?.parts {
            match part {
                Part::Text(text) => {
                    if reading == Reading::Host {
                        start.push_str(&text);
                        let authority = text.split(PAST_HOST).next().unwrap_or_default();
                        if let Some(field) = chosen.as_ref().filter(|_| authority.contains('@')) {
                            return Err(Refused::Place(field.to_string()));
                        }
                        if after_scheme(&start).is_some_and(|rest| rest.contains(PAST_HOST)) {
                            reading = Reading::Path;
                        }
                    }
                    if reading == Reading::Path && text.contains('?') {
                        reading = Reading::Query;
                    }
                    parts.push(Piece::Text(text));
                }
                Part::Field(field) => parts.push(match reading {
                    Reading::Host => {
                        let authority = after_scheme(&start).map(|rest| rest.rsplit('@').next().unwrap_or_default());
                        if config.allow.is_empty() {
                            return Err(Refused::Host(field.to_string()));
                        }
                        if authority.is_none_or(|authority| authority.contains([':', '['])) {
                            return Err(Refused::Place(field.to_string()));
                        }
                        start.push('x');
                        chosen = Some(field.clone());
                        Piece::Host(field)
                    }
                    Reading::Path => Piece::Path(field),
                    Reading::Query => Piece::Query(field),
                }),
            }
        }
        match &parts[..] {
            [Piece::Text(whole)] => return Ok(Self::Fixed(Target::of(endpoint(whole)?).map_err(Refused::Url)?)),
            [] => return Err(Refused::Url("got nothing".to_owned())),
            _ if chosen.is_some() && config.socket.is_some() => return Err(Refused::HostAndSocket),
            _ => {}
        }
        let guard = chosen.map(|_| Guard::new(&config.allow));
        Ok(Self::Filled { parts, base: endpoint(&start)?, guard })
    }

    /// What checks the hosts that jobs choose.
    pub(super) fn guard(&self) -> Option<&Guard> {
        match self {
            Self::Filled { guard, .. } => guard.as_ref(),
            Self::Fixed(_) => None,
        }
    }

    pub(in crate::handler) fn is_tls(&self) -> bool {
        match self {
            Self::Fixed(target) => target.uri.scheme() == Some(&http::uri::Scheme::HTTPS),
            Self::Filled { base, .. } => base.scheme() == "https",
        }
    }

    /// The address for one job. The error is the reason the job fails for good.
    pub(in crate::handler) fn fill(&self, job: &Job) -> Result<Target, String> {
        match self {
            Self::Fixed(target) => Ok(target.clone()),
            Self::Filled { parts, base, guard } => Target::of(filled(parts, base, guard.as_ref(), job)?),
        }
    }
}

/// The url with what the job fills in.
fn filled(parts: &[Piece], base: &Url, guard: Option<&Guard>, job: &Job) -> Result<Url, String> {
    let value = |field: &Field| field.value(job).map_err(|unfilled| format!("{unfilled}, and the url needs it"));
    let mut text = String::new();
    for part in parts {
        match part {
            Piece::Text(literal) => text.push_str(literal),
            Piece::Query(field) => percent_encode(&value(field)?, &mut text),
            Piece::Host(field) => {
                let value = value(field)?;
                if !is_host(&value) {
                    return Err(format!("{field} is no host: expected letters, digits, '-', '_' and '.'"));
                }
                text.push_str(&value);
            }
            Piece::Path(field) => {
                let value = value(field)?;
                // some servers decode before they split, so an encoded slash is no protection
                if value.split(['/', '\\']).any(|segment| matches!(segment, "" | "." | "..")) {
                    return Err(format!(
                        "{field} has an empty, '.' or '..' part, which the path of a url must not hold"
                    ));
                }
                percent_encode(&value, &mut text);
            }
        }
    }
    let url = Url::parse(&text).map_err(|error| format!("the filled in url cannot be used: {error}"))?;
    let place = |url: &Url| {
        let host = url.host_str().filter(|_| guard.is_none()).map(str::to_owned);
        (url.scheme().to_owned(), url.username().to_owned(), host, url.port())
    };
    if place(&url) != place(base) {
        return Err("the filled in url leads to another host than the one configured".to_owned());
    }
    guard.map_or(Ok(()), |guard| guard.check(&url)).map_err(|forbidden| forbidden.to_string())?;
    Ok(url)
}

impl Target {
    /// The error says what is wrong with it.
    fn of(mut url: Url) -> Result<Self, String> {
        let port = url.port_or_known_default().unwrap_or_default();
        let authority = format!("{}:{port}", url.host_str().unwrap_or_default()).into();
        let authorization = credentials(&url);
        // a url with a host takes both
        let _ = (url.set_username(""), url.set_password(None));
        let uri = Uri::try_from(url.as_str()).map_err(|error| format!("got one that cannot be sent: {error}"))?;
        Ok(Self { uri, authority, authorization })
    }
}

/// Protocol: RFC 7617.
fn credentials(url: &Url) -> Option<HeaderValue> {
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return None;
    }
    let text = [decoded(url.username()), b":".to_vec(), password.map(decoded).unwrap_or_default()].concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(text))).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    Some(value)
}

/// What ends the host, to a parser of urls.
const PAST_HOST: [char; 4] = ['/', '?', '#', '\\'];

fn after_scheme(text: &str) -> Option<&str> {
    text.split_once("://").map(|(_, rest)| rest)
}

/// A part of a host, or an address of IPv6 as urls spell it.
fn is_host(value: &str) -> bool {
    let bracketed = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bracketed.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        || (!value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)))
}

fn endpoint(text: &str) -> Result<Url, Refused> {
    let url = Url::parse(text).map_err(|error| Refused::Url(format!("got one that cannot be read: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused::Url(format!("got scheme {:?}", url.scheme())));
    }
    if url.fragment().is_some() {
        return Err(Refused::Url("got a '#', and what follows it is never sent".to_owned()));
    }
    Ok(url)
}

/// All but the characters no part of a url gives a meaning to.
fn percent_encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            write!(into, "%{byte:02X}").expect("a String takes every write");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AllowedHost;
    use crate::handler::testing::job;

    fn filled(template: &str, data: &str) -> Result<String, String> {
        text(&address(template, &[]).unwrap(), data)
    }

    /// The url as it is filled in, credentials and all.
    fn text(address: &Address, data: &str) -> Result<String, String> {
        let Address::Filled { parts, base, guard } = address else { panic!("nothing is to be filled in") };
        super::filled(parts, base, guard.as_ref(), &job(data)).map(String::from)
    }

    fn address(template: &str, allow: &[&str]) -> Result<Address, Refused> {
        let mut config = HttpHandler::new(template.into());
        config.allow = allow.iter().map(|host| AllowedHost::parse(host).unwrap()).collect();
        Address::new(&config)
    }

    #[test]
    fn f104_path_and_query_are_encoded() {
        let data = r#"{"a":"ä b/c","q":"x&y=z#?%2e","n":7}"#;
        assert_eq!(
            filled("http://api:3000/jobs/{queue}/{name}/{data.a}?q={data.q}&n={data.n}&id={id}", data).unwrap(),
            "http://api:3000/jobs/email/welcome/%C3%A4%20b%2Fc?q=x%26y%3Dz%23%3F%252e&n=7&id=1042"
        );
        assert_eq!(filled("http://api/?q={data.q}", r#"{"q":""}"#).unwrap(), "http://api/?q=");
    }

    #[test]
    fn f104_no_way_up_and_no_empty_segment() {
        for value in ["", ".", "..", "a/../b", "/a", "a/", "a\\\\..\\\\b", "../../etc"] {
            let error = filled("http://api/x/{data.v}/y", &format!(r#"{{"v":"{value}"}}"#)).unwrap_err();
            assert!(error.starts_with("data.v has an empty, '.' or '..' part"), "{value}: {error}");
        }
        assert_eq!(filled("http://api/{data.v}", r#"{"v":"%2e%2e"}"#).unwrap(), "http://api/%252e%252e");
        assert_eq!(filled("http://api/{data.v}", "{}").unwrap_err(), "the job has no data.v, and the url needs it");
    }

    #[test]
    fn f104_the_host_is_not_the_jobs_to_choose() {
        for template in [
            "http://{data.host}/x",
            "{data.scheme}://api/x",
            "http://api.{data.tenant}/x",
            "http://api:{data.port}/",
            "{data.url}",
        ] {
            let text = address(template, &[]).err().unwrap().to_string();
            assert!(text.contains("stands in the host of the url"), "{template}: {text}");
        }
        // forms a url parser reads more into than meets the eye
        for template in ["http:///{data.x}/", "http://\n/{data.x}/", "http:////{data.x}"] {
            match address(template, &[]) {
                Err(_) => {}
                Ok(address) => assert!(address.fill(&job(r#"{"x":"evil.example"}"#)).is_err(), "{template:?}"),
            }
        }
        assert!(filled("http://api/{data.x}", r#"{"x":"@evil.example"}"#).unwrap().starts_with("http://api/%40evil"));
    }

    #[test]
    fn f104_the_host_becomes_only_what_is_listed() {
        const WHOLE: &str = "https://u:p@{data.host}:8443/hook/{id}?h={data.host}";
        let fill = |template: &str, host: &str| {
            let data = format!(r#"{{"host":{}}}"#, serde_json::Value::from(host));
            let address = address(template, &["*.example.org", "partner.net", "10.0.0.7", "fd00::7"]).unwrap();
            text(&address, &data)
        };
        let want = "https://u:p@a.example.org:8443/hook/1042?h=a.example.org";
        assert_eq!(fill(WHOLE, "a.example.org").unwrap(), want);
        assert_eq!(fill("http://{data.host}", "PARTNER.net").unwrap(), "http://partner.net/");
        assert_eq!(fill("http://{data.host}.example.org", "shop.no").unwrap(), "http://shop.no.example.org/");
        assert_eq!(fill("http://{data.host}/", "167772167").unwrap(), "http://10.0.0.7/");
        assert_eq!(fill("http://{data.host}/", "[fd00::7]").unwrap(), "http://[fd00::7]/");
        for host in ["evil.net", "example.org", "partner.net.evil.net", "127.0.0.1", "10.0.0.8", "0x7f.1", "[::1]"] {
            let why = fill(WHOLE, host).unwrap_err();
            assert!(why.starts_with("host ") && why.contains("is not among the hosts this handler allows"), "{why}");
        }
        for host in [
            "",
            "a.example.org/x",
            "a.example.org:80",
            "evil.net#.example.org",
            "evil.net?.example.org",
            "evil.net\\\\.example.org",
            "user@a.example.org",
            "evil.net%2f.example.org",
            "a b.example.org",
            "a\n.example.org",
            "ａ.example.org",
            "[::1]:80",
            "[evil.net]",
        ] {
            let why = fill(WHOLE, host).unwrap_err();
            assert_eq!(why, "data.host is no host: expected letters, digits, '-', '_' and '.'", "{host}");
        }
        assert!(fill(WHOLE, "1.2.3.4.5").unwrap_err().starts_with("the filled in url cannot be used"));
    }

    #[test]
    fn f104_scheme_credentials_and_port_are_never_the_jobs() {
        for template in [
            "{data.scheme}://a.example.org/",
            "{data.url}",
            "http://{data.user}@a.example.org/",
            "http://u:{data.password}@a.example.org/",
            "http://{data.a}.example.org{data.b}@evil.net/",
            "http://a.example.org:{data.port}/",
            "http://a.example.org:80{data.port}/",
            "http://[{data.address}]/",
        ] {
            let refused = address(template, &["*"]).err().expect(template).to_string();
            assert!(refused.contains("stands in scheme, credentials or port"), "{template}: {refused}");
        }
        let mut config = HttpHandler::new("http://{data.host}/".into());
        config.allow = vec![AllowedHost::Any];
        config.socket = Some("/run/app.sock".into());
        assert!(matches!(Address::new(&config), Err(Refused::HostAndSocket)));
    }

    #[test]
    fn mistakes_are_found_at_once() {
        for (template, want) in [
            ("", "got nothing"),
            ("api/jobs", "cannot be read"),
            ("ftp://api/jobs", "scheme \"ftp\""),
            ("http://api/#{data.x}", "never sent"),
            ("http://api/{nme}", "unknown placeholder {nme}"),
        ] {
            let text = address(template, &[]).err().expect(template).to_string();
            assert!(text.contains(want), "{template}: {text}");
        }
        let target = address("https://u%40x:p@api.example/x", &[]).unwrap().fill(&job("1")).unwrap();
        assert_eq!((&*target.authority, target.uri), ("api.example:443", "https://api.example/x".parse().unwrap()));
        assert_eq!(target.authorization.unwrap(), "Basic dUB4OnA=");
    }
}
