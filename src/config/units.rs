//! Durations and sizes as people write them: `"30s"`, `"1h30m"`, `"256KiB"`. Used by the files
//! and by the command line; own parsers, because the message is half of their work.

use std::time::Duration;

use super::invalid::Invalid;

/// Unit and milliseconds, longest first.
const TIMES: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Unit and bytes, longest first.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

/// Reads `"500ms"`, `"30s"`, `"5m"`, `"24h"`, `"7d"`, `"2w"` or a sum such as `"1h30m"`,
/// longest unit first. A bare number is refused: it would not say what it counts.
pub fn parse_duration(text: &str) -> Result<Duration, Invalid> {
    let refuse = |help: String| Invalid::new(format!("{text:?} is not a duration"), help);
    let mut rest = text.trim();
    if rest.starts_with('-') {
        return Err(refuse("a duration cannot be negative".into()));
    }
    if let Ok(number) = rest.parse::<u64>() {
        return Err(refuse(format!("say the unit: \"{number}s\" or \"{number}ms\"")));
    }
    let mut total = 0u64;
    let mut allowed = &TIMES[..];
    if rest.is_empty() {
        return Err(refuse("write a number and a unit, such as \"30s\"".into()));
    }
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest);
        let Ok(count) = number.parse::<u64>() else {
            return Err(refuse(if number.contains('.') {
                format!("use whole numbers and a smaller unit instead of {number}{unit}, such as \"1500ms\"")
            } else {
                "write a number and a unit, such as \"30s\"".into()
            }));
        };
        let Some(at) = allowed.iter().position(|(name, _)| *name == unit) else {
            return Err(refuse(match TIMES.iter().find(|(name, _)| *name == unit) {
                Some(_) => format!("each unit once, the longest first: {unit:?} comes too late"),
                None => unknown_time_unit(number, unit),
            }));
        };
        total = count
            .checked_mul(allowed[at].1)
            .and_then(|ms| total.checked_add(ms))
            .ok_or_else(|| refuse("it is too long for any clock".into()))?;
        allowed = &allowed[at + 1..];
        rest = after;
    }
    // 2^53 ms: a later moment could not be told from its neighbours in Redis
    if total > 1 << 53 {
        return Err(refuse("it is too long for any clock".into()));
    }
    Ok(Duration::from_millis(total))
}

/// Reads `"512B"`, `"256KiB"`, `"10MB"` and the like, in bytes.
pub fn parse_size(text: &str) -> Result<usize, Invalid> {
    let refuse = |help: String| Invalid::new(format!("{text:?} is not a size"), help);
    let trimmed = text.trim();
    if trimmed.starts_with('-') {
        return Err(refuse("a size cannot be negative".into()));
    }
    let (number, unit, after) = number_and_unit(trimmed);
    let Ok(count) = number.parse::<u64>() else {
        return Err(refuse("write a whole number and a unit, such as \"256KiB\"".into()));
    };
    if unit.is_empty() {
        return Err(refuse(format!("say the unit: \"{count}B\" or \"{count}KiB\"")));
    }
    let known = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).filter(|_| after.is_empty());
    let Some((_, factor)) = known else {
        return Err(refuse(match unit {
            "K" | "k" | "M" | "m" | "G" | "g" => {
                let unit = unit.to_uppercase();
                format!("write \"{count}{unit}B\" (thousands) or \"{count}{unit}iB\" (1024s)")
            }
            _ => "the units are B, KB, MB, GB and KiB, MiB, GiB".into(),
        }));
    };
    count
        .checked_mul(*factor)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| refuse("it is more than any memory".into()))
}

/// The shortest text that [`parse_duration`] reads as the same, milliseconds kept.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    // one unit reads better than two: 24h, not 1d; 1h30m only where one unit cannot say it
    for (unit, ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if rest.is_multiple_of(ms) && (rest / ms > 1 || ms < 86_400_000) {
            return format!("{}{unit}", rest / ms);
        }
    }
    let mut text = String::new();
    for (unit, ms) in &TIMES[1..] {
        if rest >= *ms {
            text += &(rest / ms).to_string();
            text += unit;
            rest %= ms;
        }
    }
    text
}

