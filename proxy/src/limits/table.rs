//! One rate for many keys, each with a budget of its own.

use std::{hash::Hash, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use quick_cache::sync::Cache;

use super::Exceeded;
use crate::{config::Rate, metrics::labels::Limit};

/// Longest time in which a whole burst comes back. The arithmetic of GCRA is in nanoseconds of 64 bits, 584
/// years; a burst beyond this is cut.
const BURST_TIME_MAX: Duration = Duration::from_hours(24 * 365 * 10);

/// One rate for many keys.
pub(super) struct RateTable<K, C: Clock>
where
    K: Hash + Eq + Clone,
{
    limit: Limit,
    limiter: RateLimiter<Asked<K>, Store<K>, C, NoOpMiddleware<C::Instant>>,
}

/// A question about a key.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asked<K> {
    key: K,
    /// Whether one is taken; otherwise the state stays as it was.
    takes: bool,
}

/// What was used, for as many keys as there is room.
struct Store<K>(Cache<K, Arc<InMemoryState>>);

impl<K: Hash + Eq + Clone, C: Clock + Clone> RateTable<K, C> {
    pub(super) fn new(rate: Rate, limit: Limit, entries_max: usize, clock: &C) -> Self {
        let store = Store(Cache::new(entries_max.max(1)));
        Self { limit, limiter: RateLimiter::new(quota(rate), store, clock.clone()) }
    }

    /// Takes one of the key's budget.
    pub(super) fn take(&self, key: K) -> Result<(), Exceeded> {
        self.ask(&Asked { key, takes: true })
    }

    /// Says what [`RateTable::take`] would say, and takes nothing.
    pub(super) fn look(&self, key: K) -> Result<(), Exceeded> {
        self.ask(&Asked { key, takes: false })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.limiter.len()
    }

    fn ask(&self, asked: &Asked<K>) -> Result<(), Exceeded> {
        self.limiter.check_key(asked).map_err(|until| {
            let wait = until.wait_time_from(self.limiter.clock().now());
            Exceeded { limit: self.limit, retry_after: whole_seconds(wait) }
        })
    }
}

#[cfg(test)]
impl<K: Hash + Eq + Clone> governor::state::keyed::ShrinkableKeyedStateStore<Asked<K>>
    for Store<K>
{
    fn retain_recent(&self, _drop_below: Nanos) {}

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Hash + Eq + Clone> StateStore for Store<K> {
    type Key = Asked<K>;

    fn measure_and_replace<T, F, E>(&self, asked: &Asked<K>, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if asked.takes {
            let made = || Ok::<_, std::convert::Infallible>(Arc::default());
            return match self.0.get_or_insert_with(&asked.key, made) {
                Ok(state) => state.measure_and_replace(&NotKeyed::NonKey, decide),
                Err(never) => match never {},
            };
        }
        let state = self.0.get(&asked.key);
        let seen = state.and_then(|state| {
            // An error leaves the state as it is.
            let look = |seen: Option<Nanos>| Err::<((), Nanos), _>(seen);
            state.measure_and_replace(&NotKeyed::NonKey, look).err().flatten()
        });
        decide(seen).map(|(outcome, _next)| outcome)
    }
}

fn quota(rate: Rate) -> Quota {
    let each = (rate.per / rate.count.get()).clamp(Duration::from_nanos(1), BURST_TIME_MAX);
    let burst_max = BURST_TIME_MAX.as_nanos() / each.as_nanos().max(1);
    let burst_max = u32::try_from(burst_max).unwrap_or(u32::MAX);
    let burst = NonZeroU32::new(rate.burst.get().min(burst_max)).unwrap_or(NonZeroU32::MIN);
    // There is a quota for every period that is not zero.
    Quota::with_period(each).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
}

/// Rounded up, so that whoever waits so long is let through; at least one, which is the least that
/// `Retry-After` can say to some effect.
fn whole_seconds(wait: Duration) -> Duration {
    let more = u64::from(wait.subsec_nanos() > 0);
    Duration::from_secs(wait.as_secs().saturating_add(more).max(1))
}
