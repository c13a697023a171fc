//! The address of Redis as one text. Used for `[redis] url`, `REDIS_URL` and `--redis`, and by
//! programs that embed oxherd.

use std::path::{Component, Path, PathBuf};

use super::invalid::Invalid;
use super::redis::{Endpoint, Redis, Secret};

const SCHEMES: &str = "the schemes are redis://, rediss://, redis+unix:// and embedded:DIR";

impl Redis {
    /// Takes endpoint, user, password and database from a URL:
    /// `redis://[[user]:password@]host[:port][/database]`, `rediss://…` with TLS,
    /// `redis+unix:///path/to/socket[?db=1]`, or `embedded:DIR`. A relative DIR is taken
    /// against `directory`. User and password are percent-decoded.
    pub fn with_url(mut self, url: &str, directory: &Path) -> Result<Self, Invalid> {
        let shown = shown(url);
        let refuse = |message: &str, help: &str| Invalid::new(message.replace("{url}", &shown), help);
        if url.is_empty() {
            return Err(refuse("the URL of Redis is empty", "write one such as \"redis://127.0.0.1:6379/0\""));
        }
        if let Some(dir) = url.strip_prefix("embedded:") {
            if dir.is_empty() {
                return Err(refuse("embedded: names no directory", "write embedded:DIR, such as \"embedded:data\""));
            }
            self.endpoint = Endpoint::Embedded(absolute(directory, dir));
            (self.username, self.password, self.database) = (None, None, 0);
            return Ok(self);
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            let help = if url.starts_with("redis") { SCHEMES } else { "write redis://HOST:PORT, or embedded:DIR" };
            return Err(refuse("{url} is not a URL", help));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let mut database = None;
        match scheme.to_ascii_lowercase().as_str() {
            scheme @ ("redis" | "rediss") => {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                self.endpoint = tcp(host, scheme == "rediss").map_err(|(message, help)| refuse(&message, help))?;
                if !path.is_empty() {
                    database = Some(path);
                }
            }
            "redis+unix" => {
                if !rest.starts_with('/') || rest.len() < 2 {
                    let help = "write redis+unix:///path/to/redis.sock, with three slashes";
                    return Err(refuse("{url} names no absolute path of a socket", help));
                }
                let path = decode(rest).ok_or_else(|| refuse("{url} holds a broken %-escape", "write %25 for %"))?;
                self.endpoint = Endpoint::Unix(PathBuf::from(path));
            }
            "redis-sentinel" | "redis-cluster" => {
                let message = format!("{scheme} is not supported yet, got {{url}}");
                return Err(refuse(&message, "name one server: redis://HOST:PORT"));
            }
            other => return Err(refuse(&format!("unknown scheme {other:?} in {{url}}"), SCHEMES)),
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name != "db" {
                return Err(refuse(&format!("unknown parameter {name:?} in {{url}}"), "the only parameter is db"));
            }
            database = Some(value);
        }
        self.database = match database {
            None => 0,
            Some(text) => text.parse().map_err(|_| {
                refuse(&format!("database {text:?} in {{url}} is not a number from 0 to 255"), "write /0, /1, …")
            })?,
        };
        let (username, password) = match login {
            None => ("", None),
            Some(login) => match login.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (login, None),
            },
        };
        let broken = || refuse("user or password in {url} holds a broken %-escape", "write %25 for %");
        let username = decode(username).ok_or_else(broken)?;
        self.username = Some(username).filter(|user| !user.is_empty());
        self.password = match password {
            None => None,
            Some("") => return Err(refuse("the password in {url} is empty", "leave out the ':' or fill it in")),
            Some(password) => Some(Secret::new(decode(password).ok_or_else(broken)?)),
        };
        Ok(self)
    }

    /// The URL of this server, its password as `***`.
    #[must_use]
    pub fn shown_url(&self) -> String {
        let login = match (&self.username, &self.password) {
            (None, None) => String::new(),
            (user, None) => format!("{}@", encode(user.as_deref().unwrap_or(""))),
            (user, Some(_)) => format!("{}:***@", encode(user.as_deref().unwrap_or(""))),
        };
        match &self.endpoint {
            Endpoint::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                format!("{scheme}://{login}{host}:{port}/{}", self.database)
            }
            Endpoint::Unix(path) => {
                format!("redis+unix://{login}{}?db={}", encode(&path.to_string_lossy()), self.database)
            }
            Endpoint::Embedded(directory) => format!("embedded:{}", directory.display()),
        }
    }
}

fn tcp(authority: &str, tls: bool) -> Result<Endpoint, (String, &'static str)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let close = || ("{url} has no ']' behind its address".to_owned(), "write redis://[::1]:6379");
        let (host, port) = rest.split_once(']').ok_or_else(close)?;
        (host, port.strip_prefix(':'))
    } else {
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(("{url} names no host".into(), "write redis://HOST:PORT"));
    }
    let port = match port {
        None => 6379,
        Some(text) => text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
            (format!("port {text:?} in {{url}} is not a number from 1 to 65535"), "write redis://HOST:PORT")
        })?,
    };
    Ok(Endpoint::Tcp { host: host.to_owned(), port, tls })
}

