//! What is known not to exist, for a little while: sessions that have just ended, and ids that were looked for in vain.
//!
//! Without it each request with such an id would ask the store, and a session could come back that was read from
//! there just before it ended.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use mcp_core::{principal::PrincipalId, session::SessionId};
use parking_lot::Mutex;

/// How long an id is remembered: longer than any question to the store takes.
const ID_TIME: Duration = Duration::from_secs(5);
/// How long it is remembered that an operator ended all sessions of a principal. What it opens meanwhile works, but is
/// not restored elsewhere.
const PRINCIPAL_TIME: Duration = Duration::from_secs(30);
/// Most entries of each kind. Beyond that nothing is remembered until some are over.
const ENTRIES_MAX: usize = 16 << 10;

/// What is known not to exist.
#[derive(Debug, Default)]
pub(super) struct Absent {
    ended: Mutex<Lately<SessionId>>,
    sought: Mutex<Lately<SessionId>>,
    principals: Mutex<Lately<PrincipalId>>,
}

/// Things that were noted lately.
#[derive(Debug)]
struct Lately<K>(HashMap<K, Instant>);

impl<K> Default for Lately<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Lately<K> {
    fn note(&mut self, key: &K, time: Duration) {
        if self.0.len() >= ENTRIES_MAX {
            self.0.retain(|_, noted| noted.elapsed() < time);
        }
        if self.0.len() < ENTRIES_MAX {
            self.0.insert(key.clone(), Instant::now());
        }
    }

    fn knows(&self, key: &K, time: Duration) -> bool {
        self.0.get(key).is_some_and(|noted| noted.elapsed() < time)
    }
}

impl Absent {
    /// Remembers that a session has ended.
    pub(super) fn note_end(&self, id: &SessionId) {
        self.ended.lock().note(id, ID_TIME);
    }

    /// Whether the session has ended lately.
    pub(super) fn has_ended(&self, id: &SessionId) -> bool {
        self.ended.lock().knows(id, ID_TIME)
    }

    /// Remembers an id that was looked for in vain.
    pub(super) fn note_sought(&self, id: &SessionId) {
        self.sought.lock().note(id, ID_TIME);
    }

    /// Whether the id was looked for in vain lately.
    pub(super) fn was_sought(&self, id: &SessionId) -> bool {
        self.sought.lock().knows(id, ID_TIME)
    }

    /// Remembers that all sessions of a principal ended.
    pub(super) fn revoke(&self, principal: PrincipalId) {
        self.principals.lock().note(&principal, PRINCIPAL_TIME);
    }

    /// Whether all sessions of a principal ended lately.
    pub(super) fn was_revoked(&self, principal: PrincipalId) -> bool {
        self.principals.lock().knows(&principal, PRINCIPAL_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_until_its_time_is_over() {
        let mut lately = Lately::default();
        lately.note(&1, ID_TIME);
        assert!(lately.knows(&1, ID_TIME) && !lately.knows(&2, ID_TIME));
        assert!(!lately.knows(&1, Duration::ZERO));
    }

    #[test]
    fn it_does_not_grow_without_bound_and_makes_room_when_time_is_over() {
        let mut lately = Lately::default();
        (0..ENTRIES_MAX + 5).for_each(|key| lately.note(&key, ID_TIME));
        assert_eq!(lately.0.len(), ENTRIES_MAX);
        lately.note(&usize::MAX, Duration::ZERO);
        assert!(lately.knows(&usize::MAX, ID_TIME));
        assert_eq!(lately.0.len(), 1);
    }
}
