//! Sessions that go from one worker to another, or end for a reason outside of them.

use std::{sync::atomic::Ordering, time::SystemTime};

use super::Worker;
use crate::{
    principal::PrincipalId,
    server::{
        client::Client,
        figures::wide,
        saved::{CannotRestore, SavedSession},
        sessions::Opening,
    },
    session::SessionId,
};

impl Worker {
    /// Whether the session is here, whoever owns it.
    #[must_use]
    pub fn holds(&self, id: &SessionId) -> bool {
        self.sessions.look(id).is_some()
    }

    /// What the client of a session said of itself; `None` when the session is not here.
    #[must_use]
    pub fn client(&self, id: &SessionId) -> Option<Client> {
        self.sessions.look(id).map(|session| Client::of_session(&session.facts))
    }

    /// The ids of all sessions that are here.
    #[must_use]
    pub fn ids(&self) -> Vec<SessionId> {
        self.sessions.ids()
    }

    /// All that another worker needs to go on with the session; `None` when it is not here.
    #[must_use]
    pub fn saved(&self, id: &SessionId) -> Option<SavedSession> {
        let session = self.sessions.look(id)?;
        let facts = &session.facts;
        SavedSession::new(&facts.init, &facts.version, session.owner, session.expires_s)
    }

    /// Goes on with a session that was opened elsewhere and belongs to whoever opened it. One that is here already
    /// stays as it is. Must be called inside a tokio runtime.
    ///
    /// It counts against the bounds, but is not refused because its owner has too many: those were allowed
    /// where they were opened.
    ///
    /// # Errors
    /// [`CannotRestore`] when there is no room, or the saved session is unreadable or over.
    pub fn restore(&self, id: SessionId, saved: SavedSession) -> Result<(), CannotRestore> {
        let (expires, owner) = (saved.expires(), saved.principal());
        if expires <= SystemTime::now() {
            return Err(CannotRestore::Expired);
        }
        if self.sessions.look(&id).is_some() {
            return Ok(());
        }
        let (params, version) = saved.read()?;
        let full = || {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            CannotRestore::Full
        };
        if self.sessions.is_full() {
            return Err(full());
        }
        let facts = self.introduced(params, version).map_err(|_too_much| full())?;
        let opening = Opening { id, expires };
        let is_new = self.sessions.restore(opening, facts, owner).map_err(|_full| full())?;
        self.counts.restored.fetch_add(u64::from(is_new), Ordering::Relaxed);
        Ok(())
    }

    /// Forgets the sessions for which `keep` is false, because they go on elsewhere, and returns their number. Their GET
    /// streams end cleanly, so that clients open them anew there; calls that run go on to their end here.
    pub fn release(&self, keep: &dyn Fn(&SessionId) -> bool) -> usize {
        let released = self.sessions.release(keep);
        self.counts.released.fetch_add(wide(released), Ordering::Relaxed);
        released
    }

    /// Forgets one session, as [`Worker::release`] does.
    pub fn release_one(&self, id: &SessionId) {
        if self.sessions.release_one(id) {
            self.counts.released.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes back a session that was just opened and cannot be kept after all.
    pub fn discard(&self, id: &SessionId, principal: Option<PrincipalId>) {
        if self.sessions.close(id, principal) {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends all sessions of a principal and returns their ids. Their calls are cancelled, their streams end.
    pub fn end_of(&self, principal: PrincipalId) -> Vec<SessionId> {
        let ended = self.sessions.end_of(principal);
        self.counts.revoked.fetch_add(wide(ended.len()), Ordering::Relaxed);
        ended
    }
}
