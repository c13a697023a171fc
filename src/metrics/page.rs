//! Writes what Prometheus reads: its text format, version 0.0.4.
//!
//! Names of queues, handlers and schedules are somebody else's. They are escaped, cut where they are long, and a family of
//! metrics never has more of them than [`MOST`], so that no name can make a page that cannot be read, or has no end.

use std::fmt::Write as _;

use super::count::Histogram;

/// What a page is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Names in one family, at most: whatever comes after them is left out.
pub(super) const MOST: usize = 1000;
/// Samples of a name, at most; a histogram counts as so many.
const EACH: usize = 10;
/// Bytes of a label's value, at most.
const LONGEST: usize = 120;

/// What a family of metrics is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page being written.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

/// One family of metrics, all the samples of which follow one another.
pub(super) struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
    room: usize,
}

impl Page {
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { page: self, name, room: MOST * EACH }
    }

    /// A family of one value without labels.
    pub(super) fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Number) {
        self.family(name, kind, help).put(&[], value);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], end: Option<&str>, value: f64) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let labels = labels.iter().copied().chain(end.map(|end| ("le", end)));
        for (at, (name, value)) in labels.enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        if self.text.ends_with('"') {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

impl Family<'_> {
    pub(super) fn put(&mut self, labels: &[(&str, &str)], value: impl Number) {
        if self.takes(1) {
            self.page.sample(self.name, "", labels, None, value.number());
        }
    }

    pub(super) fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        if !self.takes(EACH) {
            return;
        }
        let (buckets, sum, all) = histogram.read();
        for (end, count) in buckets {
            self.page.sample(self.name, "_bucket", labels, Some(&end.to_string()), count.number());
        }
        self.page.sample(self.name, "_bucket", labels, Some("+Inf"), all.number());
        self.page.sample(self.name, "_sum", labels, None, sum);
        self.page.sample(self.name, "_count", labels, None, all.number());
    }

    /// Whether there is room for so much more.
    fn takes(&mut self, room: usize) -> bool {
        let is_there = self.room >= room;
        self.room = self.room.saturating_sub(room);
        is_there
    }
}

/// What a sample's value can be.
pub(super) trait Number {
    fn number(self) -> f64;
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Number for u64 {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn number(self) -> f64 {
        (self as u64).number()
    }
}

impl Number for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Number for std::time::Duration {
    fn number(self) -> f64 {
        self.as_secs_f64()
    }
}

/// The value of a label as it stands on the page. What is cut stays apart from others that begin the same.
fn escape(value: &str, into: &mut String) {
    let mut end = value.len();
    if value.len() > LONGEST {
        end = (0..=LONGEST - 9).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
    }
    for c in value[..end].chars() {
        match c {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            c if c.is_control() => into.push('\u{fffd}'),
            c => into.push(c),
        }
    }
    if end < value.len() {
        into.push('~');
        into.push_str(&sha1_smol::Sha1::from(value).digest().to_string()[..8]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::count::OF_CALLS;
    use super::*;

    #[test]
    fn f143_hostile_names_make_no_other_page() {
        let mut page = Page::default();
        let mut family = page.family("oxherd_x", Kind::Gauge, "Help.");
        family.put(&[("queue", "a\"} 1\noxherd_y{q=\"\\")], 1_u64);
        family.put(&[("queue", "\u{1b}[2J\r")], true);
        let long = "ä".repeat(5000);
        family.put(&[("queue", &long)], 3_u64);
        family.put(&[("queue", &format!("{long}2"))], 4_u64);
        let text = page.into_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert_eq!(lines[2], r#"oxherd_x{queue="a\"} 1\noxherd_y{q=\"\\"} 1"#);
        assert_eq!(lines[3], "oxherd_x{queue=\"\u{fffd}[2J\u{fffd}\"} 1");
        assert!(lines[4].len() < 160 && lines[4] != lines[5].replace(" 4", " 3"), "{text}");
    }

    #[test]
    fn f143_a_family_has_an_end() {
        let mut page = Page::default();
        let mut family = page.family("oxherd_x", Kind::Counter, "Help.");
        for n in 0..50_000_u64 {
            family.put(&[("queue", &n.to_string())], n);
        }
        assert_eq!(page.into_text().lines().count(), 2 + MOST * EACH);
    }

    #[test]
    fn a_histogram_is_written_as_prometheus_reads_it() {
        let histogram = Histogram::new(&OF_CALLS);
        histogram.note(Duration::from_millis(2));
        histogram.note(Duration::from_secs(9));
        let mut page = Page::default();
        page.family("oxherd_h", Kind::Histogram, "Help.").histogram(&[("operation", "PING")], &histogram);
        page.one("oxherd_up", Kind::Gauge, "Help.", false);
        let text = page.into_text();
        for line in [
            "# TYPE oxherd_h histogram",
            "oxherd_h_bucket{operation=\"PING\",le=\"0.0001\"} 0",
            "oxherd_h_bucket{operation=\"PING\",le=\"0.0025\"} 1",
            "oxherd_h_bucket{operation=\"PING\",le=\"5\"} 1",
            "oxherd_h_bucket{operation=\"PING\",le=\"+Inf\"} 2",
            "oxherd_h_sum{operation=\"PING\"} 9.002",
            "oxherd_h_count{operation=\"PING\"} 2",
            "oxherd_up 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }
}
