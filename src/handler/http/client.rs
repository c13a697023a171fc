//! The connections to one endpoint: how they are made, and how long they are kept.

use std::time::Duration;

use reqwest::{Certificate, Client};

use super::address::Address;
use super::failure;
use super::guard::{self, Lookup, Resolver};
use crate::config::{HttpHandler, PemFile};
use crate::handler::error::Refused;

/// Below the idle time of common servers (Node closes after 5 s), so that a connection is
/// rarely closed just as it is used.
const IDLE: Duration = Duration::from_secs(4);

/// Sets up the connection pool. Opens no connection.
///
/// Installs `ring` as the process's TLS provider unless the program has chosen one.
pub(in crate::handler) fn client(config: &HttpHandler, address: &Address) -> Result<Client, Refused> {
    client_with(config, address, guard::system())
}

/// As [`client`], with another way to ask for the addresses of hosts that jobs choose.
pub(super) fn client_with(config: &HttpHandler, address: &Address, lookup: Lookup) -> Result<Client, Refused> {
    // an error means that a provider is there already, and any will do
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder()
        .user_agent(concat!("oxherd/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // where a job goes is written in one place, and the environment is not it
        .no_proxy()
        .connect_timeout(config.connect_timeout)
        .pool_idle_timeout(IDLE);
    if let Some(path) = &config.socket {
        client = client.unix_socket(path.as_path());
    }
    if let Some(hosts) = address.guard() {
        client = client.dns_resolver(Resolver::new(hosts.clone(), lookup));
    }
    if config.http2 {
        client = client.http2_prior_knowledge();
    }
    if let Some(ca) = &config.ca {
        client = client.tls_certs_only(certificates(ca)?);
    } else if !address.is_tls() {
        // a host without any root certificates can still call plain endpoints
        client = client.tls_certs_only([]);
    }
    client.build().map_err(|error| Refused::Client(failure::causes(&error)))
}

fn certificates(ca: &PemFile) -> Result<Vec<Certificate>, Refused> {
    let refuse = |why: String| Refused::Authorities { file: ca.path.display().to_string(), why };
    let all = Certificate::from_pem_bundle(&ca.pem).map_err(|error| refuse(failure::causes(&error)))?;
    if all.is_empty() { Err(refuse("there are none".to_owned())) } else { Ok(all) }
}
