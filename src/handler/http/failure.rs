//! Why no answer came, in words an operator can act on. Urls stay out of it: they may hold
//! tokens.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;
use nix::errno::Errno;
use rustls::CertificateError;

use super::guard::{Forbidden, Unresolved};
use crate::handler::shortage;

/// A connection could not be had in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {within:?}")]
pub(super) struct NoConnection {
    pub(super) within: Duration,
}

/// The host was one that a job may not lead to.
pub(super) fn forbidden(error: &legacy::Error) -> Option<&Forbidden> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The reason of a failed exchange; `to` is `host:port`.
pub(super) fn describe(error: &legacy::Error, to: &str) -> String {
    let why = cause(error).unwrap_or_else(|| sources(error));
    if chain(error).any(<dyn Error>::is::<Unresolved>) {
        format!("could not resolve {to}: {why}")
    } else if error.is_connect() {
        format!("could not connect to {to}: {why}")
    } else {
        format!("no answer from {to}: {why}")
    }
}

/// What the machine has run out of, if that is why no request went out.
pub(super) fn shortage(error: &legacy::Error) -> Option<Errno> {
    let errno = chain(error).find_map(|cause| {
        let code = cause.downcast_ref::<io::Error>()?.raw_os_error()?;
        Some(Errno::from_raw(code)).filter(|errno| matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
    });
    errno.or_else(|| error.is_connect().then(shortage::of_descriptors).flatten())
}

/// The first cause that says something of its own: a time-out, a TLS failure or an error of the system.
fn cause(error: &legacy::Error) -> Option<String> {
    chain(error).find_map(|mut cause| {
        // an io::Error that wraps another error does not show it as its source
        while let Some(inner) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            cause = inner;
        }
        if let Some(late) = cause.downcast_ref::<NoConnection>() {
            return Some(late.to_string());
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

/// What lies behind an error, every cause in its own words, outermost first.
pub(in crate::handler) fn sources(error: &legacy::Error) -> String {
    error.source().map_or_else(|| "unknown cause".to_owned(), causes)
}

/// An error and what lies behind it, every cause in its own words, outermost first.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let words: Vec<String> =
        std::iter::successors(Some(error), |&cause| cause.source()).map(ToString::to_string).collect();
    words.join(": ")
}

fn chain(error: &legacy::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
