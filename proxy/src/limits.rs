//! How much each address and each principal gets: rates (GCRA) and requests at once.
//!
//! Every table has a bound. Where one is full the entry not seen for longest is forgotten, which gives its
//! owner a fresh budget: better than refusing whoever comes next. Requests in flight are never forgotten, as
//! there are no more of them than connections.

mod table;

use std::{collections::HashMap, fmt, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use globset::{Glob, GlobMatcher};
use governor::clock::{Clock, DefaultClock};
use mcp_core::principal::PrincipalId;
use parking_lot::Mutex;

use self::table::RateTable;
use crate::{client_address::holder, config::RateLimits, metrics::labels::Limit};

/// When to try again where a request in flight must end first, which nobody can foresee.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);

/// The limits, with what was used of them. `C` is the clock.
pub struct Limits<C: Clock = DefaultClock> {
    requests: Option<RateTable<IpAddr, C>>,
    failures: Option<RateTable<IpAddr, C>>,
    principals: Option<RateTable<PrincipalId, C>>,
    in_flight: Option<Arc<InFlight>>,
    tools: Vec<(GlobMatcher, RateTable<PrincipalId, C>)>,
}

/// More than the caller's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than the caller's share")]
pub struct Exceeded {
    /// Which limit.
    pub limit: Limit,
    /// When one more will be let through, in whole seconds, at least one.
    pub retry_after: Duration,
}

/// A limit for tools whose glob is none.
#[derive(Debug, thiserror::Error)]
#[error("`{glob}` is no glob for tools")]
pub struct BadGlob {
    /// The glob as written.
    pub glob: String,
    #[source]
    source: globset::Error,
}

/// A principal's place among its requests in flight; dropping it frees the place.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Permit(Option<(Arc<InFlight>, PrincipalId)>);

/// Requests in flight by principal. One without any takes no room.
#[derive(Debug)]
struct InFlight {
    max: NonZeroU32,
    /// In parts, so that callers seldom wait for one another.
    counts: [Mutex<HashMap<PrincipalId, u32>>; 16],
}

impl Limits {
    /// Limits of which nothing is used yet.
    ///
    /// # Errors
    /// [`BadGlob`] when a limit for tools is for no glob.
    pub fn new(settings: &RateLimits) -> Result<Self, BadGlob> {
        Self::with_clock(settings, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// Limits by another clock.
    ///
    /// # Errors
    /// [`BadGlob`] when a limit for tools is for no glob.
    pub fn with_clock(settings: &RateLimits, clock: &C) -> Result<Self, BadGlob> {
        let max = settings.entries_max;
        let tools = settings.tools.iter().map(|(glob, rate)| {
            let matcher = Glob::new(glob)
                .map_err(|source| BadGlob { glob: glob.clone(), source })?
                .compile_matcher();
            Ok((matcher, RateTable::new(*rate, Limit::ToolRate, max, clock)))
        });
        let by_address =
            |rate: Option<_>, limit| rate.map(|rate| RateTable::new(rate, limit, max, clock));
        Ok(Self {
            requests: by_address(settings.address_requests, Limit::AddressRate),
            failures: by_address(settings.address_failures, Limit::AddressFailures),
            principals: settings
                .principal_requests
                .map(|rate| RateTable::new(rate, Limit::PrincipalRate, max, clock)),
            in_flight: settings
                .principal_in_flight_max
                .map(|max| Arc::new(InFlight { max, counts: Default::default() })),
            tools: tools.collect::<Result<_, _>>()?,
        })
    }

    /// Whether any limit is about callers, rather than addresses.
    #[must_use]
    pub fn concern_callers(&self) -> bool {
        self.principals.is_some() || self.in_flight.is_some() || !self.tools.is_empty()
    }

    /// Counts a request of this address.
    ///
    /// # Errors
    /// [`Exceeded`] when it is one too many.
    pub fn address(&self, address: IpAddr) -> Result<(), Exceeded> {
        self.requests.as_ref().map_or(Ok(()), |table| table.take(holder(address)))
    }

    /// Whether this address may present a token; counts nothing.
    ///
    /// # Errors
    /// [`Exceeded`] when too many of its tokens were refused.
    pub fn blocked(&self, address: IpAddr) -> Result<(), Exceeded> {
        self.failures.as_ref().map_or(Ok(()), |table| table.look(holder(address)))
    }

    /// Counts a token of this address that was refused.
    pub fn failed(&self, address: IpAddr) {
        if let Some(failures) = &self.failures {
            // Past the budget nothing is counted: the address is blocked already.
            let _used_up = failures.take(holder(address));
        }
    }

    /// Counts a request of this principal, and takes it a place among those in flight.
    ///
    /// # Errors
    /// [`Exceeded`] when it is one too many, in time or at once.
    pub fn principal(&self, principal: PrincipalId) -> Result<Permit, Exceeded> {
        self.principals.as_ref().map_or(Ok(()), |table| table.take(principal))?;
        let Some(in_flight) = &self.in_flight else { return Ok(Permit(None)) };
        if !in_flight.enter(principal) {
            let limit = Limit::PrincipalInFlight;
            return Err(Exceeded { limit, retry_after: IN_FLIGHT_RETRY });
        }
        Ok(Permit(Some((Arc::clone(in_flight), principal))))
    }

    /// Counts a call of this tool by this principal, against the first limit whose glob fits.
    ///
    /// # Errors
    /// [`Exceeded`] when it is one too many.
    pub fn tool(&self, principal: PrincipalId, tool: &str) -> Result<(), Exceeded> {
        let fits = self.tools.iter().find(|(glob, _)| glob.is_match(tool));
        fits.map_or(Ok(()), |(_, table)| table.take(principal))
    }
}

impl<C: Clock> fmt::Debug for Limits<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl InFlight {
    /// The part that counts this principal.
    fn part(&self, principal: PrincipalId) -> Option<&Mutex<HashMap<PrincipalId, u32>>> {
        let mixed = principal.0.iter().fold(0, |mixed, byte| mixed ^ byte);
        self.counts.get(usize::from(mixed % 16))
    }

    fn enter(&self, principal: PrincipalId) -> bool {
        // Always there; none would mean one request more than allowed.
        let Some(part) = self.part(principal) else { return true };
        let mut counts = part.lock();
        let count = counts.entry(principal).or_default();
        // An entry that was just made is below the limit, so none stays without a request.
        let enters = *count < self.max.get();
        if enters {
            *count += 1;
        }
        enters
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some((in_flight, principal)) = &self.0 else { return };
        let Some(part) = in_flight.part(*principal) else { return };
        let mut counts = part.lock();
        if let Some(count) = counts.get_mut(principal) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(principal);
            }
        }
    }
}

#[cfg(test)]
mod tests;
