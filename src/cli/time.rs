//! How times are shown to people.

/// `3m 12s`: whole seconds, or milliseconds below one.
pub fn age(ms: i64) -> String {
    let ms = u64::try_from(ms).unwrap_or(0);
    let rounded = if ms < 1000 { ms } else { ms / 1000 * 1000 };
    humantime::format_duration(std::time::Duration::from_millis(rounded)).to_string()
}

/// As [`age`], but no finer than needed: `5h 3m`, `2days 4h`.
pub fn roughly(ms: i64) -> String {
    age(ms).split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// A moment in Unix ms, as RFC 3339 in UTC.
pub fn moment(ms: u64) -> String {
    match std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(ms)) {
        // the formatter knows no year beyond 9999
        Some(at) if ms < 253_402_300_800_000 => humantime::format_rfc3339_millis(at).to_string(),
        _ => format!("{ms} ms"),
    }
}
