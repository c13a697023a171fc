//! Which pages may ask. A browser says with `Origin` on whose behalf it asks, and with `Host` whom it thinks it asks; other
//! programs can write there what they like, which is why neither is a permission.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, header};

use super::refusal::Refusal;

/// Headers that proxies add.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// The origin of a page that is not ours and may read, to be told so; `None` where no browser asks, or for our own page.
/// Browsers ask for WebSockets on behalf of any page, and only we can refuse.
pub fn check<'a>(headers: &'a HeaderMap, allowed: &[String]) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = headers.get(header::ORIGIN) else { return Ok(None) };
    let origin = value.to_str().unwrap_or_default();
    if allowed.iter().any(|known| known == origin) {
        return Ok(Some(origin));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_own =
        origin.split_once("://").zip(host).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host));
    if is_own {
        return Ok(None);
    }
    let why = format!("pages of {origin:?} may not read here; name it in admin.events.allow_origins");
    Err(Refusal::new(StatusCode::FORBIDDEN, why))
}

/// Whether the one who asks thinks that this is its own host.
pub fn is_addressed_to_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a proxy has passed this on.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDED.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_pages_that_are_named_may_read() {
        let allowed = ["https://app.example.org".to_owned()];
        let check = |origin: &str, host: &str| {
            let headers = headers(&[("origin", origin), ("host", host)]);
            super::check(&headers, &allowed).map(|origin| origin.map(str::to_owned)).map_err(|refusal| refusal.status)
        };
        assert_eq!(check("https://app.example.org", "jobs.example.org"), Ok(Some("https://app.example.org".into())));
        assert_eq!(check("https://jobs.example.org", "Jobs.example.org"), Ok(None));
        for origin in
            ["https://app.example.org.evil.example", "http://app.example.org", "https://evil.example", "null", "", "*"]
        {
            assert_eq!(check(origin, "jobs.example.org"), Err(StatusCode::FORBIDDEN), "{origin}");
        }
        assert!(super::check(&headers(&[("host", "jobs.example.org")]), &allowed).unwrap().is_none());
    }

    #[test]
    fn names_of_this_host_are_known_from_others() {
        for host in ["localhost", "localhost:7117", "LOCALHOST", "127.0.0.1:7117", "127.8.8.8", "[::1]:7117", "[::1]"] {
            assert!(is_addressed_to_loopback(&headers(&[("host", host)])), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1:7117", "127.0.0.1.evil.example", "", "[::2]"] {
            assert!(!is_addressed_to_loopback(&headers(&[("host", host)])), "{host}");
        }
    }
}
