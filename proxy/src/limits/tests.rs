use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;
use crate::config::Rate;

fn rate(count: u32, per: Duration, burst: u32) -> Rate {
    let some = |number| NonZeroU32::new(number).unwrap();
    Rate { count: some(count), per, burst: some(burst) }
}

fn none() -> RateLimits {
    RateLimits {
        address_requests: None,
        address_failures: None,
        principal_requests: None,
        principal_in_flight_max: None,
        tools: Vec::new(),
        entries_max: 1000,
    }
}

fn limits(settings: &RateLimits) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limits::with_clock(settings, &clock).unwrap(), clock)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const fn id(byte: u8) -> PrincipalId {
    PrincipalId([byte; 16])
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn without_settings_nothing_is_limited() {
    let (limits, _clock) = limits(&none());
    let mut permits = Vec::new();
    for _ in 0..10_000 {
        assert_eq!(limits.address(ip("192.0.2.1")), Ok(()));
        limits.failed(ip("192.0.2.1"));
        assert_eq!(limits.blocked(ip("192.0.2.1")), Ok(()));
        permits.push(limits.principal(id(1)).unwrap());
        assert_eq!(limits.tool(id(1), "prometheus_query"), Ok(()));
    }
}

#[test]
fn a_burst_passes_and_then_one_each_interval() {
    let settings = RateLimits { address_requests: Some(rate(1, 10 * SECOND, 3)), ..none() };
    let (limits, clock) = limits(&settings);
    let address = ip("192.0.2.1");
    for _ in 0..3 {
        assert_eq!(limits.address(address), Ok(()));
    }
    let exceeded = |s| Err(Exceeded { limit: Limit::AddressRate, retry_after: s * SECOND });
    assert_eq!(limits.address(address), exceeded(10));
    clock.advance(Duration::from_millis(8_500));
    assert_eq!(limits.address(address), exceeded(2), "rounded up");
    clock.advance(Duration::from_millis(1_400));
    assert_eq!(limits.address(address), exceeded(1), "never zero");
    clock.advance(Duration::from_millis(100));
    assert_eq!(limits.address(address), Ok(()));
    assert_eq!(limits.address(address), exceeded(10));
    assert_eq!(limits.address(ip("192.0.2.2")), Ok(()), "another address");
}

#[test]
fn an_ipv6_network_shares_one_budget() {
    let settings = RateLimits { address_requests: Some(rate(1, SECOND, 1)), ..none() };
    let (limits, _clock) = limits(&settings);
    assert_eq!(limits.address(ip("2001:db8::1")), Ok(()));
    assert!(limits.address(ip("2001:db8::ffff:1")).is_err());
    assert_eq!(limits.address(ip("2001:db8:0:1::1")), Ok(()));
    assert_eq!(limits.address(ip("192.0.2.1")), Ok(()));
    assert!(limits.address(ip("::ffff:192.0.2.1")).is_err());
}

#[test]
fn an_address_that_used_up_its_failures_is_blocked_until_one_comes_back() {
    let settings = RateLimits { address_failures: Some(rate(6, 60 * SECOND, 2)), ..none() };
    let (limits, clock) = limits(&settings);
    let (bad, good) = (ip("192.0.2.1"), ip("192.0.2.2"));
    for _looking_costs_nothing in 0..100 {
        assert_eq!(limits.blocked(bad), Ok(()));
    }
    limits.failed(bad);
    assert_eq!(limits.blocked(bad), Ok(()));
    limits.failed(bad);
    let blocked = |s| Err(Exceeded { limit: Limit::AddressFailures, retry_after: s * SECOND });
    assert_eq!(limits.blocked(bad), blocked(10));
    assert_eq!(limits.blocked(good), Ok(()));
    limits.failed(bad);
    assert_eq!(limits.blocked(bad), blocked(10), "failures past the budget do not prolong it");
    clock.advance(10 * SECOND);
    assert_eq!(limits.blocked(bad), Ok(()));
    limits.failed(bad);
    assert_eq!(limits.blocked(bad), blocked(10));
}

#[test]
fn a_principal_has_so_many_requests_at_once_and_a_finished_one_makes_room() {
    let settings = RateLimits { principal_in_flight_max: NonZeroU32::new(2), ..none() };
    let (limits, _clock) = limits(&settings);
    let (first, second) = (limits.principal(id(1)).unwrap(), limits.principal(id(1)).unwrap());
    let full = Exceeded { limit: Limit::PrincipalInFlight, retry_after: SECOND };
    assert_eq!(limits.principal(id(1)).unwrap_err(), full);
    let other = limits.principal(id(2)).unwrap();
    drop(first);
    let third = limits.principal(id(1)).unwrap();
    assert_eq!(limits.principal(id(1)).unwrap_err(), full);
    drop((second, third, other));
    assert!(
        limits.in_flight.as_ref().unwrap().counts.iter().all(|part| part.lock().is_empty()),
        "nobody is remembered"
    );
}

#[test]
fn requests_in_flight_are_counted_however_many_principals_pass_by() {
    let settings = RateLimits {
        principal_in_flight_max: NonZeroU32::new(1),
        principal_requests: Some(rate(1_000, SECOND, 1_000)),
        entries_max: 2,
        ..none()
    };
    let (limits, _clock) = limits(&settings);
    let held = limits.principal(id(255)).unwrap();
    for byte in 0..200 {
        let _passing = limits.principal(id(byte)).unwrap();
    }
    assert_eq!(limits.principal(id(255)).unwrap_err().limit, Limit::PrincipalInFlight);
    drop(held);
    assert!(limits.principal(id(255)).is_ok());
}

#[test]
fn the_rate_of_a_principal_comes_before_its_requests_in_flight() {
    let settings = RateLimits {
        principal_requests: Some(rate(1, SECOND, 1)),
        principal_in_flight_max: NonZeroU32::new(1),
        ..none()
    };
    let (limits, clock) = limits(&settings);
    let held = limits.principal(id(1)).unwrap();
    assert_eq!(limits.principal(id(1)).unwrap_err().limit, Limit::PrincipalRate);
    clock.advance(SECOND);
    assert_eq!(limits.principal(id(1)).unwrap_err().limit, Limit::PrincipalInFlight);
    drop(held);
}

#[test]
fn the_first_glob_that_fits_a_tool_counts_it() {
    let tools = vec![
        ("prometheus_range_*".to_owned(), rate(1, SECOND, 1)),
        ("prometheus_*".to_owned(), rate(1, SECOND, 3)),
    ];
    let (limits, _clock) = limits(&RateLimits { tools, ..none() });
    assert_eq!(limits.tool(id(1), "prometheus_range_query"), Ok(()));
    let exceeded = Err(Exceeded { limit: Limit::ToolRate, retry_after: SECOND });
    assert_eq!(limits.tool(id(1), "prometheus_range_query"), exceeded);
    // Two tools under one glob share its budget.
    assert_eq!(limits.tool(id(1), "prometheus_query"), Ok(()));
    assert_eq!(limits.tool(id(1), "prometheus_list_metrics"), Ok(()));
    assert_eq!(limits.tool(id(1), "prometheus_query"), Ok(()));
    assert_eq!(limits.tool(id(1), "prometheus_list_metrics"), exceeded);
    assert_eq!(limits.tool(id(2), "prometheus_range_query"), Ok(()), "another principal");
    for _ in 0..100 {
        assert_eq!(limits.tool(id(1), "other"), Ok(()), "no glob, no limit");
    }
}

#[test]
fn what_is_no_glob_is_refused_by_name() {
    let settings = RateLimits { tools: vec![("a[".to_owned(), rate(1, SECOND, 1))], ..none() };
    let error = Limits::new(&settings).unwrap_err();
    assert_eq!(error.to_string(), "`a[` is no glob for tools");
}

#[test]
fn a_table_stays_within_its_bound_and_the_strangest_rates_do_not_overflow() {
    let rates = [
        rate(1, Duration::from_hours(24 * 366), u32::MAX),
        rate(u32::MAX, Duration::from_nanos(1), u32::MAX),
        rate(1, Duration::MAX, 1),
        rate(1, Duration::ZERO, 1),
    ];
    for rate in rates {
        let settings = RateLimits { address_requests: Some(rate), entries_max: 50, ..none() };
        let (limits, clock) = limits(&settings);
        for number in 0..5_000_u32 {
            let address = IpAddr::V4(number.into());
            assert_eq!(limits.address(address), Ok(()), "the first of each passes");
            clock.advance(Duration::from_millis(1));
        }
        assert!(limits.requests.as_ref().unwrap().len() <= 50);
    }
}

proptest! {
    /// GCRA's promise, for whatever is asked whenever.
    #[test]
    fn no_more_pass_than_the_burst_and_what_came_back_since(
        count in 1..50_u32,
        per_ms in 1..10_000_u64,
        burst in 1..20_u32,
        pauses_us in proptest::collection::vec(0..500_000_u64, 1..200),
    ) {
        let per = Duration::from_millis(per_ms);
        let settings = RateLimits { principal_requests: Some(rate(count, per, burst)), ..none() };
        let (limits, clock) = limits(&settings);
        let (mut passed, mut elapsed) = (0_u128, Duration::ZERO);
        for pause in pauses_us {
            let pause = Duration::from_micros(pause);
            clock.advance(pause);
            elapsed += pause;
            match limits.principal(id(1)) {
                Ok(_permit) => passed += 1,
                Err(exceeded) => {
                    prop_assert!(exceeded.retry_after >= SECOND);
                    prop_assert_eq!(exceeded.retry_after.subsec_nanos(), 0);
                }
            }
            let back = elapsed.as_nanos() / (per / count).as_nanos();
            prop_assert!(passed <= u128::from(burst) + back, "{} in {:?}", passed, elapsed);
        }
    }

    #[test]
    fn whoever_waits_as_told_is_let_through(
        count in 1..50_u32,
        per_ms in 1..100_000_u64,
        burst in 1..20_u32,
    ) {
        let per = Duration::from_millis(per_ms);
        let settings = RateLimits { principal_requests: Some(rate(count, per, burst)), ..none() };
        let (limits, clock) = limits(&settings);
        let refused = std::iter::repeat_with(|| limits.principal(id(1)))
            .take(usize::try_from(burst).unwrap() + 1)
            .find_map(Result::err)
            .unwrap();
        clock.advance(refused.retry_after);
        prop_assert!(limits.principal(id(1)).is_ok());
    }
}

#[test]
fn limits_count_in_every_thread() {
    fn shareable<T: Send + Sync + 'static>() {}
    shareable::<Limits>();
    shareable::<Permit>();
}
