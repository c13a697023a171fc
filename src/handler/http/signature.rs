//! Signatures over what is sent, by the Standard Webhooks scheme: an endpoint that shares a secret with us can tell
//! that a request is ours, whole and fresh.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderValue;
use ring::hmac;

use crate::config::{HttpHandler, Secret};
use crate::handler::error::Refused;

/// Signs with every secret, so that a receiver may know the old one or the new one while they change.
pub(super) struct Signer {
    keys: Vec<hmac::Key>,
}

impl Signer {
    pub(super) fn new(secrets: &[Secret]) -> Result<Self, Refused> {
        let key = |secret| Ok(hmac::Key::new(hmac::HMAC_SHA256, &HttpHandler::signing_key(secret)?));
        let keys = secrets.iter().map(key).collect::<Result<_, _>>().map_err(Refused::Secret)?;
        Ok(Self { keys })
    }

    /// The value of `webhook-signature`; `None` without a secret. `seconds` is the Unix time that goes out as
    /// `webhook-timestamp`.
    ///
    /// Protocol: Standard Webhooks, `v1`: base64 of the HMAC-SHA256 of `id.timestamp.body`, signatures separated by
    /// spaces.
    pub(super) fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> Option<HeaderValue> {
        let sign = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{seconds}.").as_bytes());
            context.update(body);
            format!("v1,{}", STANDARD.encode(context.sign()))
        };
        let signatures: Vec<String> = self.keys.iter().map(sign).collect();
        let value = HeaderValue::try_from(signatures.join(" ")).expect("base64 is visible ASCII");
        (!signatures.is_empty()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secrets: &[&str]) -> Result<Signer, String> {
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new((*text).to_owned())).collect();
        Signer::new(&secrets).map_err(|refused| refused.to_string())
    }

    #[test]
    fn signed_as_the_specification_says() {
        // computed with Python's hmac and base64 over the same bytes
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let signed = signer(&[key]).unwrap().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(signer(&[]).unwrap().sign("msg_1", 1, body).is_none());
    }

    #[test]
    fn each_secret_adds_a_signature() {
        let (old, new) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "twenty-four bytes or more");
        let sign = |secrets: &[&str]| {
            let value = signer(secrets).unwrap().sign("msg_1", 7, b"{}").unwrap();
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(sign(&[new, old]), format!("{} {}", sign(&[new]), sign(&[old])));
        // padding is left out by some who write base64
        assert_eq!(sign(&["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNA=="]), sign(&["0123456789012345678901234"]));
        assert_eq!(sign(&["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNA"]), sign(&["0123456789012345678901234"]));
    }

    #[test]
    fn a_secret_that_protects_nothing_is_refused_and_not_shown() {
        let long = "x".repeat(65);
        for (secret, want) in [
            ("", "it is empty"),
            ("whsec_", "it is empty"),
            ("hunter2", "it has 7 bytes"),
            ("whsec_aHVudGVyMg==", "it has 7 bytes"),
            ("whsec_hunter2 and more of it", "what follows whsec_ is not base64"),
            (&long, "it has 65 bytes"),
        ] {
            let refused = signer(&[secret]).err().unwrap();
            assert!(refused.contains(want) && !refused.contains("hunter2"), "{refused}");
        }
    }
}
