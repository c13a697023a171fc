//! What has been heard and not been read yet, bounded: whoever reads slowly loses the oldest messages and is told how
//! many. The one that fills it never waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Heard, Message};

/// For one writer and one reader.
pub(super) struct Backlog {
    state: Mutex<State>,
    /// Keeps one permit, which is enough for one reader.
    ready: Notify,
    /// Messages kept, and the bytes of them.
    bounds: (usize, usize),
}

#[derive(Default)]
struct State {
    updates: VecDeque<Heard<Message>>,
    bytes: usize,
    /// Dropped before the first that is kept: messages, and the time of gaps.
    missed: u64,
    gap: Option<Duration>,
    closed: bool,
}

impl Backlog {
    pub(super) fn new(messages: usize, bytes: usize) -> Self {
        Self { state: Mutex::default(), ready: Notify::new(), bounds: (messages, bytes) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }

    pub(super) fn push(&self, update: Heard<Message>) {
        let mut state = self.state();
        state.bytes += size(&update);
        state.updates.push_back(update);
        while state.updates.len() > self.bounds.0 || state.bytes > self.bounds.1 && state.updates.len() > 1 {
            let Some(oldest) = state.updates.pop_front() else { break };
            state.bytes -= size(&oldest);
            match oldest {
                Heard::Message(_) => state.missed += 1,
                Heard::Missed(count) => state.missed += count,
                Heard::Gap(gap) => state.gap = Some(state.gap.unwrap_or_default() + gap),
            }
        }
        drop(state);
        self.ready.notify_one();
    }

    /// There will be no more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.ready.notify_one();
    }

    /// The next; `None` when there can be no more. Cancellation safe.
    pub(super) async fn next(&self) -> Option<Heard<Message>> {
        loop {
            {
                let mut state = self.state();
                if state.missed > 0 {
                    return Some(Heard::Missed(std::mem::take(&mut state.missed)));
                }
                if let Some(gap) = state.gap.take() {
                    return Some(Heard::Gap(gap));
                }
                if let Some(update) = state.updates.pop_front() {
                    state.bytes -= size(&update);
                    return Some(update);
                }
                if state.closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }
}

fn size(update: &Heard<Message>) -> usize {
    match update {
        Heard::Message(message) => message.channel.len() + message.payload.len(),
        Heard::Missed(_) | Heard::Gap(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &str) -> Heard<Message> {
        Heard::Message(Message { channel: "c".into(), payload: payload.into() })
    }

    #[tokio::test]
    async fn the_oldest_make_room_and_are_counted() {
        let backlog = Backlog::new(2, 1000);
        for payload in ["a", "b", "c", "d"] {
            backlog.push(message(payload));
        }
        backlog.close();
        assert_eq!(backlog.next().await, Some(Heard::Missed(2)));
        assert_eq!(backlog.next().await, Some(message("c")));
        assert_eq!(backlog.next().await, Some(message("d")));
        assert_eq!(backlog.next().await, None);
    }

    #[tokio::test]
    async fn long_messages_count_by_their_bytes_and_one_is_always_kept() {
        let backlog = Backlog::new(100, 10);
        backlog.push(message("123"));
        backlog.push(message("456"));
        backlog.push(message(&"x".repeat(50)));
        assert_eq!(backlog.next().await, Some(Heard::Missed(2)));
        assert_eq!(backlog.next().await, Some(message(&"x".repeat(50))));
        backlog.push(message("123"));
        assert_eq!(backlog.next().await, Some(message("123")), "what was read counts no more");
    }

    #[tokio::test]
    async fn a_gap_is_told_even_when_it_had_to_make_room() {
        let backlog = Backlog::new(1, 1000);
        let second = Duration::from_secs(1);
        backlog.push(message("a"));
        backlog.push(Heard::Gap(second));
        backlog.push(Heard::Missed(3));
        backlog.push(Heard::Gap(second));
        backlog.push(message("b"));
        assert_eq!(backlog.next().await, Some(Heard::Missed(4)));
        assert_eq!(backlog.next().await, Some(Heard::Gap(2 * second)));
        assert_eq!(backlog.next().await, Some(message("b")));
    }
}
