//! The names of traces and spans, and the headers that carry them.
//!
//! Spec: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

use http::HeaderValue;

use crate::hex;

/// Length of a `traceparent` of version 00, in bytes.
const PARENT_BYTES: usize = 55;

/// Longest `tracestate` that is passed on, in bytes: as many as everybody has to take. Spec: §3.3.1.5.
const STATE_BYTES_MAX: usize = 512;

/// The flag of a sampled trace.
const SAMPLED: u8 = 1;

/// The name of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// The name of a span.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

/// A span of somebody, in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether its maker may have kept it.
    pub sampled: bool,
}

/// What tracing systems tell one another beside, well formed and short. It is a client's text, so its `Debug` does not
/// show it.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceState(Box<str>);

impl TraceId {
    /// The trace of this number; `None` for zero, which names none.
    #[must_use]
    pub fn new(number: u128) -> Option<Self> {
        NonZeroU128::new(number).map(Self)
    }

    /// The trace of the greatest number.
    #[must_use]
    pub const fn last() -> Self {
        Self(NonZeroU128::MAX)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// Its 32 hexadecimal digits.
    #[must_use]
    pub fn digits(self) -> [u8; 32] {
        let mut digits = [b'0'; 32];
        hex::write(&self.bytes(), &mut digits);
        digits
    }
}

impl SpanId {
    /// The span of this number; `None` for zero, which names none.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }

    /// Another span, which this one and the number determine. Two numbers give two spans, but for chance.
    #[must_use]
    pub const fn derived(self, number: u64) -> Self {
        let mixed = mixed(self.0.get().wrapping_add(number.wrapping_mul(GOLDEN)));
        match NonZeroU64::new(mixed) {
            Some(id) => Self(id),
            None => self,
        }
    }
}

/// Odd, and near 2^64 divided by the golden ratio, so that the multiples of it lie far apart.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes all bits of a number, each number into another. It is the finaliser of Vigna's `SplitMix64`.
pub(crate) const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Parent {
    /// Reads a `traceparent`. Of a version that is not known yet, what version 00 has.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(PARENT_BYTES)?;
        let mut parts = head.split(|byte| *byte == b'-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags, more) = (parts.next()?, parts.next()?, parts.next());
        let lengths = (version.len(), trace.len(), span.len(), flags.len());
        if lengths != (2, 32, 16, 2) || more.is_some() {
            return None;
        }
        let is_whole = match number(version)? {
            0xff => false,
            0 => rest.is_empty(),
            // A later version may have more to say.
            _ => matches!(rest, [] | [b'-', ..]),
        };
        if !is_whole {
            return None;
        }
        let trace = TraceId::new(number(trace)?)?;
        let span = SpanId::new(u64::try_from(number(span)?).ok()?)?;
        let flags = u8::try_from(number(flags)?).ok()?;
        Some(Self { trace, span, sampled: flags & SAMPLED != 0 })
    }

    /// Writes a `traceparent`.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        // Digits and dashes are always a header's value.
        HeaderValue::from_bytes(&self.text()).unwrap_or(HeaderValue::from_static(""))
    }

    /// The text of a `traceparent`.
    #[must_use]
    pub fn text(self) -> [u8; PARENT_BYTES] {
        let mut text = [b'-'; PARENT_BYTES];
        let [version, trace, span, flags] = [0..2, 3..35, 36..52, 53..55];
        for (place, bytes) in [
            (version, &[0][..]),
            (trace, &self.trace.bytes()),
            (span, &self.span.bytes()),
            (flags, &[if self.sampled { SAMPLED } else { 0 }]),
        ] {
            if let Some(digits) = text.get_mut(place) {
                hex::write(bytes, digits);
            }
        }
        text
    }
}

