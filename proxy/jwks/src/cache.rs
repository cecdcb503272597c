//! Tokens that were verified before: what a signature costs is paid once.

use std::{fmt, sync::Arc, time::SystemTime};

use aws_lc_rs::digest;

/// What was found out about tokens, by their SHA-256: a table that leaks gives no token away.
///
/// Full, it forgets the entries least worth keeping.
pub(crate) struct Cache<T> {
    entries: quick_cache::sync::Cache<Digest, Entry<T>>,
    entries_max: usize,
}

/// SHA-256 of a token.
pub(crate) type Digest = [u8; 32];

/// What was found out about one token.
pub(crate) struct Entry<T> {
    pub(crate) value: Arc<T>,
    /// Index of its issuer.
    pub(crate) issuer: usize,
    /// Generation of the keys that verified it; none where somebody else did.
    pub(crate) generation: Option<u64>,
    /// From then on the token is refused, and so is the entry; none for a token without an end.
    pub(crate) until: Option<SystemTime>,
}

/// How an issuer's keys stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Somebody else checks signatures.
    NotNeeded,
    /// They are of this generation.
    Generation(u64),
    /// There are none.
    Unavailable,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<T> Cache<T> {
    /// A cache of at most so many entries.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: quick_cache::sync::Cache::new(entries_max), entries_max }
    }

    /// How many entries it holds, and how many it can.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.entries_max)
    }

    /// What is known about a token, as long as it holds: until the token's end, and while the keys that
    /// verified it are the issuer's keys. What has ceased to hold is dropped.
    pub(crate) fn get(
        &self,
        digest: &Digest,
        now: SystemTime,
        standing: impl FnOnce(usize) -> Standing,
    ) -> Option<Arc<T>> {
        let entry = self.entries.get(digest)?;
        let ended = entry.until.is_some_and(|until| now >= until);
        let fresh = match standing(entry.issuer) {
            Standing::NotNeeded => entry.generation.is_none(),
            Standing::Generation(current) => entry.generation == Some(current),
            // The keys may come back unchanged, so the entry may stay; it counts for nothing till then.
            Standing::Unavailable => return None,
        };
        if ended || !fresh {
            self.entries.remove(digest);
            return None;
        }
        Some(entry.value)
    }

    pub(crate) fn insert(&self, digest: Digest, entry: Entry<T>) {
        self.entries.insert(digest, entry);
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

/// SHA-256 of a token.
pub(crate) fn digest(token: &str) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    digest
}

#[cfg(test)]
mod tests;
