//! An issuer's keys, kept fresh.
//!
//! They are fetched at once and then ahead of their expiry; while that fails, again and again, at
//! pauses that grow. Starting while the provider is down works. Old keys serve until `stale_max`
//! after the last good fetch; then there are none. A token with an unknown key id leads to one
//! fetch that everyone shares, and to none for a while after it.
//!
//! What the provider publishes counts, also when it is nothing: a key that is gone from a set that
//! was fetched well counts no longer, be it the last one.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    key::{KeySet, RejectedKey},
    live::{Live, Versioned},
    source::{Source, Terms},
};

mod origin;

use self::origin::Origin;
#[cfg(feature = "fetch")]
use self::origin::Web;
pub use self::origin::{FileFault, LoadError};
pub use crate::live::{Refetched, Unavailable};

/// An issuer's keys, kept fresh until the last reference is dropped.
#[derive(Debug)]
pub struct Jwks(Keys);

enum Keys {
    Fixed(Arc<Snapshot>),
    Live(Live<Snapshot>),
}

/// The keys as they were loaded last.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows when, and only when, the accepted keys have changed.
    pub generation: u64,
    /// The keys; none where the last set that was loaded has none that can be used.
    pub keys: KeySet,
    /// What is wrong with a set that has no key that can be used.
    useless: Option<String>,
}

/// How loading goes, and what was loaded.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether there are keys that may be used.
    pub usable: bool,
    /// Generation of the keys; 0 before the first.
    pub generation: u64,
    /// When keys were last loaded. None for fixed keys.
    pub last_success: Option<SystemTime>,
    /// Why the last load failed, or brought no key that can be used; none if it brought some. For
    /// people; holds nothing of the document.
    pub last_error: Option<Arc<str>>,
    /// How many loads went well.
    pub successes: u64,
    /// How many loads failed.
    pub failures: u64,
    /// Number of accepted keys by type, as in `RSA`, `P-256`, `Ed25519`.
    pub keys: BTreeMap<&'static str, usize>,
    /// Keys that are not used, each with its reason.
    pub rejected: Vec<RejectedKey>,
    /// Time until the next load. None for fixed keys, and while a load is under way.
    pub next_load_in: Option<Duration>,
}

/// Keys that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The text holds no usable keys.
    #[error(transparent)]
    Inline(LoadError),
    /// The address may not be asked.
    #[cfg(feature = "fetch")]
    #[error("the address of the keys cannot be used")]
    Address(#[source] crate::fetch::FetchFault),
    /// The issuer cannot be discovered.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Issuer(#[from] crate::discovery::BadIssuer),
    /// No client.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Client(#[from] crate::fetch::ClientError),
    /// Keys from an address, in a build that cannot fetch.
    #[cfg(not(feature = "fetch"))]
    #[error("this build cannot fetch keys; turn on the feature `fetch`")]
    NoFetch,
    /// Nothing to run the background task.
    #[error("keys are kept by a tokio task, and there is no tokio runtime here")]
    NoRuntime,
}

impl Jwks {
    /// Keys that never change.
    #[must_use]
    pub fn fixed(keys: KeySet) -> Arc<Self> {
        Arc::new(Self(Keys::Fixed(Arc::new(Snapshot { generation: 1, keys, useless: None }))))
    }