impl TraceState {
    /// Takes a `tracestate` that is well formed and not too long; what is not is left out as a whole, as the
    /// specification lets everybody do.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        const MEMBERS_MAX: usize = 32;
        const VALUE_BYTES_MAX: usize = 256;
        if text.len() > STATE_BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
        let mut keys = Vec::new();
        for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let in_value = |b: u8| (b' '..=b'~').contains(&b) && b != b'=';
            let fits = value.len() <= VALUE_BYTES_MAX && value.bytes().all(in_value);
            if !is_state_key(key) || !fits || keys.contains(&key) {
                return None;
            }
            keys.push(key);
        }
        (1..=MEMBERS_MAX).contains(&keys.len()).then(|| Self(text.into()))
    }

    /// Takes what stands in several headers of this name, in their order. Spec: §3.3.1.
    #[must_use]
    pub fn parse_all<L: AsRef<[u8]>>(lines: impl Iterator<Item = L>) -> Option<Self> {
        let mut whole = Vec::new();
        for line in lines {
            if !whole.is_empty() {
                whole.push(b',');
            }
            whole.extend_from_slice(line.as_ref());
            if whole.len() > STATE_BYTES_MAX {
                return None;
            }
        }
        Self::parse(&whole)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a header's value.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Whether this names a tracing system, or a tenant of one (`tenant@system`). Spec: §3.3.1.3.1.
fn is_state_key(key: &str) -> bool {
    let is_part = |part: &str, bytes_max: usize, may_begin: fn(u8) -> bool| {
        let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(&b);
        part.len() <= bytes_max
            && part.bytes().next().is_some_and(may_begin)
            && part.bytes().all(inside)
    };
    let letter = |b: u8| b.is_ascii_lowercase();
    let letter_or_digit = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match key.split_once('@') {
        None => is_part(key, 256, letter),
        Some((tenant, system)) => {
            is_part(tenant, 241, letter_or_digit) && is_part(system, 14, letter)
        }
    }
}

/// A number of lower-case hexadecimal digits, 32 at most.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceState(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_parent_is_read_and_written() {
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let parent = Parent::parse(format!("00-{TRACE}-{SPAN}-{flags}").as_bytes()).unwrap();
            assert_eq!(parent.trace.to_string(), TRACE);
            assert_eq!(parent.trace.digits(), TRACE.as_bytes());
            assert_eq!(parent.span.to_string(), SPAN);
            assert_eq!(parent.sampled, sampled);
            let written = format!("00-{TRACE}-{SPAN}-0{}", u8::from(sampled));
            assert_eq!(parent.header(), written);
        }
    }

    #[test]
    fn a_parent_of_a_later_version_is_read_as_far_as_it_is_known() {
        for text in [format!("01-{TRACE}-{SPAN}-01"), format!("cc-{TRACE}-{SPAN}-01-what-ever")] {
            assert!(Parent::parse(text.as_bytes()).unwrap().sampled, "{text}");
        }
    }

    #[test]
    fn a_malformed_parent_is_none() {
        let zero = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01x"),
            format!("01-{TRACE}-{SPAN}-01x"),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}{SPAN}--01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0"),
        ] {
            assert_eq!(Parent::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_state_is_taken_whole_or_not_at_all() {
        for good in ["a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "t@v=x y , b=", "a=1,,b=2"] {
            assert_eq!(TraceState::parse(good.as_bytes()).unwrap().as_str(), good);
        }
        let many = (0..33).map(|number| format!("a{number}=1")).collect::<Vec<_>>().join(",");
        let key = format!("{}=1", "k".repeat(257));
        let tenant = format!("{}@v=1", "t".repeat(242));
        let value = format!("a={}", "x".repeat(257));
        let long = format!("a={}", "x".repeat(STATE_BYTES_MAX));
        let texts =
            ["", ",", "a", "A=1", "=1", "a=b=c", "a=\u{e9}", "a=\n", "1a=1", "a@1=1", "a@b@c=1"];
        let longs = [&*many, &long, &key, &tenant, &value, "a@systemsystemsys=1"];
        let repeated = ["a=1,b=2,a=3", "a=1,a=1"];
        for bad in texts.into_iter().chain(longs).chain(repeated) {
            assert_eq!(TraceState::parse(bad.as_bytes()), None, "{bad}");
        }
        let longest = format!("{}@systemsystemsy=1", "1".repeat(241));
        assert!(TraceState::parse(longest.as_bytes()).is_some());
        assert_eq!(format!("{:?}", TraceState::parse(b"a=canary")), "Some(TraceState(..))");
    }

    #[test]
    fn a_state_in_several_headers_is_one() {
        let all = |lines: &[&str]| {
            let state = TraceState::parse_all(lines.iter().map(|line| line.as_bytes()));
            state.map(|state| state.as_str().to_owned())
        };
        assert_eq!(all(&["a=1", "b=2,c=3"]).as_deref(), Some("a=1,b=2,c=3"));
        assert_eq!(all(&["a=1", "", "b=2"]).as_deref(), Some("a=1,,b=2"));
        assert_eq!((all(&[]), all(&["a=1", "a=2"]), all(&["a=1", "?"])), (None, None, None));
        assert_eq!(all(&["a=1", &"x".repeat(STATE_BYTES_MAX)]), None);
    }

    #[test]
    fn derived_spans_differ() {
        let span = SpanId::new(7).unwrap();
        let mut derived: Vec<_> =
            (0..1000).map(|number| span.derived(number).to_string()).collect();
        derived.sort_unstable();
        derived.dedup();
        assert_eq!(derived.len(), 1000);
    }
}
