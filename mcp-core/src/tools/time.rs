//! Points in time, spans and steps, as people and models write them.

use std::fmt;

use jiff::Timestamp;

/// Milliseconds of each unit of a span, largest first. A year is 365 days, as in Prometheus.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * DAY_MS),
    ("w", 7 * DAY_MS),
    ("d", DAY_MS),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

const DAY_MS: i64 = 86_400_000;

/// Longest span accepted: 1000 years, so that no sum with a point in time overflows.
const SPAN_MS_MAX: i64 = 1000 * 365 * DAY_MS;

/// Unix seconds from here on are taken for milliseconds by mistake: the year 5138.
const UNIX_SECONDS_MAX: i64 = 100_000_000_000;

/// Steps that read well on a clock, in seconds; above the last, whole days.
const NICE_STEPS_S: [i64; 21] = [
    1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 14_400,
    21_600, 28_800, 43_200,
];

/// Most steps of a range that Prometheus answers. Spec: Prometheus, `web/api/v1/api.go`.
pub(crate) const RANGE_STEPS_MAX: i64 = 11_000;

/// A point in time, in milliseconds since 1970, which is what Prometheus stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    ms: i64,
}

/// A length of time of at least zero and at most 1000 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    ms: i64,
}

/// Text that is not a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadMoment {
    #[error("it is none of the forms of a time")]
    Malformed,
    #[error("it has no offset; write Z for UTC at its end")]
    NoOffset,
    #[error("it is too large for Unix seconds; are these milliseconds?")]
    Milliseconds,
    #[error("the span in it is wrong: {0}")]
    Span(BadSpan),
}

/// Text that is not a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadSpan {
    #[error("it is empty")]
    Empty,
    #[error("numbers and the units y, w, d, h, m, s, ms are expected")]
    Malformed,
    #[error("units go from large to small, each once")]
    Order,
    #[error("it is longer than 1000 years")]
    TooLong,
}

impl Moment {
    pub(crate) fn from_ms(ms: i64) -> Self {
        Self { ms }
    }

    pub(crate) fn now() -> Self {
        Self::from_ms(Timestamp::now().as_millisecond())
    }

    /// Reads Unix seconds with a fraction, without a sign.
    pub(crate) fn from_unix_seconds(text: &str) -> Option<Self> {
        decimal(text, 1000).map(|(_, ms)| Self { ms })
    }

    /// Reads RFC 3339, Unix seconds with a fraction, `now`, `now-1h`, `now+5m`, `-30m`, `+5m`.
    pub(crate) fn parse(text: &str, now: Self) -> Result<Self, BadMoment> {
        let text = text.trim();
        let relative = text.strip_prefix("now").unwrap_or(text).trim_start();
        if let Some(span) = relative.strip_prefix('-') {
            let span = Span::parse(span).map_err(BadMoment::Span)?;
            return Ok(now.minus(span));
        }
        if let Some(span) = relative.strip_prefix('+') {
            let span = Span::parse(span).map_err(BadMoment::Span)?;
            return Ok(Self { ms: now.ms.saturating_add(span.ms) });
        }
        if text == "now" {
            return Ok(now);
        }
        if let Some((seconds, ms)) = decimal(text, 1000) {
            if seconds >= UNIX_SECONDS_MAX {
                return Err(BadMoment::Milliseconds);
            }
            return Ok(Self { ms });
        }
        Self::parse_rfc3339(text)
    }

    fn parse_rfc3339(text: &str) -> Result<Self, BadMoment> {
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return Ok(Self { ms: stamp.as_millisecond() });
        }
        let dated = text.parse::<jiff::civil::DateTime>().is_ok();
        let bracketed = text.contains(['[', 'Z', 'z']);
        Err(if dated && !bracketed { BadMoment::NoOffset } else { BadMoment::Malformed })
    }

    pub(crate) fn minus(self, span: Span) -> Self {
        Self { ms: self.ms.saturating_sub(span.ms) }
    }

    /// The span since `earlier`; `None` when that is later.
    pub(crate) fn since(self, earlier: Self) -> Option<Span> {
        let ms = self.ms.checked_sub(earlier.ms)?;
        (ms >= 0).then_some(Span { ms })
    }

    /// Unix seconds with a fraction, as the Prometheus API takes them.
    pub(crate) fn unix_seconds(self) -> String {
        let sign = if self.ms < 0 { "-" } else { "" };
        let ms = self.ms.unsigned_abs();
        format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
    }
}

