//! How much each address and each principal may ask for.

use std::{num::NonZeroU32, time::Duration};

use super::{Check, authorization::TOOLS};
use crate::config::{Rate, RateLimits, place::At, raw};

/// Most in one second, minute or hour, and most at once: more is no limit.
const COUNT_MAX: u32 = 1_000_000;
/// Most entries of tools.
const TOOLS_MAX: usize = 64;

/// Limits of a principal who brings a token, unless others are written.
const PRINCIPAL_REQUESTS: &str = "6000/m";
const PRINCIPAL_BURST: u64 = 500;
const PRINCIPAL_IN_FLIGHT_MAX: u64 = 64;

impl Check<'_> {
    /// `with_tokens` says that callers bring a token. Where they do not, a principal is an address, which many may
    /// share, so that only what is written limits it.
    pub(super) fn rate_limits(&mut self, raw: &raw::RateLimits, with_tokens: bool) -> RateLimits {
        let at = At::from(["middleware", "rate_limits"]);
        let raw::RateLimits { address, principal, tools, entries_max } = raw;
        let of = at.key("address");
        let per = at.key("principal");
        let failures = Some(address.failed_burst);
        let (requests, in_flight_max) =
            if with_tokens { (PRINCIPAL_REQUESTS, PRINCIPAL_IN_FLIGHT_MAX) } else { ("off", 0) };
        let requests = raw::RateText(requests.to_owned());
        let requests = principal.requests.as_ref().unwrap_or(&requests);
        let burst = principal.burst.or(Some(PRINCIPAL_BURST));
        let in_flight = self.count(
            &per.key("in_flight_max"),
            principal.in_flight_max.unwrap_or(in_flight_max),
            0..=u64::from(COUNT_MAX),
        );
        RateLimits {
            address_requests: self.rate(&of, KEYS, &address.requests, address.burst),
            address_failures: self.rate(
                &of,
                ("failed_authentications", "failed_burst"),
                &address.failed_authentications,
                failures,
            ),
            principal_requests: self.rate(&per, KEYS, requests, burst),
            principal_in_flight_max: u32::try_from(in_flight).ok().and_then(NonZeroU32::new),
            tools: self.tool_rates(&at.key("tools"), tools),
            entries_max: self.count(&at.key("entries_max"), *entries_max, 1..=10_000_000),
        }
    }

    fn tool_rates(&mut self, at: &At, list: &[raw::ToolLimit]) -> Vec<(String, Rate)> {
        if list.len() > TOOLS_MAX {
            let what = format!("there are more than {TOOLS_MAX} entries");
            self.faults.push(at, what, "join some with a glob such as `prometheus_*`");
        }
        let mut rates = Vec::new();
        for (index, raw) in list.iter().enumerate() {
            let place = at.item(index);
            let glob = raw.tool.as_deref().unwrap_or_default();
            if glob.is_empty() {
                self.faults.push_unless_known(
                    &place.key("tool"),
                    "is missing",
                    "name a tool, or a glob such as `prometheus_*`",
                );
            } else {
                self.glob(&place.key("tool"), glob, TOOLS);
            }
            let Some(requests) = &raw.requests else {
                self.faults.push_unless_known(
                    &place.key("requests"),
                    "is missing",
                    "write a rate, such as `60/m`",
                );
                continue;
            };
            match self.rate(&place, KEYS, requests, raw.burst) {
                Some(rate) => rates.push((glob.to_owned(), rate)),
                None => self.faults.push_unless_known(
                    &place.key("requests"),
                    "an entry without a limit does nothing",
                    "write a rate, such as `60/m`, or remove the entry",
                ),
            }
        }
        rates
    }

    /// The rate in one key, with its burst in another; none when it is off.
    fn rate(
        &mut self,
        section: &At,
        (key, burst_key): (&str, &str),
        raw::RateText(text): &raw::RateText,
        burst: Option<u64>,
    ) -> Option<Rate> {
        let burst = burst.map(|burst| {
            let burst = self.count(&section.key(burst_key), burst, 1..=u64::from(COUNT_MAX));
            u32::try_from(burst).unwrap_or(COUNT_MAX)
        });
        if text == "off" {
            return None;
        }
        let Some((count, per)) = rate(text) else {
            self.faults.push(
                &section.key(key),
                "not a rate",
                "write `N/s`, `N/m` or `N/h` with N from 1 to 1000000, such as `600/m`; or `off`",
            );
            return None;
        };
        let burst = burst.and_then(NonZeroU32::new).unwrap_or(count);
        Some(Rate { count, per, burst })
    }
}

/// The usual names of a rate and its burst.
const KEYS: (&str, &str) = ("requests", "burst");

fn rate(text: &str) -> Option<(NonZeroU32, Duration)> {
    let (count, unit) = text.split_once('/')?;
    let per = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return None,
    };
    let digits = count.bytes().all(|b| b.is_ascii_digit());
    let count = count.parse::<NonZeroU32>().ok().filter(|count| digits && count.get() <= COUNT_MAX);
    Some((count?, per))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_their_unit() {
        for (text, count, secs) in
            [("1/s", 1, 1), ("600/m", 600, 60), ("1000000/h", 1_000_000, 3600)]
        {
            let wanted = (NonZeroU32::new(count).unwrap(), Duration::from_secs(secs));
            assert_eq!(rate(text), Some(wanted), "{text}");
        }
        for text in
            ["", "off", "10", "/m", "0/m", "-1/m", "+1/m", "1/d", "1 /m", "1.5/s", "1000001/s"]
        {
            assert_eq!(rate(text), None, "{text}");
        }
    }
}
