//! An issuer's keys as they stand now.

use std::{sync::Arc, time::Duration};

use crate::key::KeySet;

/// An issuer's keys.
#[derive(Debug)]
pub struct Jwks(Arc<Snapshot>);

/// The keys as they were loaded last.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows when, and only when, the accepted keys have changed.
    pub generation: u64,
    /// The keys.
    pub keys: KeySet,
}

/// No keys may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are no keys that may be used")]
pub struct Unavailable {
    /// When to ask again.
    pub retry_after: Duration,
}

impl Jwks {
    /// Keys that never change.
    #[must_use]
    pub fn fixed(keys: KeySet) -> Arc<Self> {
        Arc::new(Self(Arc::new(Snapshot { generation: 1, keys })))
    }

    /// The keys.
    ///
    /// # Errors
    /// [`Unavailable`] when there are none that may be used.
    pub fn current(&self) -> Result<Arc<Snapshot>, Unavailable> {
        Ok(Arc::clone(&self.0))
    }

    /// Fetches the keys anew; true when there are newer ones than the generation seen.
    #[expect(clippy::unused_async, reason = "others have to be waited for")]
    pub async fn refetch(&self, seen_generation: u64) -> bool {
        self.0.generation > seen_generation
    }
}
