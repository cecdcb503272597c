use proptest::prelude::*;

use super::*;

const NOW: Moment = Moment { ms: 1_704_067_200_000 };

fn at(text: &str) -> Result<i64, BadMoment> {
    Moment::parse(text, NOW).map(|moment| moment.ms - NOW.ms)
}

fn span(text: &str) -> Result<i64, BadSpan> {
    Span::parse(text).map(|span| span.ms)
}

#[test]
fn a_time_is_rfc3339_unix_seconds_or_relative() {
    for (text, offset_ms) in [
        ("2024-01-01T00:00:00Z", 0),
        ("2024-01-01T01:00:00.5+01:00", 500),
        ("1704067200", 0),
        ("1704067200.25", 250),
        ("1704067200.1239", 123),
        ("now", 0),
        (" now ", 0),
        ("now-1h", -3_600_000),
        ("now - 1h30m", -5_400_000),
        ("now+5m", 300_000),
        ("-30m", -1_800_000),
        ("+5m", 300_000),
        ("-30", -30_000),
    ] {
        assert_eq!(at(text), Ok(offset_ms), "{text}");
    }
}

#[test]
fn a_time_that_is_none_says_what_is_wrong() {
    for (text, fault) in [
        ("", BadMoment::Malformed),
        ("yesterday", BadMoment::Malformed),
        ("nowish", BadMoment::Malformed),
        ("2024-01-01T00:00:00", BadMoment::NoOffset),
        ("2024-01-01", BadMoment::NoOffset),
        ("1704067200123", BadMoment::Milliseconds),
        ("now-", BadMoment::Span(BadSpan::Empty)),
        ("-1x", BadMoment::Span(BadSpan::Malformed)),
        ("now-9999y", BadMoment::Span(BadSpan::TooLong)),
        ("1e9", BadMoment::Malformed),
        ("NaN", BadMoment::Malformed),
    ] {
        assert_eq!(at(text), Err(fault), "{text}");
    }
}

#[test]
fn a_span_is_written_as_in_prometheus_and_a_bare_number_is_seconds() {
    for (text, ms) in [
        ("1d", DAY_MS),
        ("1h30m", 5_400_000),
        ("1m0s", 60_000),
        ("15", 15_000),
        ("1.5", 1500),
        ("1.5h", 5_400_000),
        ("100ms", 100),
        ("1y2w3d", (365 + 14 + 3) * DAY_MS),
        ("0", 0),
    ] {
        assert_eq!(span(text), Ok(ms), "{text}");
    }
}

#[test]
fn a_span_that_is_none_says_what_is_wrong() {
    for (text, fault) in [
        ("", BadSpan::Empty),
        ("m", BadSpan::Malformed),
        ("5 m", BadSpan::Malformed),
        ("5minutes", BadSpan::Malformed),
        ("-5m", BadSpan::Malformed),
        ("5m1h", BadSpan::Order),
        ("5m5m", BadSpan::Order),
        ("1001y", BadSpan::TooLong),
        ("999999999999999y", BadSpan::TooLong),
        ("1..5s", BadSpan::Malformed),
        ("5µs", BadSpan::Malformed),
    ] {
        assert_eq!(span(text), Err(fault), "{text}");
    }
}

#[test]
fn a_picked_step_reads_well() {
    let step = |range: &str| Span::parse(range).unwrap().nice_step(250).to_string();
    assert_eq!(step("0"), "1s");
    assert_eq!(step("1m"), "1s");
    assert_eq!(step("1h"), "15s");
    assert_eq!(step("6h"), "2m");
    assert_eq!(step("1d"), "10m");
    assert_eq!(step("7d"), "1h");
    assert_eq!(step("30d"), "3h");
    assert_eq!(step("5y"), "8d");
}

#[test]
fn moments_are_sent_with_milliseconds_also_before_1970() {
    assert_eq!(NOW.unix_seconds(), "1704067200.000");
    assert_eq!(Moment { ms: -1500 }.unix_seconds(), "-1.500");
    assert_eq!(Moment { ms: 5 }.to_string(), "1970-01-01T00:00:00.005Z");
}

proptest! {
    #[test]
    fn what_a_span_is_shown_as_reads_as_the_same(ms in 0..SPAN_MS_MAX) {
        prop_assert_eq!(span(&Span { ms }.to_string()), Ok(ms));
    }

    #[test]
    fn what_a_moment_is_shown_as_reads_as_the_same(ms in 0..4_000_000_000_000_i64) {
        let moment = Moment { ms };
        prop_assert_eq!(Moment::parse(&moment.to_string(), NOW), Ok(moment));
        prop_assert_eq!(Moment::parse(&moment.unix_seconds(), NOW), Ok(moment));
    }

    #[test]
    fn no_text_makes_parsing_panic(text in ".{0,40}", tail in "[0-9.a-z+-]{0,40}") {
        for text in [text, tail] {
            prop_assert!(at(&text).is_ok() || at(&text).is_err());
            prop_assert!(span(&text).is_ok() || span(&text).is_err());
        }
    }

    #[test]
    fn a_picked_step_never_gives_more_points_than_allowed(
        ms in 0..SPAN_MS_MAX, points_max in 1..20_000_i64,
    ) {
        let (range, step) = (Span { ms }, Span { ms }.nice_step(points_max));
        prop_assert!(range.steps(step) < points_max, "{}", step);
    }
}