impl fmt::Display for Moment {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.ms) {
            Ok(stamp) => write!(f, "{stamp}"),
            Err(_out_of_range) => f.write_str(&self.unix_seconds()),
        }
    }
}

impl Span {
    pub(crate) const fn from_ms(ms: u32) -> Self {
        // `i64::from` is not const.
        #[expect(clippy::as_conversions, reason = "widening, lossless, in a const fn")]
        Self { ms: ms as i64 }
    }

    /// Reads `1d`, `1h30m`, `1.5h`, `100ms`, and a bare number as seconds.
    pub(crate) fn parse(text: &str) -> Result<Self, BadSpan> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BadSpan::Empty);
        }
        if let Some((_, ms)) = decimal(text, 1000) {
            return Self::bounded(ms);
        }
        let (mut rest, mut total, mut units) = (text, 0_i64, UNITS.as_slice());
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| is_decimal(c)).len();
            let (number, tail) = rest.split_at_checked(digits).ok_or(BadSpan::Malformed)?;
            let letters = tail.len() - tail.trim_start_matches(|c: char| !is_decimal(c)).len();
            let (unit, tail) = tail.split_at_checked(letters).ok_or(BadSpan::Malformed)?;
            let known = UNITS.iter().find(|(name, _)| *name == unit);
            let (_, unit_ms) = known.ok_or(BadSpan::Malformed)?;
            let (_, ms) = decimal(number, *unit_ms).ok_or(BadSpan::Malformed)?;
            let place = units.iter().position(|(name, _)| *name == unit).ok_or(BadSpan::Order)?;
            units = units.get(place + 1..).unwrap_or_default();
            total = total.saturating_add(ms);
            rest = tail;
        }
        Self::bounded(total)
    }

    fn bounded(ms: i64) -> Result<Self, BadSpan> {
        if ms > SPAN_MS_MAX { Err(BadSpan::TooLong) } else { Ok(Self { ms }) }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.ms == 0
    }

    /// How many steps of `step` go into it.
    pub(crate) fn steps(self, step: Self) -> i64 {
        self.ms / step.ms.max(1)
    }

    /// The smallest step that reads well and gives at most `points_max` points over this range.
    pub(crate) fn nice_step(self, points_max: i64) -> Self {
        // At most n points means that n steps reach beyond the range.
        let least_ms = self.ms / points_max.max(1) + 1;
        let nice = NICE_STEPS_S.iter().map(|s| s * 1000).find(|ms| *ms >= least_ms);
        Self { ms: nice.unwrap_or_else(|| least_ms.saturating_add(DAY_MS - 1) / DAY_MS * DAY_MS) }
    }

    /// Seconds with a fraction, as the Prometheus API takes them.
    pub(crate) fn seconds(self) -> String {
        Moment { ms: self.ms }.unix_seconds()
    }

    pub(crate) fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.ms.unsigned_abs())
    }
}

impl fmt::Display for Span {
    /// As Prometheus writes it, from days down.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ms == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.ms;
        for (name, unit_ms) in UNITS.iter().skip(2) {
            let count = rest / unit_ms;
            rest %= unit_ms;
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
        }
        Ok(())
    }
}

fn is_decimal(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// Reads a decimal number without sign or exponent: its whole part, and itself times `unit`,
/// rounded down. `None` when it is none, or out of any sensible range.
fn decimal(text: &str, unit: i64) -> Option<(i64, i64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 15 {
        return None;
    }
    // Nine digits of a fraction are exact to the millisecond for every unit up to days.
    let fraction = fraction.get(..fraction.len().min(9)).unwrap_or_default();
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let number = whole.parse::<i128>().ok()? * scale + fraction.parse::<i128>().ok()?;
    let product = i64::try_from(number * i128::from(unit) / scale).unwrap_or(i64::MAX);
    Some((whole.parse().ok()?, product))
}

#[cfg(test)]
mod tests;
