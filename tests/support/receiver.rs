//! An HTTP endpoint for jobs: keeps connections, notes every request, answers as it is told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub struct Receiver {
    pub url: String,
    requests: Arc<Mutex<Vec<Value>>>,
}

/// Status, header lines and body.
type Answer = dyn Fn(&Value) -> (u16, String, String) + Send + Sync;

impl Receiver {
    /// `answer` makes status and body out of the envelope that was posted.
    pub fn start(answer: impl Fn(&Value) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::with_headers(move |envelope| {
            let (status, body) = answer(envelope);
            (status, String::new(), body)
        })
    }

    /// As [`Receiver::start`], with header lines between status and body, each with its line end.
    pub fn with_headers(answer: impl Fn(&Value) -> (u16, String, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer): (_, Arc<Answer>) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &noted, &*answer));
            }
        });
        Self { url, requests }
    }

    /// Every envelope so far, in order of arrival.
    pub fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// One connection until its other end closes it.
fn serve(stream: TcpStream, noted: &Mutex<Vec<Value>>, answer: &Answer) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((_, body)) = request(&mut reader) {
        let envelope: Value = serde_json::from_slice(&body).expect("the body is JSON");
        noted.lock().unwrap().push(envelope.clone());
        let (status, headers, text) = answer(&envelope);
        let head = format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
            text.len()
        );
        if writer.write_all(format!("{head}{text}").as_bytes()).is_err() {
            return;
        }
    }
}

/// Head and body of the next request; `None` at the end of the connection.
pub fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let (mut length, mut head) = (0, String::new());
    for line in 0.. {
        let mut text = String::new();
        if reader.read_line(&mut text).ok()? == 0 {
            return None;
        }
        if line > 0 && text.trim_end().is_empty() {
            break;
        }
        if let Some(value) = text.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length is a number");
        }
        head += &text;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}
