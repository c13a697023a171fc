//! Status messages as somebody reads them who follows jobs: live from their channels, or from the stream that keeps them.
//!
//! For `oxherd watch`, for what shows them to browsers, and for programs.

mod kept;
mod message;

use super::error::Error;
use super::subscription::{Heard, Subscription};
use super::{Store, keys};
use crate::config;
use kept::Kept;
pub use kept::KeptPage;

use message::Template;
pub use message::{EntryId, NoEntryId, StatusMessage};

/// Status messages, one after the other, until it is dropped; then its connection closes. It mends itself, without end.
pub struct Updates(Source);

enum Source {
    Live { subscription: Subscription, templates: Vec<Template> },
    Kept(Kept),
}

/// The pattern that is subscribed to for a channel with placeholders.
pub(super) fn pattern_of(channel: &str) -> String {
    Template::of(channel).pattern(keys::escaped)
}

impl Store {
    /// Follows status messages from now on. `channels` are those of the configuration, [`config::Config::followed`], with
    /// `{queue}` and `{tenant}` in them. What is published while the link is down is lost; it is told how long that was.
    pub async fn updates(&self, channels: &[String]) -> Result<Updates, Error> {
        let (templates, plain): (Vec<Template>, Vec<Template>) =
            channels.iter().map(|channel| Template::of(channel)).partition(Template::has_holes);
        let patterns: Vec<String> = templates.iter().map(|template| template.pattern(keys::escaped)).collect();
        let channels: Vec<String> = plain.iter().map(|template| template.pattern(str::to_owned)).collect();
        let subscription = self.subscribe(&channels, &patterns).await?;
        Ok(Updates(Source::Live { subscription, templates }))
    }

    /// Reads the stream that keeps status messages, all entries behind `after`, then what comes; without `after` what
    /// comes from now on. A gap tells that entries were trimmed before they could be read, and over how long a time.
    ///
    /// Nothing is dropped for a slow reader: the stream keeps it.
    pub async fn updates_kept(&self, stream: &config::StatusStream, after: Option<EntryId>) -> Result<Updates, Error> {
        Kept::open(self, stream, after).await.map(|kept| Updates(Source::Kept(kept)))
    }

    /// At most `count` messages that the stream has kept behind `after`, without waiting for more.
    pub async fn kept_page(
        &self,
        stream: &config::StatusStream,
        after: EntryId,
        count: usize,
    ) -> Result<KeptPage, Error> {
        KeptPage::after(&self.inner.command, &stream.key, after, count).await
    }
}

impl Updates {
    /// What comes next; `None` when there can be no more. What others publish on these channels is passed over.
    /// Cancellation safe.
    pub async fn next(&mut self) -> Option<Heard<StatusMessage>> {
        let (subscription, templates) = match &mut self.0 {
            Source::Live { subscription, templates } => (subscription, templates),
            Source::Kept(kept) => return kept.next().await,
        };
        loop {
            let message = match subscription.next().await? {
                Heard::Message(message) => message,
                Heard::Missed(count) => return Some(Heard::Missed(count)),
                Heard::Gap(gap) => return Some(Heard::Gap(gap)),
            };
            match StatusMessage::read(message.payload) {
                Ok(mut status) => {
                    if status.queue.is_none() {
                        status.queue = templates.iter().find_map(|template| template.queue_in(&message.channel));
                    }
                    return Some(Heard::Message(status));
                }
                Err(error) => tracing::debug!(channel = message.channel, %error, "not a status message"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
