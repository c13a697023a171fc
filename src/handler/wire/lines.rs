//! Lines out of a stream, each within a bound.

/// Cuts a stream into lines of at most `limit` bytes.
pub(crate) struct Lines {
    line: Vec<u8>,
    limit: usize,
    cut: usize,
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Self {
        Self { line: Vec::new(), limit, cut: 0 }
    }

    /// Hands over each line that is complete, with the number of bytes it is short of.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8], usize)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = self.limit - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            self.cut += text.len().saturating_sub(room);
            if ended {
                self.end(&mut each);
            }
        }
    }

    /// The last line, which nothing ended.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&[u8], usize)) {
        if !self.line.is_empty() {
            self.end(&mut each);
        }
    }

    /// Whether no line has begun that nothing has ended yet.
    #[cfg(feature = "http")]
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.cut == 0
    }

    fn end(&mut self, each: &mut impl FnMut(&[u8], usize)) {
        each(&self.line, self.cut);
        self.line.clear();
        self.cut = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f86_lines_are_cut_and_put_together() {
        let mut seen = Vec::new();
        let mut lines = Lines::new(5);
        for piece in ["one\ntw", "o\n\n", "123456", "78\nlast"] {
            lines.push(piece.as_bytes(), |line, cut| seen.push((String::from_utf8(line.to_vec()).unwrap(), cut)));
        }
        lines.finish(|line, cut| seen.push((String::from_utf8(line.to_vec()).unwrap(), cut)));
        let seen: Vec<_> = seen.iter().map(|(line, cut)| (line.as_str(), *cut)).collect();
        assert_eq!(seen, [("one", 0), ("two", 0), ("", 0), ("12345", 3), ("last", 0)]);
    }
}
