//! Where a job is sent. The host is written in the configuration; a job fills in path and query
//! only, and only in ways that cannot lead anywhere else.

use std::fmt::Write as _;

use reqwest::Url;

use crate::handler::error::Refused;
use crate::handler::template::{Field, Part, Template};
use crate::job::Job;

/// An endpoint's address, checked when the handler is built.
pub(in crate::handler) enum Address {
    Fixed(Url),
    Filled {
        parts: Vec<Piece>,
        /// What stands before the first placeholder: scheme, host and port of every result.
        base: Url,
    },
}

pub(in crate::handler) enum Piece {
    Text(String),
    Path(Field),
    Query(Field),
}

impl Address {
    pub(in crate::handler) fn parse(text: &str) -> Result<Self, Refused> {
        let template = Template::parse(text)?;
        let mut parts = Vec::new();
        let mut base = None;
        let mut in_query = false;
        for part in template.parts {
            match part {
                Part::Text(text) => {
                    if base.is_none() && parts.is_empty() && host_ends(&text) {
                        base = Some(endpoint(&text)?);
                    }
                    in_query |= text.contains('?');
                    parts.push(Piece::Text(text));
                }
                Part::Field(field) if base.is_none() => return Err(Refused::Host(field.to_string())),
                Part::Field(field) if in_query => parts.push(Piece::Query(field)),
                Part::Field(field) => parts.push(Piece::Path(field)),
            }
        }
        match (&parts[..], base) {
            ([Piece::Text(whole)], _) => Ok(Self::Fixed(endpoint(whole)?)),
            (_, Some(base)) => Ok(Self::Filled { parts, base }),
            (_, None) => Err(Refused::Url("got nothing".to_owned())),
        }
    }

    /// `host:port`, for messages; never credentials.
    pub(in crate::handler) fn authority(&self) -> String {
        let (Self::Fixed(url) | Self::Filled { base: url, .. }) = self;
        let port = url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", url.host_str().unwrap_or_default())
    }

    pub(in crate::handler) fn is_tls(&self) -> bool {
        let (Self::Fixed(url) | Self::Filled { base: url, .. }) = self;
        url.scheme() == "https"
    }

    /// The address for one job. The error is the reason the job fails for good.
    pub(in crate::handler) fn fill(&self, job: &Job) -> Result<Url, String> {
        let (parts, base) = match self {
            Self::Fixed(url) => return Ok(url.clone()),
            Self::Filled { parts, base } => (parts, base),
        };
        let mut text = String::new();
        for part in parts {
            match part {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Query(field) => {
                    let value = field.value(job).map_err(|unfilled| format!("{unfilled}, and the url needs it"))?;
                    percent_encode(&value, &mut text);
                }
                Piece::Path(field) => {
                    let value = field.value(job).map_err(|unfilled| format!("{unfilled}, and the url needs it"))?;
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
        let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
        if place(&url) != place(base) {
            return Err("the filled in url leads to another host than the one configured".to_owned());
        }
        Ok(url)
    }
}

/// Whether scheme and host are complete in this text, so that what follows cannot change them.
fn host_ends(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']))
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
    use crate::handler::testing::job;

    fn filled(template: &str, data: &str) -> Result<String, String> {
        Address::parse(template).unwrap().fill(&job(data)).map(String::from)
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
            let text = Address::parse(template).err().unwrap().to_string();
            assert!(text.contains("stands in the host of the url"), "{template}: {text}");
        }
        // forms a url parser reads more into than meets the eye
        for template in ["http:///{data.x}/", "http://\n/{data.x}/", "http:////{data.x}"] {
            match Address::parse(template) {
                Err(_) => {}
                Ok(address) => assert!(address.fill(&job(r#"{"x":"evil.example"}"#)).is_err(), "{template:?}"),
            }
        }
        assert!(filled("http://api/{data.x}", r#"{"x":"@evil.example"}"#).unwrap().starts_with("http://api/%40evil"));
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
            let text = Address::parse(template).err().expect(template).to_string();
            assert!(text.contains(want), "{template}: {text}");
        }
        assert_eq!(Address::parse("https://u:p@api.example/x").unwrap().authority(), "api.example:443");
    }
}
