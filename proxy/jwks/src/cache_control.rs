//! How long an answer may be used, as its headers say, within bounds of ours.

use std::time::Duration;

use http::{
    HeaderMap,
    header::{AGE, CACHE_CONTROL},
};

/// Shortest time between two fetches that an answer can ask for.
const LIFETIME_MIN: Duration = Duration::from_secs(10);
/// Longest time between two fetches that an answer can ask for.
const LIFETIME_MAX: Duration = Duration::from_hours(24);

/// What the headers say about an answer's lifetime. Spec: RFC 9111 §5.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing that could be read.
    Unsaid,
    /// Not to be used without asking again: `no-store`, `no-cache`.
    None,
    /// To be used for this long: `max-age` less what `Age` says has passed.
    For(Duration),
}

impl Freshness {
    /// Reads `Cache-Control` and `Age`.
    ///
    /// Several `max-age` count as the smallest, and one that is no number as 0: RFC 9111 §4.2.1
    /// wants what is unclear taken for stale.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let mut max_age: Option<u64> = None;
        for line in headers.get_all(CACHE_CONTROL) {
            // Bytes beyond ASCII are none of ours to read; the directive they stand in is skipped.
            let line = String::from_utf8_lossy(line.as_bytes());
            for directive in line.split(',') {
                let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
                let name = name.trim();
                if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                    return Self::None;
                }
                if name.eq_ignore_ascii_case("max-age") {
                    let said = seconds(value.trim().trim_matches('"')).unwrap_or(0);
                    max_age = Some(max_age.map_or(said, |other| other.min(said)));
                }
            }
        }
        let Some(max_age) = max_age else { return Self::Unsaid };
        let age = headers.get(AGE).and_then(|value| seconds(value.to_str().ok()?.trim()));
        Self::For(Duration::from_secs(max_age.saturating_sub(age.unwrap_or(0))))
    }

    /// The lifetime within the bounds that [`crate::source::Terms::cache_interval`] sets.
    #[must_use]
    pub fn within(self, cache_interval: Duration) -> Duration {
        let least = (cache_interval / 10).max(LIFETIME_MIN);
        let most = cache_interval.saturating_mul(10).min(LIFETIME_MAX).max(least);
        match self {
            Self::Unsaid => cache_interval,
            Self::None => least,
            Self::For(lifetime) => lifetime.clamp(least, most),
        }
    }
}

/// A number of seconds: digits alone; what no `u64` holds is as good as for ever. Spec: RFC 9111
/// §1.2.2.
fn seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(control: &[&str], age: Option<&str>) -> Freshness {
        let mut headers = HeaderMap::new();
        for line in control {
            headers.append(CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
        }
        if let Some(age) = age {
            headers.insert(AGE, HeaderValue::from_str(age).unwrap());
        }
        Freshness::read(&headers)
    }

    #[test]
    fn directives_are_read_as_the_standard_says() {
        let lasting = |s| Freshness::For(Duration::from_secs(s));
        for (control, age, wanted) in [
            (&[][..], None, Freshness::Unsaid),
            (&["public"], Some("5"), Freshness::Unsaid),
            (&["max-age=300"], None, lasting(300)),
            (&["public, MAX-AGE=300 , must-revalidate"], None, lasting(300)),
            (&["max-age=\"300\""], None, lasting(300)),
            (&["max-age=300"], Some("100"), lasting(200)),
            (&["max-age=300"], Some("400"), lasting(0)),
            (&["max-age=300"], Some("old"), lasting(300)),
            (&["max-age=300, max-age=60"], None, lasting(60)),
            (&["max-age=300", "max-age=60"], None, lasting(60)),
            (&["max-age=-1"], None, lasting(0)),
            (&["max-age=1.5"], None, lasting(0)),
            (&["max-age"], None, lasting(0)),
            (&["max-age=99999999999999999999999"], None, lasting(u64::MAX)),
            (&["max-age=300, no-store"], None, Freshness::None),
            (&["No-Cache"], None, Freshness::None),
            (&["no-cache=\"set-cookie\", max-age=300"], None, Freshness::None),
            (&["s-maxage=9, x-max-age=7"], None, Freshness::Unsaid),
            (&[",,=,;"], None, Freshness::Unsaid),
        ] {
            assert_eq!(read(control, age), wanted, "{control:?} {age:?}");
        }
    }

    #[test]
    fn the_bounds_are_a_tenth_and_ten_times_between_ten_seconds_and_a_day() {
        let s = Duration::from_secs;
        for (freshness, interval, wanted) in [
            (Freshness::Unsaid, s(300), s(300)),
            (Freshness::None, s(300), s(30)),
            (Freshness::None, s(60), s(10)),
            (Freshness::For(s(0)), s(300), s(30)),
            (Freshness::For(s(299)), s(300), s(299)),
            (Freshness::For(s(86_400)), s(300), s(3000)),
            (Freshness::For(s(u64::MAX)), s(36_000), s(86_400)),
            (Freshness::For(s(40)), s(1), s(10)),
            (Freshness::Unsaid, s(1), s(1)),
        ] {
            assert_eq!(freshness.within(interval), wanted, "{freshness:?} {interval:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_an_answer_says_stays_within_the_bounds(
            line in "[ -~]{0,60}",
            age in "[0-9]{0,25}",
            interval in 1_u64..1_000_000,
        ) {
            let interval = Duration::from_secs(interval);
            let lifetime = read(&[&line], Some(&age)).within(interval);
            prop_assert!(lifetime >= (interval / 10).min(interval));
            prop_assert!(lifetime >= LIFETIME_MIN.min(interval));
            prop_assert!(lifetime <= LIFETIME_MAX.max(interval));
        }

        #[test]
        fn any_number_of_seconds_is_read_back(max_age: u64, age: u64) {
            let wanted = Duration::from_secs(max_age.saturating_sub(age));
            let read = read(&[&format!("max-age={max_age}")], Some(&age.to_string()));
            prop_assert_eq!(read, Freshness::For(wanted));
        }
    }
}
