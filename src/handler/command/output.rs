//! What a program prints, read to the end and kept within bounds: a program that prints more is
//! never held up and never fills our memory.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads until the end and hands over each piece. A read error is an end too.
pub(crate) async fn drain(mut stream: impl AsyncRead + Unpin, mut each: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        each(&buffer[..count]);
    }
}

/// The beginning and the end of what came, and how much is missing in between.
pub(crate) struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_room: usize,
    tail_room: usize,
    dropped: usize,
}

impl Kept {
    /// Half of the bytes for the beginning, half for the end.
    pub(crate) fn both_ends(bytes: usize) -> Self {
        Self::new(bytes - bytes / 2, bytes / 2)
    }

    pub(crate) fn end(bytes: usize) -> Self {
        Self::new(0, bytes)
    }

    fn new(head_room: usize, tail_room: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), head_room, tail_room, dropped: 0 }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.head_room - self.head.len()));
        self.head.extend_from_slice(first);
        let skip = rest.len().saturating_sub(self.tail_room);
        let rest = &rest[skip..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.tail_room);
        self.tail.drain(..over);
        self.tail.extend(rest);
        self.dropped += skip + over;
    }

    /// All of it, or both ends with a note between them.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.head;
        if self.dropped > 0 && self.head_room > 0 {
            bytes.extend_from_slice(format!("\n… {} bytes dropped …\n", self.dropped).as_bytes());
        }
        bytes.extend(self.tail);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f85_both_ends_stay_and_the_middle_is_counted() {
        let mut kept = Kept::both_ends(10);
        for piece in ["abc", "defghijkl", "", "mnopqrstuvw", "xyz"] {
            kept.push(piece.as_bytes());
        }
        assert_eq!(String::from_utf8(kept.into_bytes()).unwrap(), "abcde\n… 16 bytes dropped …\nvwxyz");
        let mut kept = Kept::end(3);
        kept.push(b"abcdef");
        assert_eq!(kept.into_bytes(), b"def");
    }

    proptest! {
        #[test]
        fn whatever_fits_is_whole(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let all = pieces.concat();
            let mut kept = Kept::both_ends(all.len());
            for piece in &pieces {
                kept.push(piece);
            }
            prop_assert_eq!(kept.into_bytes(), all);
        }
    }
}
