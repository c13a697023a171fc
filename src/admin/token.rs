//! Tokens of tenants: JSON Web Tokens signed with HMAC-SHA256 (HS256), which every language can make. `auth.rs` checks
//! them, `oxherd token` makes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// Longest token looked at, in bytes.
const LONGEST: usize = 4096;
/// How far clocks may be apart, in seconds.
const LEEWAY: f64 = 10.0;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Claims {
    /// Whose messages may be seen.
    pub tenant: String,
    /// Only those of this queue; all when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Seconds since 1970 at which it ends.
    pub exp: f64,
    /// Seconds since 1970 before which it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<f64>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that have to be understood; there are none.
    crit: Option<serde_json::Value>,
}

/// A key that signs and checks.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()))
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Claims) -> String {
        let claims = serde_json::to_string(claims).expect("claims are plain values");
        let signed = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.as_bytes()));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref()))
    }
}

/// What a token says that one of the keys has signed, and the place of that key. Fails with what is wrong with it, which
/// its bearer may know. Takes the same time for every wrong signature.
pub fn check(token: &str, keys: &[Key]) -> Result<(Claims, usize), String> {
    if token.len() > LONGEST {
        return Err(format!("the token is longer than {LONGEST} bytes"));
    }
    let mut parts = token.rsplitn(3, '.');
    let (Some(signature), Some(claims), Some(header)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("the token is neither ours nor a JSON Web Token".into());
    };
    let signed = &token[..header.len() + 1 + claims.len()];
    let parsed: Header = decode(header).ok_or("the token's header cannot be read")?;
    if parsed.alg != "HS256" {
        return Err(format!("the token is signed with {:?}, expected \"HS256\"", parsed.alg));
    }
    if parsed.crit.is_some() {
        return Err("the token's header has crit, and no extension is known here".into());
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "the token's signature is not base64url")?;
    let fits = |key: &Key| hmac::verify(&key.0, signed.as_bytes(), &signature).is_ok();
    let Some(place) = keys.iter().position(fits) else {
        return Err("the token's signature does not fit any of the secrets".into());
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| "the token's claims are not base64url")?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|error| format!("the token's claims: {error}"))?;
    let now = seconds(SystemTime::now());
    if claims.tenant.is_empty() {
        return Err("the token's tenant is empty".into());
    }
    if claims.exp + LEEWAY <= now {
        return Err("the token has expired; fetch another".into());
    }
    if claims.nbf.is_some_and(|from| from > now + LEEWAY) {
        return Err("the token does not hold yet; compare the clocks".into());
    }
    Ok((claims, place))
}

impl Claims {
    /// How long it still holds.
    pub fn remaining(&self) -> Duration {
        let left = self.exp + LEEWAY - seconds(SystemTime::now());
        // a moment that is beyond all clocks is as good as a year away
        Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(YEAR).min(YEAR)
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Seconds since 1970.
pub fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<'a, T: Deserialize<'a>>(part: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    // owned by nobody else: what is borrowed from it must not be
    T::deserialize(serde_json::from_slice::<serde_json::Value>(&bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        Key::new(&Secret::new(secret.into()))
    }

    fn claims(lasting: f64) -> Claims {
        let exp = (seconds(SystemTime::now()) + lasting).floor();
        Claims { tenant: "t1".into(), queue: None, exp, nbf: None }
    }

    fn raw(header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = hmac::sign(&key("secret").0, signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref()))
    }

    #[test]
    fn a_token_of_another_maker_is_understood() {
        // of RFC 7515, A.1, whose claims are others: the signature is what is compared
        let secret = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let key = Key(hmac::Key::new(hmac::HMAC_SHA256, &secret));
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let wrong = check(token, &[key]).unwrap_err();
        assert!(wrong.contains("missing field `tenant`"), "{wrong}");
    }

    #[test]
    fn what_was_signed_is_believed_whichever_key_it_was() {
        let token = key("old").sign(&claims(60.0));
        let (said, place) = check(&token, &[key("new"), key("old")]).unwrap();
        assert_eq!((said.tenant.as_str(), place), ("t1", 1));
        assert!(said.remaining() > Duration::from_secs(55) && said.remaining() <= Duration::from_secs(70));
        assert!(check(&token, &[key("new")]).unwrap_err().contains("does not fit"));
        assert!(check(&token, &[]).unwrap_err().contains("does not fit"));
        let forever = key("old").sign(&Claims { exp: 1e300, ..claims(0.0) });
        assert_eq!(check(&forever, &[key("old")]).unwrap().0.remaining(), YEAR);
    }

    #[test]
    fn time_is_kept() {
        let keys = [key("secret")];
        assert!(check(&keys[0].sign(&claims(-5.0)), &keys).is_ok(), "clocks differ a little");
        assert!(check(&keys[0].sign(&claims(-12.0)), &keys).unwrap_err().contains("expired"));
        let later = Claims { nbf: Some(claims(60.0).exp), ..claims(120.0) };
        assert!(check(&keys[0].sign(&later), &keys).unwrap_err().contains("does not hold yet"));
    }

    #[test]
    fn whatever_else_comes_is_refused_and_says_why() {
        let good = r#"{"tenant":"t1","exp":9e9}"#;
        for (header, claims, why) in [
            (r#"{"alg":"none"}"#, good, "\"none\", expected \"HS256\""),
            (r#"{"alg":"RS256"}"#, good, "\"RS256\", expected \"HS256\""),
            (r#"{"alg":"HS512"}"#, good, "\"HS512\", expected \"HS256\""),
            (r#"{"alg":"HS256","crit":["b64"]}"#, good, "crit"),
            (r#"["HS256"]"#, good, "header"),
            ("{}", good, "header"),
            (r#"{"alg":"HS256"}"#, r#"{"tenant":"t1"}"#, "missing field `exp`"),
            (r#"{"alg":"HS256"}"#, r#"{"exp":9e9}"#, "missing field `tenant`"),
            (r#"{"alg":"HS256"}"#, r#"{"tenant":"","exp":9e9}"#, "empty"),
            (r#"{"alg":"HS256"}"#, r#"{"tenant":["t1"],"exp":9e9}"#, "claims"),
            (r#"{"alg":"HS256"}"#, r#"{"tenant":"t1","exp":"9e9"}"#, "claims"),
            (r#"{"alg":"HS256"}"#, r#"{"tenant":"t1","tenant":"t2","exp":9e9}"#, "duplicate field"),
            (r#"{"alg":"HS256"}"#, "nothing", "claims"),
        ] {
            let wrong = check(&raw(header, claims), &[key("secret")]).unwrap_err();
            assert!(wrong.contains(why), "{header} {claims}: {wrong}");
        }
        let whole = key("secret").sign(&claims(60.0));
        let (signed, _) = whole.rsplit_once('.').unwrap();
        let cut = &whole[..whole.len() - 4];
        let padded = format!("{whole}=");
        let long = "a".repeat(LONGEST + 1);
        for token in ["", ".", "..", "a.b", &format!("{signed}."), cut, &padded, &format!("x.{whole}"), &long] {
            assert!(check(token, &[key("secret")]).is_err(), "{token}");
        }
    }
}
