//! A collector of traces: takes OTLP over HTTP, as the daemon sends it, and keeps the spans.

use std::fmt::Write as _;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::eventually;
use super::receiver::request;

pub struct Collector {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    spans: Mutex<Vec<Span>>,
    resource: Mutex<Vec<KeyValue>>,
    heads: Mutex<Vec<String>>,
    requests: AtomicUsize,
    status: AtomicU16,
}

impl Collector {
    pub fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn on(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            spans: Mutex::default(),
            resource: Mutex::default(),
            heads: Mutex::default(),
            requests: AtomicUsize::new(0),
            status: AtomicU16::new(200),
        });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, inner }
    }

    /// What it answers from now on.
    pub fn answers(&self, status: u16) {
        self.inner.status.store(status, Ordering::SeqCst);
    }

    pub fn requests(&self) -> usize {
        self.inner.requests.load(Ordering::SeqCst)
    }

    /// Head of the last request.
    pub fn head(&self) -> String {
        self.inner.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }

    pub fn spans(&self) -> Vec<Span> {
        self.inner.spans.lock().unwrap().clone()
    }

    /// Waits for so many spans.
    #[track_caller]
    pub fn collected(&self, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans are collected"), || self.spans().len() >= count);
        self.spans()
    }

    /// What is said of the sender.
    pub fn resource(&self, name: &str) -> String {
        attribute(&self.inner.resource.lock().unwrap(), name)
    }
}

/// The value of an attribute as text.
pub fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn serve(stream: TcpStream, inner: &Inner) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = request(&mut reader) {
        let status = inner.status.load(Ordering::SeqCst);
        inner.heads.lock().unwrap().push(head);
        inner.requests.fetch_add(1, Ordering::SeqCst);
        if status == 200 {
            let sent = ExportTraceServiceRequest::decode(&*body).expect("the body is what the protocol says");
            for of in sent.resource_spans {
                *inner.resource.lock().unwrap() = of.resource.expect("it says who sends").attributes;
                let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
                inner.spans.lock().unwrap().extend(spans);
            }
        }
        let answer =
            format!("HTTP/1.1 {status} Status\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n");
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