/// A path as seen from a directory, whatever the current one will be.
pub(super) fn absolute(directory: &Path, path: impl AsRef<Path>) -> PathBuf {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let mut base = here.canonicalize().or_else(|_| std::path::absolute(here)).unwrap_or_else(|_| here.to_owned());
    let mut steps = path.as_ref().components().peekable();
    // the base holds no links, so a step up from it is where it seems to be
    while let Some(step @ (Component::ParentDir | Component::CurDir)) = steps.peek() {
        if *step == Component::ParentDir {
            base.pop();
        }
        steps.next();
    }
    base.join(steps.collect::<PathBuf>())
}

/// The URL with what may be a password covered.
pub(super) fn shown(url: &str) -> String {
    let covered = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, host))) if rest.contains('@') => {
            let user = rest.split([':', '@']).next().unwrap_or("");
            format!("{scheme}://{user}:***@{host}")
        }
        _ => url.to_owned(),
    };
    format!("{covered:?}")
}

pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).expect("two hex digits are a byte"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Redis, Invalid> {
        Redis::default().with_url(url, Path::new("/none/oxherd"))
    }

    fn host(redis: &Redis) -> (&str, u16, bool) {
        match &redis.endpoint {
            Endpoint::Tcp { host, port, tls } => (host, *port, *tls),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn servers_are_read() {
        let redis = read("redis://127.0.0.1:6380/3").unwrap();
        assert_eq!((host(&redis), redis.database), (("127.0.0.1", 6380, false), 3));
        assert_eq!(host(&read("redis://cache").unwrap()), ("cache", 6379, false));
        assert_eq!(host(&read("rediss://[::1]:7000").unwrap()), ("::1", 7000, true));
        let redis = read("redis://me:p%40ss%2Fw:x@host/1").unwrap();
        assert_eq!(redis.username.as_deref(), Some("me"));
        assert_eq!(redis.password.as_ref().unwrap().reveal(), "p@ss/w:x");
        assert_eq!(redis.shown_url(), "redis://me:***@host:6379/1");
        assert_eq!(read("redis://:secret@host").unwrap().username, None);
    }

    #[test]
    fn sockets_and_directories_are_read() {
        let redis = read("redis+unix:///run/redis.sock?db=2").unwrap();
        assert_eq!((redis.endpoint.clone(), redis.database), (Endpoint::Unix("/run/redis.sock".into()), 2));
        assert_eq!(redis.shown_url(), "redis+unix:///run/redis.sock?db=2");
        assert_eq!(read("embedded:data").unwrap().endpoint, Endpoint::Embedded("/none/oxherd/data".into()));
        assert_eq!(read("embedded:/var/x").unwrap().endpoint, Endpoint::Embedded("/var/x".into()));
    }

    #[test]
    fn paths_are_taken_from_their_directory() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("config")).unwrap();
        for (path, want) in [
            ("x", "config/x"),
            ("./x/y", "config/x/y"),
            ("../.demo", ".demo"),
            ("a/../b", "config/a/../b"),
            (".", "config"),
        ] {
            assert_eq!(absolute(&base.join("config"), path), base.join(want), "{path}");
        }
        assert_eq!(absolute(&base, "/var/x"), Path::new("/var/x"));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for url in ["redis://h:1/2", "rediss://[::1]:6379/0", "redis+unix:///a%20b?db=0", "embedded:/x"] {
            assert_eq!(read(url).unwrap().shown_url(), url);
        }
    }

    #[test]
    fn mistakes_are_named_without_the_password() {
        for (url, message) in [
            ("", "the URL of Redis is empty"),
            ("127.0.0.1:6379", "\"127.0.0.1:6379\" is not a URL"),
            ("http://x", "unknown scheme \"http\" in \"http://x\""),
            ("redis-cluster://a,b", "redis-cluster is not supported yet, got \"redis-cluster://a,b\""),
            ("redis-sentinel://a", "redis-sentinel is not supported yet, got \"redis-sentinel://a\""),
            ("redis://", "\"redis://\" names no host"),
            ("redis://h:99999", "port \"99999\" in \"redis://h:99999\" is not a number from 1 to 65535"),
            ("redis://h:0", "port \"0\" in \"redis://h:0\" is not a number from 1 to 65535"),
            ("redis://h/300", "database \"300\" in \"redis://h/300\" is not a number from 0 to 255"),
            ("redis://h?x=1", "unknown parameter \"x\" in \"redis://h?x=1\""),
            ("redis+unix://run/x", "\"redis+unix://run/x\" names no absolute path of a socket"),
            ("embedded:", "embedded: names no directory"),
            ("redis://:@h", "the password in \"redis://:***@h\" is empty"),
            ("redis://u:pw%zz@h", "user or password in \"redis://u:***@h\" holds a broken %-escape"),
            ("redis://u:p/w@h:x", "port \"x\" in \"redis://u:***@h:x\" is not a number from 1 to 65535"),
        ] {
            assert_eq!(read(url).unwrap_err().message, message);
        }
    }
}
