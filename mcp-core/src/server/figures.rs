//! What a worker counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a worker holds at the moment, and what it has counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sessions open.
    pub sessions: u64,
    /// Calls in flight.
    pub calls: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions refused because there were too many.
    pub sessions_refused: u64,
    /// Sessions that their client ended.
    pub sessions_deleted: u64,
    /// Sessions that ended because nothing happened in them.
    pub sessions_idle: u64,
    /// Sessions that ended because they had reached their age.
    pub sessions_expired: u64,
    /// Sessions that began elsewhere and go on here.
    pub sessions_restored: u64,
    /// Sessions that were forgotten here, as they go on elsewhere.
    pub sessions_released: u64,
    /// Sessions that were ended because all of their principal's were.
    pub sessions_revoked: u64,
}

/// The counters behind [`Figures`].
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) opened: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) idle: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) restored: AtomicU64,
    pub(super) released: AtomicU64,
    pub(super) revoked: AtomicU64,
}

impl Counts {
    /// What was counted, beside what is held at the moment.
    pub(super) fn figures(&self, sessions: usize, calls: usize) -> Figures {
        Figures {
            sessions: wide(sessions),
            calls: wide(calls),
            sessions_opened: self.opened.load(Ordering::Relaxed),
            sessions_refused: self.refused.load(Ordering::Relaxed),
            sessions_deleted: self.deleted.load(Ordering::Relaxed),
            sessions_idle: self.idle.load(Ordering::Relaxed),
            sessions_expired: self.expired.load(Ordering::Relaxed),
            sessions_restored: self.restored.load(Ordering::Relaxed),
            sessions_released: self.released.load(Ordering::Relaxed),
            sessions_revoked: self.revoked.load(Ordering::Relaxed),
        }
    }
}

pub(super) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
