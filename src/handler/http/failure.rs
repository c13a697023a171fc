//! Why no answer came, in words an operator can act on. Urls stay out of it: they may hold
//! tokens.

use std::error::Error;
use std::io;

use nix::errno::Errno;
use rustls::CertificateError;

use super::guard::Forbidden;
use crate::config::HttpHandler;
use crate::handler::shortage;

/// The host was one that a job may not lead to.
pub(super) fn forbidden(error: &reqwest::Error) -> Option<&Forbidden> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The reason of a failed exchange; `to` is `host:port`.
pub(super) fn describe(error: &reqwest::Error, to: &str, config: &HttpHandler) -> String {
    let why = cause(error);
    if error.is_dns() {
        format!("could not resolve {to}: {}", why.unwrap_or_else(|| causes(error)))
    } else if error.is_connect() {
        let timed_out = error.is_timeout().then(|| format!("no connection within {:?}", config.connect_timeout));
        format!("could not connect to {to}: {}", why.or(timed_out).unwrap_or_else(|| causes(error)))
    } else {
        format!("no answer from {to}: {}", why.unwrap_or_else(|| causes(error)))
    }
}

/// What the machine has run out of, if that is why no request went out.
pub(super) fn shortage(error: &reqwest::Error) -> Option<Errno> {
    let errno = chain(error).find_map(|cause| {
        let code = cause.downcast_ref::<io::Error>()?.raw_os_error()?;
        Some(Errno::from_raw(code)).filter(|errno| matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
    });
    errno.or_else(|| error.is_connect().then(shortage::of_descriptors).flatten())
}

/// The first cause that says something of its own: a TLS failure or an error of the system.
fn cause(error: &reqwest::Error) -> Option<String> {
    chain(error).find_map(|mut cause| {
        // an io::Error that wraps another error does not show it as its source
        while let Some(inner) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            cause = inner;
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            let remedy = match tls {
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                    ", the authority that signed it is not trusted; name it in ca"
                }
                _ => "",
            };
            return Some(format!("TLS: {tls}{remedy}"));
        }
        let code = cause.downcast_ref::<io::Error>()?.raw_os_error()?;
        Some(Errno::from_raw(code).to_string())
    })
}

/// Every cause's own words, outermost first.
pub(in crate::handler) fn causes(error: &reqwest::Error) -> String {
    let words: Vec<String> = chain(error).map(ToString::to_string).collect();
    if words.is_empty() { "unknown cause".to_owned() } else { words.join(": ") }
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
