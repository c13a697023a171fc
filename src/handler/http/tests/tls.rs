//! Endpoints that speak TLS, with certificates that hold and certificates that do not.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::PemFile;

/// An authority of our own.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        Self::named("an authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A server with a certificate for this name, which `change` changes.
    pub(super) fn server(&self, name: &str, protocols: &[&str], change: fn(&mut CertificateParams)) -> TlsAcceptor {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// As the configuration has it.
    pub(super) fn trusted(&self) -> PemFile {
        PemFile { path: "ca.pem".into(), pem: self.pem.clone().into_bytes() }
    }
}

async fn peer(acceptor: TlsAcceptor) -> Peer {
    Peer::with_tls(acceptor, |_| Step::Say(answer("200 OK", "", "1"))).await
}

fn calling(peer: &Peer, ca: PemFile) -> Http {
    let mut config = HttpHandler::new(format!("https://localhost:{}/jobs?token=hidden", peer.address.port()));
    config.ca = Some(ca);
    Http::new(config).unwrap()
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_no_other() {
    let (authority, other) = (Authority::new(), Authority::named("another"));
    let mut peer = peer(authority.server("localhost", &[], |_| {})).await;
    assert_eq!(returned(run(&calling(&peer, authority.trusted())).await), "1");
    assert!(peer.requests.recv().await.unwrap().head.starts_with("POST /jobs?token=hidden HTTP/1.1\r\n"));
    let reason = retry_reason(run(&calling(&peer, other.trusted())).await);
    assert_eq!(
        reason,
        format!(
            "could not connect to localhost:{}: TLS: invalid peer certificate: UnknownIssuer, the authority that signed it is not trusted; name it in ca",
            peer.address.port()
        )
    );
    assert!(peer.requests.try_recv().is_err());
}

#[tokio::test]
async fn f58_certificates_that_do_not_hold_are_refused_with_a_reason() {
    let authority = Authority::new();
    for (name, change, want) in [
        ("elsewhere.example.org", (|_| {}) as fn(&mut CertificateParams), "not valid for name \"localhost\""),
        ("localhost", |params| params.not_after = date_time_ymd(2020, 1, 1), "certificate expired"),
        ("localhost", |params| params.not_before = date_time_ymd(2200, 1, 1), "certificate not valid yet"),
    ] {
        let mut peer = peer(authority.server(name, &[], change)).await;
        let reason = retry_reason(run(&calling(&peer, authority.trusted())).await);
        assert!(
            reason.starts_with(&format!("could not connect to localhost:{}: TLS: ", peer.address.port())),
            "{reason}"
        );
        assert!(reason.contains(want) && !reason.contains("hidden"), "{reason}");
        assert!(peer.requests.try_recv().is_err(), "sent to a stranger");
    }
    // without an authority of ours the system's are asked
    let peer = peer(authority.server("localhost", &[], |_| {})).await;
    let mut config = HttpHandler::new(format!("https://localhost:{}/", peer.address.port()));
    match Http::new(config.clone()) {
        Ok(handler) => assert!(retry_reason(run(&handler).await).contains(": TLS: ")),
        // a machine without root certificates says so at once
        Err(refused) => assert!(refused.to_string().starts_with("the HTTP client cannot be set up: "), "{refused}"),
    }
    config.ca = Some(PemFile { path: "ca.pem".into(), pem: b"-----BEGIN CERTIFICATE-----\n".to_vec() });
    let refused = Http::new(config).err().unwrap().to_string();
    assert!(refused.starts_with("the certificates in ca.pem cannot be used: "), "{refused}");
}

#[tokio::test]
async fn f58_clear_text_is_no_way_out() {
    let mut peer = Peer::saying(&answer("200 OK", "", "1")).await;
    let reason = retry_reason(run(&calling(&peer, Authority::new().trusted())).await);
    assert!(reason.starts_with("could not connect to localhost:"), "{reason}");
    assert!(peer.requests.try_recv().is_err());
}
