//! How a connection is set up: where to, as whom, and how patient.

use std::time::Duration;

use fred::clients::{Client, SubscriberClient};
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, ServerConfig, TcpConfig, TlsConnector,
};
use socket2::TcpKeepalive;

use super::super::{Error, embedded};
use super::{COMMAND_TIMEOUT, PAUSE, Role};
use crate::config;

/// A connection on which nothing sent is acknowledged for this long is dropped by the kernel.
const UNRESPONSIVE: Duration = Duration::from_secs(10);

/// Host and port or socket, without credentials.
pub(super) fn server_name(redis: &config::Redis) -> String {
    match &redis.endpoint {
        config::Endpoint::Tcp { host, port, .. } => format!("{host}:{port}"),
        config::Endpoint::Unix(path) => path.display().to_string(),
        config::Endpoint::Embedded(directory) => format!("embedded:{}", directory.display()),
    }
}

pub(super) fn fred_config(redis: &config::Redis) -> Result<Config, Error> {
    let (server, tls) = match &redis.endpoint {
        config::Endpoint::Tcp { host, port, tls } => {
            let tls = if *tls {
                Some(TlsConnector::default_rustls().map_err(|error| Error::Setup(format!("tls: {error}")))?.into())
            } else {
                None
            };
            (ServerConfig::Centralized { server: Server::new(host.as_str(), *port) }, tls)
        }
        config::Endpoint::Unix(path) => (ServerConfig::Unix { path: path.clone() }, None),
        config::Endpoint::Embedded(directory) => (ServerConfig::Unix { path: embedded::socket_of(directory)? }, None),
    };
    let password = match (&redis.endpoint, &redis.password, &redis.username) {
        // nobody else can reach it, so it knows no passwords
        (config::Endpoint::Embedded(_), ..) | (_, None, None) => None,
        (_, Some(password), _) => Some(password.reveal()),
        // fred sends no AUTH without a password and would connect as another user
        (_, None, Some(_)) => Some(""),
    };
    Ok(Config {
        server,
        tls,
        username: redis.username.clone(),
        password: password.map(str::to_owned),
        database: (redis.database != 0).then_some(redis.database),
        ..Config::default()
    })
}

/// A client for one connection; not connected yet.
pub(super) fn build(config: &Config, role: &Role) -> Client {
    let timeout = if *role == Role::Blocking { Duration::ZERO } else { COMMAND_TIMEOUT };
    // an event is seldom kept for long, and the queues are allocated in full for every connection
    let (performance, connection, policy) = settings(timeout, 4);
    Client::new(config.clone(), Some(performance), Some(connection), Some(policy))
}

/// A client for pub/sub that keeps `capacity` messages for its readers; not connected yet.
pub(in crate::store) fn subscriber(redis: &config::Redis, capacity: usize) -> Result<SubscriberClient, Error> {
    let (performance, connection, policy) = settings(COMMAND_TIMEOUT, capacity);
    Ok(SubscriberClient::new(fred_config(redis)?, Some(performance), Some(connection), Some(policy)))
}

fn settings(timeout: Duration, capacity: usize) -> (PerformanceConfig, ConnectionConfig, ReconnectPolicy) {
    let performance = PerformanceConfig {
        default_command_timeout: timeout,
        broadcast_channel_capacity: capacity,
        ..PerformanceConfig::default()
    };
    let connection = ConnectionConfig {
        connection_timeout: COMMAND_TIMEOUT,
        internal_command_timeout: COMMAND_TIMEOUT,
        max_command_attempts: 1,
        // no `unresponsive`: every call has a time limit of ours, after which the link is replaced, and a timer less
        // per command is one to two µs of ten
        tcp: TcpConfig {
            nodelay: Some(true),
            keepalive: Some(
                TcpKeepalive::new()
                    .with_time(Duration::from_secs(10))
                    .with_interval(Duration::from_secs(5))
                    .with_retries(3),
            ),
            user_timeout: Some(UNRESPONSIVE),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    };
    let mut policy = ReconnectPolicy::new_exponential(0, PAUSE.0, PAUSE.1, 2);
    policy.set_jitter(PAUSE.2);
    (performance, connection, policy)
}
