//! Asks the running daemon over HTTP how it is. No client is needed for one request to one's own process.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config;

/// Longest answer that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What it says, for people and for programs; the error is why it is not well.
pub fn ask(admin: &config::Admin, ready: bool, patience: Duration) -> Result<(String, Value), String> {
    let path = if ready { "/ready" } else { "/live" };
    let address = reached(admin.listen);
    let url = format!("http://{address}{path}");
    let (status, body) = get(address, path, admin.token.as_ref().map(config::Secret::reveal), patience)
        .map_err(|error| format!("{url} does not answer: {}", because(&error)))?;
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let findings = findings(&body);
    match status {
        200 => {
            let found = if findings.is_empty() { String::new() } else { format!("; {findings}") };
            let word = if ready { "ready" } else { "live" };
            Ok((format!("{word}{found}"), json!({ "asked": url, "health": body })))
        }
        503 if !findings.is_empty() => Err(findings),
        status => {
            let why = body["error"].as_str().unwrap_or("without a reason");
            Err(format!("{url} answers {status}: {why}"))
        }
    }
}

/// Where a server is reached from here that listens there.
fn reached(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn findings(body: &Value) -> String {
    let found = body["findings"].as_array().into_iter().flatten();
    let texts: Vec<String> = found
        .filter_map(|finding| {
            let of = finding["queue"].as_str().or(finding["handler"].as_str());
            let of = of.map(|of| format!("{of}: ")).unwrap_or_default();
            Some(format!("{of}{}", finding["text"].as_str()?))
        })
        .collect();
    texts.join("; ")
}

/// Status and body of one request, within so long.
fn get(address: SocketAddr, path: &str, token: Option<&str>, patience: Duration) -> io::Result<(u16, String)> {
    let until = Instant::now() + patience;
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_write_timeout(Some(patience))?;
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    // of HTTP 1.0: the body is what follows the head
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n{token}\r\n")?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            read => answer.extend_from_slice(&part[..read]),
        }
        if answer.len() as u64 > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    let parts = status.zip(body);
    parts.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what listens there does not speak HTTP"))
}

fn because(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "nothing came in time".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there; does the daemon run?".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listen, asked) in [
            ("0.0.0.0:7117", "127.0.0.1:7117"),
            ("[::]:7117", "[::1]:7117"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("192.0.2.7:7117", "192.0.2.7:7117"),
        ] {
            assert_eq!(reached(listen.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn what_is_amiss_is_said_in_one_line() {
        let body = json!({ "findings": [
            { "code": "not_taking", "text": "not taking: jobs have waited 31 s", "queue": "mail" },
            { "code": "redis_away", "text": "redis is away: refused" },
        ] });
        assert_eq!(findings(&body), "mail: not taking: jobs have waited 31 s; redis is away: refused");
        assert_eq!(findings(&json!({})), "");
    }
}