    /// Starts to keep the keys of `source`; the first fetch begins at once and is not waited for.
    ///
    /// # Errors
    /// [`StartError`] when this cannot work, whatever the provider does.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever starts this has no further use for them"
    )]
    pub fn start(source: Source, terms: Terms) -> Result<Arc<Self>, StartError> {
        let (name, pace, origin): (Arc<str>, _, _) = match source {
            Source::Inline(text) => {
                let snapshot = origin::fixed(text.as_bytes()).map_err(StartError::Inline)?;
                let snapshot = Arc::new(snapshot);
                return Ok(Arc::new(Self(Keys::Fixed(snapshot))));
            }
            Source::File(path) => {
                let name = path.display().to_string().into();
                (name, Origin::file_pace(&terms), Origin::file(path))
            }
            #[cfg(feature = "fetch")]
            Source::Uri(url) => {
                let (name, web) = Web::at(url, &terms)?;
                (name, web.pace(&terms), Origin::Web(Box::new(web)))
            }
            #[cfg(feature = "fetch")]
            Source::Discovery { issuer } => {
                let (name, web) = Web::discovered(issuer, &terms)?;
                (name, web.pace(&terms), Origin::Web(Box::new(web)))
            }
            #[cfg(not(feature = "fetch"))]
            Source::Uri(_) | Source::Discovery { .. } => return Err(StartError::NoFetch),
        };
        tokio::runtime::Handle::try_current().map_err(|_outside| StartError::NoRuntime)?;
        Ok(Arc::new(Self(Keys::Live(Live::start(name, pace, origin)))))
    }

    /// The keys as they were loaded last. Neither waits nor locks while there are some.
    ///
    /// # Errors
    /// [`Unavailable`] when none were loaded yet, or `stale_max` has passed since.
    pub fn current(&self) -> Result<Arc<Snapshot>, Unavailable> {
        match &self.0 {
            Keys::Fixed(snapshot) => Ok(Arc::clone(snapshot)),
            Keys::Live(live) => live.current(),
        }
    }

    /// Generation of the keys that [`Jwks::current`] would return; none where it would fail.
    /// Cheaper: nothing that is shared is written to.
    #[must_use]
    pub fn usable_generation(&self) -> Option<u64> {
        match &self.0 {
            Keys::Fixed(snapshot) => Some(snapshot.generation),
            Keys::Live(live) => live.usable_generation(),
        }
    }

    /// Loads the keys again, for a token whose key is unknown in the generation `seen_generation`.
    ///
    /// All callers share one load. For 10 s after it there is no other, and the answer comes at
    /// once.
    pub async fn refetch(&self, seen_generation: u64) -> Refetched {
        match &self.0 {
            Keys::Fixed(snapshot) if snapshot.generation > seen_generation => Refetched::Newer,
            Keys::Fixed(_) => Refetched::Unchanged,
            Keys::Live(live) => live.refetch(seen_generation).await,
        }
    }

    /// Waits until a key set was loaded and is not too old, for so long, and returns whether one is
    /// there.
    pub async fn loaded(&self, patience: Duration) -> bool {
        match &self.0 {
            Keys::Fixed(_) => true,
            Keys::Live(live) => live.loaded(patience).await,
        }
    }

    /// How loading goes, and what was loaded.
    #[must_use]
    pub fn status(&self) -> Status {
        let (snapshot, health) = match &self.0 {
            Keys::Fixed(snapshot) => (Some(Arc::clone(snapshot)), None),
            Keys::Live(live) => (live.last(), Some(live.health())),
        };
        let keys = snapshot.as_ref().map(|snapshot| &snapshot.keys);
        let mut by_type = BTreeMap::new();
        for key in keys.map(KeySet::keys).unwrap_or_default() {
            *by_type.entry(key.kind()).or_default() += 1;
        }
        let useless = snapshot.as_ref().and_then(|snapshot| snapshot.useless.as_deref());
        let error = health.as_ref().and_then(|health| health.last_error.clone());
        Status {
            usable: keys.is_some_and(|keys| !keys.keys().is_empty())
                && self.usable_generation().is_some(),
            generation: snapshot.as_ref().map_or(0, |snapshot| snapshot.generation),
            last_success: health.as_ref().and_then(|health| health.last_success),
            last_error: error.or_else(|| useless.map(Arc::from)),
            successes: health.as_ref().map_or(0, |health| health.successes),
            failures: health.as_ref().map_or(0, |health| health.failures),
            keys: by_type,
            rejected: keys.map(KeySet::rejected).unwrap_or_default().to_vec(),
            next_load_in: health.and_then(|health| health.next_in),
        }
    }
}

impl Versioned for Snapshot {
    fn same(&self, other: &Self) -> bool {
        self.keys.same_keys(&other.keys)
    }

    fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    fn useless(&self) -> Option<&str> {
        self.useless.as_deref()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed(..)"),
            Self::Live(live) => live.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
