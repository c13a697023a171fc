//! The body of an answer as it comes: piece by piece, within a bound, and not slower than it has to be.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::time::Instant;

use super::failure;
use crate::config::units::show_size;

/// An answer whose status and headers are there.
pub(super) struct Body<'a> {
    response: Response,
    /// Who sends it, for messages.
    from: &'a str,
    pace: Pace,
    bytes: usize,
}

/// Bytes over time. Nothing is measured before the first byte: the endpoint may still be at work.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Bytes per second; `None`: as slow as they like.
    pub(super) least: Option<usize>,
    /// Over which the rate is taken.
    pub(super) window: Duration,
    /// When the window began, and what has come in it.
    begun: Option<(Instant, usize)>,
}

impl Pace {
    pub(super) fn new(least: Option<usize>) -> Self {
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
    pub(super) fn new(response: Response, from: &'a str, pace: Pace) -> Self {
        Self { response, from, pace, bytes: 0 }
    }

    /// The next piece; `None` at the end. The error is the reason of the retry. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let chunk = match self.pace.end() {
                None => self.response.chunk().await,
                Some(end) => tokio::select! {
                    biased;
                    chunk = self.response.chunk() => chunk,
                    () = tokio::time::sleep_until(end) => {
                        self.check()?;
                        continue;
                    }
                },
            };
            let chunk = chunk.map_err(|error| {
                format!("{} broke off its answer after {} bytes: {}", self.from, self.bytes, failure::causes(&error))
            })?;
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
