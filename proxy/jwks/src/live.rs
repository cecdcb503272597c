//! A value that is kept fresh in the background.
//!
//! One task loads it: at once, then ahead of each expiry, and again and again while loading fails.
//! Readers get what was loaded last, without waiting, until it is too old.

use std::{
    error::Error,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep_until, timeout},
};

mod load;

pub(crate) use self::load::{Load, Loaded, Pace, Versioned, chain};
use self::load::{caught, chance};

/// Shortest time between two loads that were asked for. Tokens with made-up key ids must not
/// become a flood towards the provider.
pub(crate) const COOLDOWN: Duration = Duration::from_secs(10);

/// Pause after the first load that failed; it doubles with each further one.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// Least `Retry-After`: header values are whole seconds, and 0 would say "at once".
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// Nothing to read: not loaded yet, or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not at hand; the next attempt is due within {} s", .retry_after.as_secs())]
pub struct Unavailable {
    /// When to try again; at least a second.
    pub retry_after: Duration,
}

/// What came of asking for newer values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refetched {
    /// A newer generation than the one seen is there.
    Newer,
    /// The last load went well and brought nothing newer.
    Unchanged,
    /// The last load failed or takes too long, so it is not known whether there is anything newer.
    Failed(Unavailable),
}

/// How loading goes.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    /// When it last went well.
    pub(crate) last_success: Option<SystemTime>,
    /// Why the last load failed; none if it did not.
    pub(crate) last_error: Option<Arc<str>>,
    /// How many loads went well.
    pub(crate) successes: u64,
    /// How many failed.
    pub(crate) failures: u64,
    /// Time until the next; none while one is under way.
    pub(crate) next_in: Option<Duration>,
}

/// A value that is kept fresh until this is dropped.
pub(crate) struct Live<T: Versioned> {
    shared: Arc<Shared<T>>,
    task: AbortHandle,
}

struct Shared<T> {
    /// For the log.
    name: Arc<str>,
    pace: Pace,
    held: ArcSwapOption<Held<T>>,
    desk: Mutex<Desk>,
    /// Wakes the task.
    asked: Notify,
    /// How many loads have ended. Written under the desk's lock, so that whoever subscribes under
    /// it learns of the end of the load that it found there.
    ended: watch::Sender<u64>,
}

struct Held<T> {
    value: Arc<T>,
    generation: u64,
    stale_at: Option<Instant>,
}

/// What the task and those who wait for it agree on.
struct Desk {
    loading: bool,
    /// Somebody asked, and the load has not begun.
    asked: bool,
    /// The load under way was asked for.
    serving: bool,
    /// Nobody may ask before this.
    cooldown_until: Option<Instant>,
    next: Instant,
    failures_in_a_row: u32,
    health: Health,
}

impl<T: Versioned> Live<T> {
    /// Starts to keep what `loader` loads. To be called inside a tokio runtime.
    pub(crate) fn start<L: Load<Value = T>>(name: Arc<str>, pace: Pace, loader: L) -> Self {
        let health = Health {
            last_success: None,
            last_error: None,
            successes: 0,
            failures: 0,
            next_in: None,
        };
        let desk = Desk {
            // The first load begins with the task.
            loading: true,
            asked: false,
            serving: false,
            cooldown_until: None,
            next: Instant::now(),
            failures_in_a_row: 0,
            health,
        };
        let shared = Arc::new(Shared {
            name,
            pace,
            held: ArcSwapOption::empty(),
            desk: Mutex::new(desk),
            asked: Notify::new(),
            ended: watch::Sender::new(0),
        });
        let task = tokio::spawn(Arc::clone(&shared).keep(loader)).abort_handle();
        Self { shared, task }
    }

    /// What was loaded last.
    ///
    /// # Errors
    /// [`Unavailable`] when nothing was loaded yet, or it is too old.
    pub(crate) fn current(&self) -> Result<Arc<T>, Unavailable> {
        match &*self.shared.held.load() {
            Some(held) if held.is_usable() => Ok(Arc::clone(&held.value)),
            Some(_) | None => Err(self.shared.desk.lock().unavailable()),
        }
    }

