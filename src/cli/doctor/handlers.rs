//! What handlers are made of and what they call. No job is done: a connection is opened and closed again.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::config::{Config, Handler, Housekeeping, HttpHandler, Redis, RedisHandler};
use crate::handler::{Registry, greet};
use crate::store::Store;
use crate::store::checkup::codes::{HANDLER_MAIL, HANDLER_REACH, HANDLER_SETTINGS};
use crate::store::checkup::{Finding, Known, unless_found};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether each handler can be made of its settings.
pub fn settings(config: &Config) -> Vec<Finding> {
    let broken = config.handlers.iter().filter_map(|(name, handler)| {
        let one = BTreeMap::from([(name.clone(), handler.clone())]);
        let alone = Config { handlers: one, ..config.clone() };
        let error = Registry::build(&alone, BTreeMap::new()).err()?;
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Some(HANDLER_SETTINGS.error(text).of(name))
    });
    unless_found(&HANDLER_SETTINGS, broken.collect(), format_args!("{} handlers", config.handlers.len()))
}

/// Whether what handlers call takes connections.
pub async fn reach(config: &Config) -> Vec<Finding> {
    let asked = config.handlers.iter().map(|(name, handler)| async move { Some(one(handler).await?.of(name)) });
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

/// `None` for a handler that calls nobody.
async fn one(handler: &Handler) -> Option<Finding> {
    let found = match handler {
        Handler::Http(http) => endpoint(http).await,
        Handler::Redis(house) => match (&house.task, &house.server) {
            (Housekeeping::Warm(warm), _) => tcp(&warm.fetch).await,
            (_, Some(server)) => redis(server, house).await,
            (_, None) => return None,
        },
        Handler::Smtp(mail) => {
            return Some(match greet(mail).await {
                Ok(server) => HANDLER_MAIL.ok(format_args!("{server} greets")),
                Err(why) => HANDLER_MAIL.error(why),
            });
        }
        Handler::Command(_) | Handler::Process(_) | Handler::Log(_) => return None,
    };
    Some(HANDLER_REACH.judge(found, |code, reached| match reached {
        Ok(place) => code.ok(format_args!("{place} takes connections")),
        Err(why) => code.error(why),
    }))
}

/// Whether a place could be reached; unknown where only a job says which it is.
type Reached = Known<Result<String, String>>;

async fn endpoint(http: &HttpHandler) -> Reached {
    let Some(path) = &http.socket else { return tcp(&http.url).await };
    let place = path.display().to_string();
    Ok(in_time(&place, UnixStream::connect(path)).await)
}

async fn tcp(url: &str) -> Reached {
    let (scheme, rest) = url.split_once("://").ok_or("the job says where")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('{') {
        return Err("the job says where".into());
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = if scheme == "https" { 443 } else { 80 };
    let place = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    Ok(in_time(&place, TcpStream::connect(&place)).await)
}

async fn redis(server: &Redis, house: &RedisHandler) -> Reached {
    let redis = Redis { database: house.database.unwrap_or(server.database), ..server.clone() };
    let opened = in_time("its server", async {
        Store::open_to_examine(&redis).await.map_err(|error| std::io::Error::other(error.to_string()))
    });
    Ok(opened.await)
}

async fn in_time<T>(place: &str, connect: impl Future<Output = std::io::Result<T>>) -> Result<String, String> {
    match tokio::time::timeout(PATIENCE, connect).await {
        Ok(Ok(_)) => Ok(place.to_owned()),
        Ok(Err(error)) => Err(format!("{place}: {error}")),
        Err(_) => Err(format!("{place} takes no connection within {} s", PATIENCE.as_secs())),
    }
}
