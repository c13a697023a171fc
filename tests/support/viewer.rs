//! Somebody who watches `/v1/events`, by hand: bytes on a socket, so that a test decides what is sent and when it is read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;

/// A port nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One thing a viewer is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: Value,
}

/// An answer, read as far as its head.
pub struct Answer {
    pub status: u16,
    headers: String,
    pub body: BufReader<TcpStream>,
}

/// Asks once there is somebody who listens. Of HTTP 1.0, so that what comes is not in chunks.
pub fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = connect(port);
    request(stream, "1.0", method, path, headers)
}

fn connect(port: u16) -> TcpStream {
    let mut stream = None;
    super::eventually("somebody listens", || {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    let stream = stream.unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn request(mut stream: TcpStream, version: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let port = stream.peer_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}");
    let own = if headers.iter().any(|(name, _)| *name == "host") { &[][..] } else { &[("host", host.as_str())] };
    let lines: Vec<String> = own.iter().chain(headers).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/{version}\r\n{}\r\n", lines.concat()).unwrap();
    let mut body = BufReader::new(stream);
    let mut first = String::new();
    body.read_line(&mut first).unwrap();
    let status = first.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {first:?}")).parse().unwrap();
    let mut headers = String::new();
    while !headers.ends_with("\r\n\r\n") && headers != "\r\n" {
        assert!(body.read_line(&mut headers).unwrap() > 0, "the head has no end: {headers}");
    }
    Answer { status, headers, body }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The `error` of a refusal.
    pub fn error(mut self) -> String {
        let mut text = String::new();
        self.body.read_to_string(&mut text).unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        body["error"].as_str().unwrap().to_owned()
    }

    /// The next event; `None` at the end.
    pub fn next(&mut self) -> Option<Event> {
        let (mut name, mut id, mut data) = (None, None, String::new());
        loop {
            let mut line = String::new();
            if self.body.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", text)) => name = Some(text.to_owned()),
                Some(("id", text)) => id = Some(text.to_owned()),
                Some(("data", text)) => data.push_str(text),
                _ => {}
            }
            if line == "\n" {
                let Some(name) = name.take() else { continue };
                return Some(Event { name, id, data: serde_json::from_str(&data).unwrap() });
            }
        }
    }

    /// As [`Answer::next`], where there has to be one of this name.
    #[track_caller]
    pub fn expect(&mut self, name: &str) -> Value {
        let event = self.next().expect("there is another event");
        assert_eq!(event.name, name, "{}", event.data);
        event.data
    }

    /// Tells the other side that there is nobody any more.
    pub fn leave(self) {
        self.body.get_ref().shutdown(Shutdown::Both).unwrap();
    }
}

/// Follows as server-sent events; back when everything is heard.
#[track_caller]
pub fn follow(port: u16, query: &str) -> Answer {
    let mut answer = ask(port, "GET", &format!("/v1/events?{query}"), &[]);
    let status = answer.status;
    assert!(status == 200, "{status}: {}", answer.error());
    answer.expect("ready");
    answer
}

/// The same over a WebSocket.
pub struct Socket {
    stream: BufReader<TcpStream>,
    /// Empty pings so far.
    pub pings: usize,
}

impl Socket {
    /// Shakes hands; fails with the status when that is refused.
    pub fn open(port: u16, query: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        let own = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        let path = format!("/v1/events?{query}");
        let answer = request(connect(port), "1.1", "GET", &path, &[&own[..], headers].concat());
        if answer.status != 101 {
            return Err(answer.status);
        }
        // of RFC 6455, 1.3
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Ok(Self { stream: answer.body, pings: 0 })
    }

    /// The next message; at the end the code and the reason.
    pub fn next(&mut self) -> Result<Event, (u16, String)> {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < PATIENCE, "nothing but pings");
            let (kind, bytes) = self.frame();
            match kind {
                1 => {
                    let value: Value = serde_json::from_slice(&bytes).unwrap();
                    let text = |name: &str| value[name].as_str().map(str::to_owned);
                    return Ok(Event { name: text("type").unwrap(), id: text("id"), data: value["data"].clone() });
                }
                8 => {
                    let code = u16::from_be_bytes([bytes[0], bytes[1]]);
                    return Err((code, String::from_utf8(bytes[2..].to_vec()).unwrap()));
                }
                9 => self.pings += 1,
                kind => panic!("a frame of kind {kind}"),
            }
        }
    }

    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0] & 0xf0, 0x80, "whole, and nothing was agreed on");
        let mut length = u64::from(head[1]);
        if length >= 126 {
            let mut bytes = [0; 8];
            let from = if length == 126 { 6 } else { 0 };
            self.stream.read_exact(&mut bytes[from..]).unwrap();
            length = u64::from_be_bytes(bytes);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut bytes).unwrap();
        (head[0] & 0x0f, bytes)
    }

    /// Sends a frame, masked with zeros.
    pub fn send(&mut self, kind: u8, bytes: &[u8]) {
        assert!(bytes.len() < 126);
        let head = [0x80 | kind, 0x80 | u8::try_from(bytes.len()).unwrap(), 0, 0, 0, 0];
        self.stream.get_mut().write_all(&[&head[..], bytes].concat()).unwrap();
    }
}
