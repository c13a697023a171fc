//! Who may see what. A request is let in by the token of the configuration, which sees everything; by a token of a tenant,
//! which sees that tenant's jobs; or, where nothing of that is configured and only this host can connect, as it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use ring::hmac;

use super::origin;
use super::refusal::Refusal;
use super::token::{self, Key};
use crate::config::{Admin, Secret};

/// The rules in force; a reload makes new ones.
pub struct Rules {
    token: Option<Arc<Secret>>,
    keys: Vec<Key>,
    secrets: Vec<Arc<Secret>>,
    origins: Vec<String>,
    pub heartbeat: Duration,
    pub buffer: usize,
    pub max_viewers: usize,
}

/// What somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    Everything,
    Tenant { tenant: String, queue: Option<String> },
}

/// A permission that was given.
#[derive(Debug)]
pub struct Grant {
    pub sight: Sight,
    /// When it ends.
    pub until: Option<Instant>,
    /// The token or secret it rests on.
    by: Option<Arc<Secret>>,
}

impl Rules {
    pub fn new(admin: &Admin) -> Self {
        let events = &admin.events;
        Self {
            token: admin.token.clone().map(Arc::new),
            keys: events.secrets.iter().map(Key::new).collect(),
            secrets: events.secrets.iter().cloned().map(Arc::new).collect(),
            origins: events.allow_origins.clone(),
            heartbeat: events.heartbeat,
            buffer: events.buffer as usize,
            max_viewers: events.max_viewers as usize,
        }
    }

    /// What the bearer of this request may see. `in_query` is the token of its URL, for those who cannot set headers.
    pub fn admit(&self, headers: &HeaderMap, in_query: Option<&str>) -> Result<Grant, Refusal> {
        let Some(given) = bearer(headers)?.or(in_query) else { return self.admit_nameless(headers) };
        if let Some(token) = &self.token
            && is_same(token, given)
        {
            return Ok(Grant { sight: Sight::Everything, until: None, by: Some(Arc::clone(token)) });
        }
        if self.keys.is_empty() {
            let why = match self.token {
                Some(_) => "the token is another one; it stands in admin.token",
                None => "no token is known here; leave it out, or set admin.token or admin.events.secrets",
            };
            return Err(unauthorized(why));
        }
        let (claims, key) = token::check(given, &self.keys).map_err(unauthorized)?;
        let until = Some(Instant::now() + claims.remaining());
        let sight = Sight::Tenant { tenant: claims.tenant, queue: claims.queue };
        Ok(Grant { sight, until, by: Some(Arc::clone(&self.secrets[key])) })
    }

    /// Without a token: whoever is on this host, as far as that can be told.
    fn admit_nameless(&self, headers: &HeaderMap) -> Result<Grant, Refusal> {
        if self.token.is_some() || !self.keys.is_empty() {
            return Err(unauthorized("a token is needed: the header Authorization: Bearer, or token= in the URL"));
        }
        // a page elsewhere can make its own name point here, and a proxy in front let everybody in
        if !origin::is_addressed_to_loopback(headers) {
            let why = "without a token this is for http://localhost and http://127.0.0.1 only; set admin.token";
            return Err(Refusal::new(StatusCode::FORBIDDEN, why));
        }
        if origin::is_forwarded(headers) {
            let why = "this came through a proxy, and there is no token to tell by who may see; set admin.token or admin.events.secrets";
            return Err(Refusal::new(StatusCode::FORBIDDEN, why));
        }
        Ok(Grant { sight: Sight::Everything, until: None, by: None })
    }

    /// The page that asks, if it is another one that may read.
    pub fn origin<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, Refusal> {
        origin::check(headers, &self.origins)
    }

    /// Whether a permission given earlier still stands.
    pub fn honour(&self, grant: &Grant) -> bool {
        match &grant.by {
            Some(secret) => self.token.iter().chain(&self.secrets).any(|known| known == secret),
            None => self.token.is_none() && self.secrets.is_empty(),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(unauthorized("the header Authorization must be Bearer and the token")),
    }
}

fn unauthorized(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, why)
}

/// Compares in a time that tells nothing of how much is right.
fn is_same(token: &Secret, given: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.reveal().as_bytes());
    let expected = hmac::sign(&key, token.reveal().as_bytes());
    hmac::verify(&key, given.as_bytes(), expected.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::token::Claims;
    use crate::config::AdminEvents;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    fn rules(token: Option<&str>, secrets: &[&str]) -> Rules {
        let secrets = secrets.iter().map(|text| secret(text)).collect();
        let events = AdminEvents { secrets, ..AdminEvents::default() };
        Rules::new(&Admin { token: token.map(secret), events, ..Admin::default() })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn of_tenant(secret: &str) -> String {
        let claims = Claims { tenant: "t1".into(), queue: Some("q".into()), exp: 9e9, nbf: None };
        Key::new(&Secret::new(secret.into())).sign(&claims)
    }

    #[test]
    fn each_kind_of_token_sees_its_own() {
        let rules = rules(Some("all"), &["one", "two"]);
        let bearer = |token: &str| headers(&[("authorization", &format!("bearer {token}"))]);
        assert_eq!(rules.admit(&bearer("all"), None).unwrap().sight, Sight::Everything);
        assert_eq!(rules.admit(&HeaderMap::new(), Some("all")).unwrap().sight, Sight::Everything);
        let tenant = Sight::Tenant { tenant: "t1".into(), queue: Some("q".into()) };
        for key in ["one", "two"] {
            let grant = rules.admit(&bearer(&of_tenant(key)), None).unwrap();
            assert_eq!(grant.sight, tenant);
            assert!(grant.until.is_some());
        }
        // the header is what counts
        assert!(rules.admit(&bearer("wrong"), Some("all")).is_err());
        assert!(rules.admit(&headers(&[("authorization", "Basic YTpi")]), Some("all")).is_err());
        for wrong in ["", "al", "all ", "alll", &of_tenant("three"), &of_tenant("all")] {
            assert_eq!(rules.admit(&HeaderMap::new(), Some(wrong)).unwrap_err().status, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(rules.admit(&HeaderMap::new(), None).unwrap_err().status, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn without_any_token_only_this_host_is_let_in() {
        let open = rules(None, &[]);
        let grant = open.admit(&headers(&[("host", "localhost:7117")]), None).unwrap();
        assert_eq!(grant.sight, Sight::Everything);
        for strange in [
            headers(&[]),
            headers(&[("host", "evil.example")]),
            headers(&[("host", "127.0.0.1:7117"), ("x-forwarded-for", "203.0.113.7")]),
        ] {
            assert_eq!(open.admit(&strange, None).unwrap_err().status, StatusCode::FORBIDDEN);
        }
        // with secrets a proxy on this host does not let everybody in
        let closed = rules(None, &["one"]);
        assert!(closed.admit(&headers(&[("host", "localhost:7117")]), None).is_err());
        assert!(!closed.honour(&grant) && open.honour(&grant));
    }

    #[test]
    fn a_permission_ends_with_the_secret_it_rests_on() {
        let before = rules(Some("all"), &["old"]);
        let tenant = before.admit(&HeaderMap::new(), Some(&of_tenant("old"))).unwrap();
        let all = before.admit(&HeaderMap::new(), Some("all")).unwrap();
        let rotated = rules(Some("all"), &["new", "old"]);
        assert!(rotated.honour(&tenant) && rotated.honour(&all));
        let gone = rules(Some("other"), &["new"]);
        assert!(!gone.honour(&tenant) && !gone.honour(&all));
    }
}