/// The shortest text that [`parse_size`] reads as the same.
#[must_use]
pub fn show_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let (unit, factor) =
        SIZES.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor)).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// Digits (and a point), the letters behind them, and what follows.
fn number_and_unit(text: &str) -> (&str, &str, &str) {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(split);
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    (number, &rest[..end], rest[end..].trim_start())
}

fn unknown_time_unit(number: &str, unit: &str) -> String {
    let lower = unit.to_lowercase();
    let meant = match lower.as_str() {
        text if text.starts_with("mil") || text.starts_with("ms") => Some("ms"),
        text if text.starts_with("mo") || text.starts_with('y') => None,
        text => TIMES.iter().map(|(name, _)| *name).find(|name| text.starts_with(name)),
    };
    match meant {
        Some(meant) => format!("the units are ms, s, m, h, d and w; write \"{number}{meant}\""),
        None => "the units are ms, s, m, h, d and w".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("2w", 1_209_600_000),
            ("1h30m", 5_400_000),
            (" 1h 30m ", 5_400_000),
            ("0s", 0),
            ("1s500ms", 1500),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms, "{text}");
        }
    }

    #[test]
    fn bad_durations_say_what_to_write() {
        for (text, help) in [
            ("30", "say the unit: \"30s\" or \"30ms\""),
            ("-5s", "a duration cannot be negative"),
            ("10 minuts", "the units are ms, s, m, h, d and w; write \"10m\""),
            ("3 months", "the units are ms, s, m, h, d and w"),
            ("1.5h", "use whole numbers and a smaller unit instead of 1.5h, such as \"1500ms\""),
            ("30m1h", "each unit once, the longest first: \"h\" comes too late"),
            ("", "write a number and a unit, such as \"30s\""),
            ("soon", "write a number and a unit, such as \"30s\""),
            ("5s!", "write a number and a unit, such as \"30s\""),
            ("99999999999999999999d", "write a number and a unit, such as \"30s\""),
            ("9999999999999999d", "it is too long for any clock"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().help, help, "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("512B", 512), ("256KiB", 262_144), ("10MB", 10_000_000), ("1 GiB", 1 << 30), ("3kb", 3000)]
        {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for (text, help) in [
            ("1024", "say the unit: \"1024B\" or \"1024KiB\""),
            ("10M", "write \"10MB\" (thousands) or \"10MiB\" (1024s)"),
            ("-1B", "a size cannot be negative"),
            ("1.5MB", "write a whole number and a unit, such as \"256KiB\""),
            ("5 apples", "the units are B, KB, MB, GB and KiB, MiB, GiB"),
            ("1MB2KB", "the units are B, KB, MB, GB and KiB, MiB, GiB"),
            ("99999999999GiB", "it is more than any memory"),
        ] {
            assert_eq!(parse_size(text).unwrap_err().help, help, "{text}");
        }
    }

    #[test]
    fn shown_in_one_unit_where_that_is_enough() {
        for text in ["500ms", "1500ms", "30s", "90s", "5m", "24h", "7d", "1h30m"] {
            let shown = show_duration(parse_duration(text).unwrap());
            assert_eq!(parse_duration(&shown), parse_duration(text));
        }
        assert_eq!(show_duration(Duration::from_secs(86_400)), "24h");
        assert_eq!(show_duration(Duration::from_secs(60)), "1m");
        assert_eq!(show_duration(Duration::from_millis(90_500)), "1m30s500ms");
        assert_eq!(show_size(256 * 1024), "256KiB");
        assert_eq!(show_size(10_000_000), "10MB");
        assert_eq!(show_size(0), "0B");
    }

    proptest! {
        #[test]
        fn whatever_is_shown_is_read_back(ms in 0u64..1 << 53, bytes in 0usize..1 << 50) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
