//! When what was written is forced onto the disk.

use std::time::Instant;

use crate::config::Fsync;

/// What was written and may not be on the disk.
pub(in crate::access_log) struct Unsynced {
    fsync: Fsync,
    since: Option<Instant>,
}

impl Unsynced {
    /// Nothing is.
    pub(in crate::access_log) const fn new(fsync: Fsync) -> Self {
        Self { fsync, since: None }
    }

    /// Something was written.
    pub(in crate::access_log) fn wrote(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Whether it is to be forced onto the disk now; `end` says that the log, or what is there, ends.
    pub(in crate::access_log) fn is_due(&self, end: bool) -> bool {
        self.since.is_some_and(|since| match self.fsync {
            Fsync::Never => false,
            Fsync::Always => true,
            Fsync::Every(interval) => end || since.elapsed() >= interval,
        })
    }

    /// When it will be.
    pub(in crate::access_log) fn due_at(&self) -> Option<Instant> {
        match self.fsync {
            Fsync::Every(interval) => self.since?.checked_add(interval),
            Fsync::Never | Fsync::Always => None,
        }
    }

    /// All is on the disk.
    pub(in crate::access_log) const fn done(&mut self) {
        self.since = None;
    }
}
