//! Durations and sizes as they are written in the file.

use std::time::Duration;

/// Longest duration accepted: a year. It keeps sums of durations and instants in range.
const SPAN_MAX: Duration = Duration::from_hours(24 * 365);

/// Units of time, in nanoseconds.
const SPANS: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Units of size, in bytes.
const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Reads `30s`, `1h30m`, `500ms`, `1.5h`, `1d`, `0`: numbers, each with its unit; at most a year.
#[must_use]
pub fn span(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit() && c != '.')?;
        let (unit, after) = split_where(after, |c| c.is_ascii_digit())?;
        let unit = SPANS.iter().find(|(name, _)| *name == unit)?.1;
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = after;
    }
    Some(Duration::from_nanos(nanos)).filter(|span| *span <= SPAN_MAX)
}

/// `number` times `unit`, where the number may have up to nine decimals.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let decimals = if decimals.is_empty() { "0" } else { decimals };
    if decimals.len() > 9 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let scale = 10_u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let part = u128::from(decimals.parse::<u64>().ok()?) * u128::from(unit) / scale;
    whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

/// Reads `1MiB`, `64 KiB`, `10MB`, `512`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_where(text, |c| !c.is_ascii_digit())?;
    let unit = SIZES.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Writes a duration as [`span`] reads it, in the largest unit that divides it.
pub(super) fn shown_span(span: Duration) -> String {
    let shown = SPANS.iter().rev().find_map(|(name, unit)| {
        let nanos = span.as_nanos();
        let unit = u128::from(*unit);
        (nanos > 0 && nanos.is_multiple_of(unit)).then(|| format!("{}{name}", nanos / unit))
    });
    shown.unwrap_or_else(|| "0s".to_owned())
}

/// Writes a size as [`size`] reads it, in the largest binary unit that divides it.
pub(super) fn shown_size(bytes: u64) -> String {
    let mut binary = SIZES.iter().rev().filter(|(name, _)| name.is_empty() || name.contains('i'));
    let shown = binary.find_map(|(name, unit)| {
        (bytes > 0 && bytes.is_multiple_of(*unit)).then(|| format!("{}{name}", bytes / unit))
    });
    shown.unwrap_or_else(|| bytes.to_string())
}

/// Splits before the first character that fits; the whole text is the first part if none does.
fn split_where(text: &str, fits: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    text.split_at_checked(text.find(fits).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_every_form_are_read() {
        for (text, millis) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            ("1.5h", 5_400_000),
            ("0.25s", 250),
            ("1m0s", 60_000),
            ("2000us", 2),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "30",
            "s",
            "-5s",
            "5 s",
            "5x",
            "1..5s",
            ".5s",
            "1h30",
            "366d",
            "1.0000000001s",
            "99999999999999999999s",
            "18446744073709551615w",
            "5S",
        ] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_of_every_form_are_read() {
        for (text, bytes) in
            [("1MiB", 1 << 20), ("64 KiB", 65_536), ("10MB", 10_000_000), ("512", 512), ("7B", 7)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_as_the_same() {
        for text in ["0s", "1ms", "1h", "90s", "30d", "1500us"] {
            let read = span(text).expect("a duration");
            assert_eq!(span(&shown_span(read)), Some(read), "{text}");
        }
        assert_eq!(shown_span(Duration::from_hours(1)), "1h");
        for bytes in [0, 1, 1000, 1024, 64 << 10, 1 << 30] {
            assert_eq!(size(&shown_size(bytes)), Some(bytes));
        }
        assert_eq!(shown_size(4 << 30), "4GiB");
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "1.5MiB", "-1", "1mb", "64k", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
