//! What is loaded, how, and at which times.

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

/// What can be kept fresh.
pub(crate) trait Versioned: Send + Sync + 'static {
    /// Whether readers would see no difference.
    fn same(&self, other: &Self) -> bool;
    /// Tells the value its generation.
    fn set_generation(&mut self, generation: u64);
    /// Why it is of no use, though it was loaded well; for the log.
    fn useless(&self) -> Option<&str> {
        None
    }
}

/// Where a value comes from.
pub(crate) trait Load: Send + Sync + 'static {
    /// What is loaded.
    type Value: Versioned;
    /// Why it could not be.
    type Error: Error + Send + Sync + 'static;
    /// Loads it, within [`Pace::load_timeout`].
    fn load(&self) -> impl Future<Output = Result<Loaded<Self::Value>, Self::Error>> + Send;
}

/// A value and how long it may be used before it is loaded again.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    pub(crate) value: T,
    pub(crate) lifetime: Duration,
}

/// The times to keep.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// How long a value may be used after it was loaded last; without it, for ever.
    pub(crate) stale_max: Option<Duration>,
    /// Longest pause between two loads that fail.
    pub(crate) retry_max: Duration,
    /// Longest time that one load takes.
    pub(crate) load_timeout: Duration,
}

/// A load that ended in a panic. What it says is not repeated: it may quote what was loaded.
#[derive(Debug, thiserror::Error)]
#[error("loading ended in a panic, which is a bug; the log has its place")]
pub(super) struct Panicked;

/// Loads, and turns a panic into an error: the task that keeps the value fresh must outlive it.
pub(super) async fn caught<L: Load>(
    loader: &L,
) -> Result<Result<Loaded<L::Value>, L::Error>, Panicked> {
    let mut load = pin!(async { loader.load().await });
    // Nothing broken is seen again: the load is dropped, and what it shares with the next one are
    // whole values behind locks.
    std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| load.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_what_it_says) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// A number from 0 to 1, so that many processes do not ask at the same moment.
pub(super) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

/// An error and what caused it, in one line, each level once.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        // Some libraries print their source themselves.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}