    /// Generation of what [`Live::current`] would return; none where it would fail.
    pub(crate) fn usable_generation(&self) -> Option<u64> {
        let held = self.shared.held.load();
        held.as_ref().filter(|held| held.is_usable()).map(|held| held.generation)
    }

    /// What was loaded last, however old.
    pub(crate) fn last(&self) -> Option<Arc<T>> {
        self.shared.held.load().as_ref().map(|held| Arc::clone(&held.value))
    }

    /// Generation of what was loaded last; 0 before the first.
    pub(crate) fn generation(&self) -> u64 {
        self.shared.held.load().as_ref().map_or(0, |held| held.generation)
    }

    /// Loads again, for somebody who has seen the generation `seen` and needs a newer one.
    ///
    /// All who ask at once share one load, also one that is under way by itself. Within
    /// [`COOLDOWN`] of the last load that was asked for, there is none, and the answer comes at
    /// once.
    pub(crate) async fn refetch(&self, seen: u64) -> Refetched {
        let in_time = match self.ask(seen) {
            // Loads end by themselves; should the task have died, nobody is to wait for ever.
            Some(mut ended) => {
                timeout(self.shared.pace.load_timeout, ended.changed()).await.is_ok()
            }
            None => true,
        };
        let desk = self.shared.desk.lock();
        if self.generation() > seen {
            Refetched::Newer
        } else if in_time && desk.failures_in_a_row == 0 {
            Refetched::Unchanged
        } else {
            Refetched::Failed(desk.unavailable())
        }
    }

    /// Waits until something usable is there, for so long, and returns whether it is.
    pub(crate) async fn loaded(&self, patience: Duration) -> bool {
        let mut ended = self.shared.ended.subscribe();
        let usable = ended.wait_for(|_ended| self.current().is_ok());
        // The sender lives as long as this does, so that waiting ends in one of two ways.
        matches!(timeout(patience, usable).await, Ok(Ok(_)))
    }

    /// Waits for the end of the first load, and returns whether something usable is there.
    #[cfg(feature = "fetch")]
    pub(crate) async fn attempted(&self) -> bool {
        let mut ended = self.shared.ended.subscribe();
        let first = ended.wait_for(|ended| *ended > 0);
        let waited = timeout(self.shared.pace.load_timeout, first).await.is_ok();
        tracing::trace!(in_time = waited, "waited for the first load");
        self.current().is_ok()
    }

    /// How loading goes.
    pub(crate) fn health(&self) -> Health {
        let desk = self.shared.desk.lock();
        Health { next_in: desk.next_in(), ..desk.health.clone() }
    }

    /// Asks for a load, or joins one; none if there is nothing to wait for.
    fn ask(&self, seen: u64) -> Option<watch::Receiver<u64>> {
        let mut desk = self.shared.desk.lock();
        if self.generation() > seen {
            return None;
        }
        if !desk.loading && !desk.asked {
            if desk.cooldown_until.is_some_and(|until| Instant::now() < until) {
                return None;
            }
            desk.asked = true;
            self.shared.asked.notify_one();
        }
        Some(self.shared.ended.subscribe())
    }
}

impl<T: Versioned> Drop for Live<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Versioned> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self.generation();
        f.debug_struct("Live")
            .field("name", &self.shared.name)
            .field("generation", &generation)
            .finish_non_exhaustive()
    }
}

impl<T> Held<T> {
    fn is_usable(&self) -> bool {
        self.stale_at.is_none_or(|at| Instant::now() < at)
    }
}

impl Desk {
    fn unavailable(&self) -> Unavailable {
        Unavailable { retry_after: self.next_in().unwrap_or_default().max(RETRY_AFTER_MIN) }
    }

    fn next_in(&self) -> Option<Duration> {
        let under_way = self.loading || self.asked;
        (!under_way).then(|| self.next.saturating_duration_since(Instant::now()))
    }
}

