//! Moments: those that an operator names, and those in records.

use std::{str::FromStr, time::SystemTime};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::config::span;

/// Bytes at the beginning of a line in which its time stands. Only words of ours come before it.
pub(super) const BEGINNING_BYTES: usize = 160;

/// What comes before the time of a line, by format.
const TIME_KEYS: [&[u8]; 2] = [br#""time":""#, br#""@timestamp":""#];

/// Characters of a time in a record.
const TIME_CHARS: usize = 24;

/// A moment as an operator names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound(Timestamp);

impl Bound {
    /// The moment.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

/// Reads a moment: `2026-11-30T09:15:00Z` or with another offset, `2026-11-30` or `2026-11-30T09:15` in UTC, or `90m`
/// before `now`.
#[must_use]
pub fn bound(text: &str, now: SystemTime) -> Option<Bound> {
    if let Ok(moment) = Timestamp::from_str(text) {
        return Some(Bound(moment));
    }
    if let Ok(moment) = DateTime::from_str(text) {
        return Some(Bound(moment.to_zoned(TimeZone::UTC).ok()?.timestamp()));
    }
    let before = now.checked_sub(span(text)?)?;
    Some(Bound(Timestamp::try_from(before).ok()?))
}

/// The moment in a record.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::from_str(text).ok()
}

/// The time of a line as it stands there, without reading the rest of it.
pub(super) fn time_of(line: &[u8]) -> Option<&str> {
    let beginning = line.get(..line.len().min(BEGINNING_BYTES))?;
    let after = |key: &[u8]| {
        let place = beginning.windows(key.len()).position(|piece| piece == key)?;
        beginning.get(place + key.len()..place + key.len() + TIME_CHARS)
    };
    let text = TIME_KEYS.into_iter().find_map(after)?;
    let plain = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'.' | b'T' | b'Z');
    text.iter().all(plain).then(|| std::str::from_utf8(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_named_in_full_by_day_or_by_distance() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (text, seconds) in [
            ("1970-01-02T00:00:00Z", 86_400),
            ("1970-01-02T01:00:00.000+01:00", 86_400),
            ("1970-01-02", 86_400),
            ("1970-01-02T00:01", 86_460),
            ("1970-01-02 00:01:30", 86_490),
            ("90m", 1_000_000 - 5_400),
            ("1d", 1_000_000 - 86_400),
        ] {
            let bound = bound(text, now).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(bound.timestamp().as_second(), seconds, "{text}");
        }
        for text in ["", "yesterday", "2026", "10", "-1h", "2026-13-01", "10 parsecs"] {
            assert_eq!(bound(text, now), None, "{text}");
        }
    }

    #[test]
    fn the_time_of_a_line_is_found_at_its_beginning_only() {
        for line in [
            r#"{"v":1,"time":"2026-11-30T00:00:00.000Z","x":1}"#,
            r#"{"v":1,"event":"stream_open","time":"2026-11-30T00:00:00.000Z"}"#,
            r#"{"@timestamp":"2026-11-30T00:00:00.000Z"}"#,
            r#"{"promgate.schema":1,"event.action":"checkpoint","@timestamp":"2026-11-30T00:00:00.000Z"}"#,
        ] {
            assert_eq!(time_of(line.as_bytes()), Some("2026-11-30T00:00:00.000Z"), "{line}");
        }
        let far = format!(r#"{{"x":"{}","time":"2026-11-30T00:00:00.000Z"}}"#, "a".repeat(200));
        for line in ["", "{}", r#"{"time":"2026"#, r#"{"time":"<script>aaaaaaaaaaaaaaaa"}"#, &far] {
            assert_eq!(time_of(line.as_bytes()), None, "{line}");
        }
    }
}
