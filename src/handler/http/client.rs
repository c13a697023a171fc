//! The connections to one endpoint: how they are made, how long they are kept, and when a request goes out twice.

use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::legacy::{self, Builder};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::UnixStream;
use tower_service::Service;

use super::address::{Address, Target};
use super::failure::{NoConnection, causes};
use super::guard::{self, Lookup, Resolver};
use crate::config::{HttpHandler, PemFile};
use crate::handler::error::Refused;

/// Below the idle time of common servers (Node closes after 5 s), so that a connection is
/// rarely closed just as it is used.
const IDLE: Duration = Duration::from_secs(4);
/// How a peer is noticed that has gone without a word: asked after so long in silence, so many times.
const SILENCE: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
/// How long the peer's system may leave what was sent unanswered.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// How often a request is sent again of which nothing was accepted.
const AGAIN: usize = 2;

/// A pool of connections. Cheap to clone.
#[derive(Clone)]
pub(in crate::handler) struct Client {
    pool: Pool,
    /// Streams can be refused.
    may_be_http2: bool,
}

#[derive(Clone)]
enum Pool {
    Tcp(legacy::Client<Connector<HttpConnector<Resolver>>, Full<Bytes>>),
    Unix(legacy::Client<Connector<Socket>, Full<Bytes>>),
}

/// Sets up the connection pool. Opens no connection.
///
/// Installs `ring` as the process's TLS provider unless the program has chosen one.
pub(in crate::handler) fn client(config: &HttpHandler, address: &Address) -> Result<Client, Refused> {
    client_with(config, address, guard::system())
}

/// As [`client`], with another way to ask for the addresses of hosts that jobs choose.
pub(super) fn client_with(config: &HttpHandler, address: &Address, lookup: Lookup) -> Result<Client, Refused> {
    let tls = tls(config, address.is_tls())?;
    let mut pool = legacy::Client::builder(TokioExecutor::new());
    pool.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new()).timer(TokioTimer::new()).http2_only(config.http2);
    let within = config.connect_timeout;
    let pool = if let Some(path) = &config.socket {
        Pool::Unix(open(&pool, tls, Socket(path.as_path().into()), within, config.http2))
    } else {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new(address.guard().cloned(), lookup));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(SILENCE));
        tcp.set_keepalive_interval(Some(SILENCE));
        tcp.set_keepalive_retries(Some(PROBES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Pool::Tcp(open(&pool, tls, tcp, within, config.http2))
    };
    Ok(Client { pool, may_be_http2: config.http2 || address.is_tls() })
}

fn open<D>(
    pool: &Builder,
    tls: ClientConfig,
    dial: D,
    within: Duration,
    http2: bool,
) -> legacy::Client<Connector<D>, Full<Bytes>>
where
    Connector<D>: legacy::connect::Connect + Clone,
{
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let https = if http2 {
        https.enable_http2().wrap_connector(dial)
    } else {
        https.enable_all_versions().wrap_connector(dial)
    };
    pool.build(Connector { https, within })
}

fn tls(config: &HttpHandler, is_used: bool) -> Result<ClientConfig, Refused> {
    // an error means that a provider is there already, and any will do
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tls = ClientConfig::builder();
    let tls = if let Some(ca) = &config.ca {
        tls.with_root_certificates(authorities(ca)?)
    } else if is_used {
        tls.with_native_roots().map_err(|error| Refused::Client(causes(&error)))?
    } else {
        // a host without any root certificates can still call plain endpoints
        tls.with_root_certificates(RootCertStore::empty())
    };
    Ok(tls.with_no_client_auth())
}

fn authorities(ca: &PemFile) -> Result<RootCertStore, Refused> {
    let refuse = |why: String| Refused::Authorities { file: ca.path.display().to_string(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&ca.pem) {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(causes(&error)))?;
    }
    if roots.is_empty() { Err(refuse("there are none".to_owned())) } else { Ok(roots) }
}

impl Client {
    /// Sends one request, and waits for status and headers of the answer. Sends it again by itself only where none of
    /// it can have been accepted: a kept connection found closed before the first byte, a stream that HTTP/2 refuses.
    ///
    /// Cancel safe as far as we are concerned: dropped, it closes the connection or resets its stream.
    pub(in crate::handler) async fn send(
        &self,
        method: Method,
        to: &Target,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, legacy::Error> {
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("oxherd/", env!("CARGO_PKG_VERSION"))));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        if let Some(authorization) = &to.authorization {
            headers.entry(AUTHORIZATION).or_insert_with(|| authorization.clone());
        }
        let mut again = if self.may_be_http2 { AGAIN } else { 0 };
        loop {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = to.uri.clone();
            let spare = (again > 0).then(|| headers.clone());
            *request.headers_mut() = headers;
            let answer = match &self.pool {
                Pool::Tcp(pool) => pool.request(request),
                Pool::Unix(pool) => pool.request(request),
            };
            match (answer.await, spare) {
                (Err(error), Some(spare)) if is_refused(&error) => headers = spare,
                (answer, _) => return answer,
            }
            again -= 1;
        }
    }
}

/// Whether the server says that it has not looked at the request.
///
/// Protocol: RFC 9113 §8.7, REFUSED_STREAM, and GOAWAY without an error for a stream above its last one.
fn is_refused(error: &legacy::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.find_map(|cause| cause.downcast_ref::<h2::Error>()).is_some_and(|error| {
        let reason = error.reason();
        error.is_remote()
            && (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)
                || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
    })
}

type Connecting<S> = Pin<Box<dyn Future<Output = Result<S, Box<dyn Error + Send + Sync>>> + Send>>;

/// Opens connections, with TLS where the url asks for it, within a bound for all of it.
#[derive(Clone)]
struct Connector<D> {
    https: HttpsConnector<D>,
    within: Duration,
}

impl<D> Service<Uri> for Connector<D>
where
    D: Service<Uri>,
    D::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    D::Future: Send + 'static,
    D::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = MaybeHttpsStream<D::Response>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, within) = (self.https.call(uri), self.within);
        Box::pin(async move { tokio::time::timeout(within, connecting).await.map_err(|_| NoConnection { within })? })
    }
}

/// Dials a unix socket, wherever a url may lead.
#[derive(Clone)]
struct Socket(Arc<Path>);

impl Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = Arc::clone(&self.0);
        Box::pin(async move { UnixStream::connect(path).await.map(TokioIo::new) })
    }
}
