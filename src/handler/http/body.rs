//! The body of an answer as it comes: piece by piece, within a bound, and not slower than it has to be.

use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::Response;
use http::header::CONTENT_ENCODING;
use http_body_util::{BodyDataStream, BodyExt};
use hyper::body::{Body as _, Incoming};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;
use tokio_util::io::StreamReader;

use super::failure;
use crate::config::units::show_size;

/// An answer whose status and headers are there.
pub(in crate::handler) struct Body<'a> {
    source: Source,
    /// Who sends it, for messages.
    from: &'a str,
    pace: Pace,
    bytes: usize,
}

/// Where the bytes come from.
enum Source {
    Plain(Incoming),
    /// What was packed, unpacked.
    Packed(Box<dyn AsyncRead + Send + Unpin>),
}

/// What is unpacked at once.
const PIECE: usize = 16 * 1024;

impl Source {
    fn new(response: Response<Incoming>) -> Self {
        let encoding = response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii());
        let is_packed = encoding
            .is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip"));
        let body = response.into_body();
        if !is_packed || body.is_end_stream() {
            return Self::Plain(body);
        }
        let packed = StreamReader::new(BodyDataStream::new(body).map_err(std::io::Error::other));
        let mut unpacked = GzipDecoder::new(packed);
        unpacked.multiple_members(true);
        Self::Packed(Box::new(unpacked))
    }

    /// The next piece; `None` at the end. Cancel safe.
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        match self {
            Self::Plain(body) => loop {
                match body.frame().await {
                    None => return Ok(None),
                    // what trails a body says nothing to us
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Ok(Some(data)),
                        _ => {}
                    },
                    Some(Err(error)) => return Err(failure::causes(&error)),
                }
            },
            Self::Packed(unpacked) => {
                let mut piece = BytesMut::with_capacity(PIECE);
                match unpacked.read_buf(&mut piece).await {
                    Ok(bytes) => Ok((bytes > 0).then(|| piece.freeze())),
                    Err(error) => Err(failure::causes(&error)),
                }
            }
        }
    }
}

/// Bytes over time. Nothing is measured before the first byte: the endpoint may still be at work.
#[derive(Clone, Copy)]
pub(in crate::handler) struct Pace {
    /// Bytes per second; `None`: as slow as they like.
    pub(super) least: Option<usize>,
    /// Over which the rate is taken.
    pub(super) window: Duration,
    /// When the window began, and what has come in it.
    begun: Option<(Instant, usize)>,
}

impl Pace {
    pub(in crate::handler) fn new(least: Option<usize>) -> Self {
        Self { least, window: Duration::from_secs(10), begun: None }
    }

    fn end(&self) -> Option<Instant> {
        self.least?;
        self.begun.map(|(since, _)| since + self.window)
    }

    fn heard(&mut self, bytes: usize) {
        let (since, before) = self.begun.unwrap_or_else(|| (Instant::now(), 0));
        self.begun = Some((since, before + bytes));
    }

    /// At the end of a window: whether enough came in it. Another one begins.
    fn is_kept(&mut self) -> bool {
        let came = self.begun.replace((Instant::now(), 0)).map_or(0, |(_, bytes)| bytes);
        came as u128 * 1000 >= self.least.unwrap_or(0) as u128 * self.window.as_millis()
    }
}

impl<'a> Body<'a> {
    pub(in crate::handler) fn new(response: Response<Incoming>, from: &'a str, pace: Pace) -> Self {
        Self { source: Source::new(response), from, pace, bytes: 0 }
    }

    /// The next piece; `None` at the end. The error is the reason of the retry. Cancel safe.
    pub(in crate::handler) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let chunk = match self.pace.end() {
                None => self.source.next().await,
                Some(end) => tokio::select! {
                    biased;
                    chunk = self.source.next() => chunk,
                    () = tokio::time::sleep_until(end) => {
                        self.check()?;
                        continue;
                    }
                },
            };
            let chunk =
                chunk.map_err(|why| format!("{} broke off its answer after {} bytes: {why}", self.from, self.bytes))?;
            if let Some(chunk) = &chunk {
                self.bytes += chunk.len();
                self.pace.heard(chunk.len());
                // one that drips never lets us wait for the end of the window
                if self.pace.end().is_some_and(|end| end <= Instant::now()) {
                    self.check()?;
                }
            }
            return Ok(chunk);
        }
    }

    /// Nothing needs to come until the next byte has.
    pub(super) fn pauses(&mut self) {
        self.pace.begun = None;
    }

    /// Appends what comes, up to a bound. `false`: there was more, and the connection is not kept. Cancel safe: what has
    /// been read stays.
    pub(super) async fn read(&mut self, into: &mut Vec<u8>, limit: usize) -> Result<bool, String> {
        while let Some(chunk) = self.next().await? {
            let room = limit - into.len();
            into.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Why nothing more of it is read.
    pub(super) fn is_longer_than(&self, limit: usize) -> String {
        format!("{} answered more than {limit} bytes", self.from)
    }

    fn check(&mut self) -> Result<(), String> {
        if self.pace.is_kept() {
            return Ok(());
        }
        let least = show_size(self.pace.least.unwrap_or(0));
        Err(format!("{} sends its answer too slowly, less than {least} per second (min_rate)", self.from))
    }
}