impl<T: Versioned> Shared<T> {
    /// The task: loads, waits, loads again, until it is aborted.
    async fn keep<L: Load<Value = T>>(self: Arc<Self>, loader: L) -> ! {
        loop {
            match caught(&loader).await {
                Ok(Ok(new)) => self.accept(new),
                Ok(Err(error)) => self.miss(&error),
                Err(panicked) => self.miss(&panicked),
            }
            self.due().await;
        }
    }

    /// Takes over what was loaded and plans the next load.
    fn accept(&self, loaded: Loaded<T>) {
        let Loaded { mut value, lifetime } = loaded;
        let held = self.held.load_full();
        let generation = match &held {
            Some(held) if held.value.same(&value) => held.generation,
            Some(held) => held.generation.saturating_add(1),
            None => 1,
        };
        let changed = held.as_ref().is_none_or(|held| held.generation != generation);
        // Once for each change: it may stay so for days.
        if let Some(why) = value.useless().filter(|_| changed) {
            tracing::error!(name = %self.name, generation, why, "what was loaded is of no use");
        }
        value.set_generation(generation);
        let stale_at = self.pace.stale_max.map(|max| Instant::now() + max);
        self.held.store(Some(Arc::new(Held { value: Arc::new(value), generation, stale_at })));
        // Half of the time in which an old value would do is kept for a provider that fails.
        let lifetime = self.pace.stale_max.map_or(lifetime, |max| lifetime.min(max / 2));
        self.end(lifetime.mul_f64(0.8 + 0.1 * chance()), |desk| {
            if desk.failures_in_a_row > 0 {
                tracing::info!(name = %self.name, generation, "loaded again after failures");
            } else if changed {
                tracing::info!(name = %self.name, generation, "loaded");
            }
            desk.failures_in_a_row = 0;
            desk.health.successes = desk.health.successes.saturating_add(1);
            desk.health.last_success = Some(SystemTime::now());
            desk.health.last_error = None;
        });
    }

    /// Notes a load that failed and plans the next.
    fn miss(&self, error: &(dyn Error + 'static)) {
        let text = chain(error);
        let failures = self.desk.lock().failures_in_a_row.saturating_add(1);
        let doublings = failures.saturating_sub(1).min(16);
        let pause = RETRY_MIN.saturating_mul(1 << doublings).min(self.pace.retry_max);
        // Every so often is enough for a log: the first, second, fourth, eighth time.
        if failures.is_power_of_two() {
            let held = self.held.load();
            if held.as_ref().is_some_and(|held| held.is_usable()) {
                tracing::warn!(name = %self.name, failures, error = %text, "cannot be loaded; the old is used");
            } else {
                tracing::error!(name = %self.name, failures, error = %text, "cannot be loaded, and nothing is at hand");
            }
        }
        self.end(pause.mul_f64(0.75 + 0.25 * chance()), |desk| {
            desk.failures_in_a_row = failures;
            desk.health.failures = desk.health.failures.saturating_add(1);
            desk.health.last_error = Some(text.into());
        });
    }

    /// Ends a load: the next is due after `pause`, and whoever waited goes on.
    fn end(&self, pause: Duration, note: impl FnOnce(&mut Desk)) {
        let mut desk = self.desk.lock();
        let now = Instant::now();
        note(&mut desk);
        desk.next = now + pause;
        desk.loading = false;
        if desk.serving {
            desk.serving = false;
            desk.cooldown_until = Some(now + COOLDOWN);
        }
        self.ended.send_modify(|ended| *ended = ended.wrapping_add(1));
    }

    /// Waits until the next load is due or somebody asks for one, and begins it.
    async fn due(&self) {
        let next = self.desk.lock().next;
        loop {
            let asked = tokio::select! {
                () = self.asked.notified() => true,
                () = sleep_until(next) => false,
            };
            let mut desk = self.desk.lock();
            // A call may have been answered by a load that was due at the same moment; its
            // wake-up is left over and means nothing.
            if !asked || desk.asked {
                desk.serving = desk.asked;
                desk.asked = false;
                desk.loading = true;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
