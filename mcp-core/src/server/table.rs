//! The sessions of one worker.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Instant, SystemTime},
};

use parking_lot::Mutex;

use super::{
    facts::Facts,
    principals::PrincipalCounts,
    saved::unix_s,
    sessions::{Opening, Session},
};
use crate::{call::Outbox, config::WorkerLimits, principal::PrincipalId, session::SessionId};

/// Sessions that are looked through each second, on average, for those that are too old. Requests find these ended in
/// the very second; their streams and calls may last until the next look, which among a hundred thousand sessions
/// is after six seconds.
const LOOKS_PER_SECOND: usize = 20_000;

/// The table of sessions.
#[derive(Debug)]
pub(super) struct Table {
    started: Instant,
    /// Seconds since `started` at the last look for sessions whose time is over.
    looked_s: AtomicU32,
    limits: WorkerLimits,
    counts: Arc<PrincipalCounts>,
    sessions: Mutex<Sessions>,
}

#[derive(Debug)]
struct Sessions {
    by_id: HashMap<SessionId, Arc<Session>>,
    /// Unix time before which none is too old.
    soonest_expiry_s: u64,
}

/// A session that is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it was.
    pub principal: Option<PrincipalId>,
}

/// The time, by the two clocks that matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Seconds since the table was made; no setting of a clock changes it.
    pub(super) up_s: u32,
    /// Unix time.
    pub(super) unix_s: u64,
}

/// Sessions whose time was over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expired {
    /// Those in which nothing happened.
    pub(super) idle: usize,
    /// Those that were too old.
    pub(super) aged: usize,
    pub(super) ended: Vec<EndedSession>,
}

/// Why a session cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CannotOpen {
    /// The worker has as many as it may.
    Full,
    /// Their principal has as many as it may.
    PrincipalFull,
}

impl Table {
    pub(super) fn new(limits: WorkerLimits, counts: Arc<PrincipalCounts>) -> Self {
        Self {
            started: Instant::now(),
            looked_s: AtomicU32::new(0),
            limits,
            counts,
            sessions: Mutex::new(Sessions { by_id: HashMap::new(), soonest_expiry_s: u64::MAX }),
        }
    }

    /// Number of open sessions.
    pub(super) fn len(&self) -> usize {
        self.sessions.lock().by_id.len()
    }

    /// Whether one more session would be refused, whoever opens it.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.limits.sessions_max
    }

    /// Whether `owner` could open one more session.
    pub(super) fn room_for(&self, owner: Option<PrincipalId>) -> Result<(), CannotOpen> {
        if self.is_full() {
            return Err(CannotOpen::Full);
        }
        if self.counts.at_bound(owner, self.limits.principal_sessions_max) {
            return Err(CannotOpen::PrincipalFull);
        }
        Ok(())
    }

    /// Opens a session, which from then on is `owner`'s.
    pub(super) fn open(
        &self,
        opening: Opening,
        facts: Arc<Facts>,
        owner: Option<PrincipalId>,
    ) -> Result<(), CannotOpen> {
        self.counts
            .enter(owner, self.limits.principal_sessions_max)
            .map_err(|_at_bound| CannotOpen::PrincipalFull)?;
        let added = self.add(opening, facts, owner);
        if added != Ok(true) {
            self.counts.leave(owner);
        }
        added.map(drop)
    }

    /// Goes on with a session that was opened elsewhere. `false` when it is here already. It counts among its
    /// owner's, and is taken however many those are: they were allowed where they were opened.
    pub(super) fn restore(
        &self,
        opening: Opening,
        facts: Arc<Facts>,
        owner: Option<PrincipalId>,
    ) -> Result<bool, CannotOpen> {
        let entered = self.counts.enter(owner, usize::MAX);
        let added = self.add(opening, facts, owner);
        if added != Ok(true) && entered.is_ok() {
            self.counts.leave(owner);
        }
        added
    }

    /// `false` when there is one of that id.
    fn add(
        &self,
        opening: Opening,
        facts: Arc<Facts>,
        owner: Option<PrincipalId>,
    ) -> Result<bool, CannotOpen> {
        let expires_s = unix_s(opening.expires);
        let session = Arc::new(Session::new(facts, owner, expires_s, self.up_s()));
        let mut sessions = self.sessions.lock();
        let is_full = sessions.by_id.len() >= self.limits.sessions_max;
        match sessions.by_id.entry(opening.id) {
            Entry::Occupied(_) => return Ok(false),
            Entry::Vacant(_) if is_full => return Err(CannotOpen::Full),
            Entry::Vacant(place) => place.insert(session),
        };
        sessions.soonest_expiry_s = sessions.soonest_expiry_s.min(expires_s);
        Ok(true)
    }

    /// The session, with a sign of life noted; `None` when there is none of that id for `owner`. A stranger
    /// learns nothing of it and does not keep it alive.
    pub(super) fn get(&self, id: &SessionId, owner: Option<PrincipalId>) -> Option<Arc<Session>> {
        let session = self.look(id).filter(|session| session.owner == owner)?;
        session.seen_s.store(self.up_s(), Ordering::Relaxed);
        Some(session)
    }

    /// The session, whoever owns it, without a sign of life.
    pub(super) fn look(&self, id: &SessionId) -> Option<Arc<Session>> {
        let session = self.sessions.lock().by_id.get(id).map(Arc::clone)?;
        (session.expires_s > unix_s(SystemTime::now())).then_some(session)
    }

    /// The ids of all sessions.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.sessions.lock().by_id.keys().cloned().collect()
    }

    /// Ends a session. `false` when there is none of that id for `owner`.
    pub(super) fn close(&self, id: &SessionId, owner: Option<PrincipalId>) -> bool {
        let taken = self.take(id, |session| session.owner == owner);
        if let Some(session) = &taken {
            session.end();
        }
        taken.is_some()
    }

    /// Forgets the sessions that are not to be kept, and returns their number. `keep` is asked outside of the lock,
    /// as there may be a hundred thousand of them.
    pub(super) fn release(&self, keep: &dyn Fn(&SessionId) -> bool) -> usize {
        let leaving = self.ids().into_iter().filter(|id| !keep(id));
        let released = leaving.filter_map(|id| self.take(&id, |_session| true));
        released.inspect(|session| session.release()).count()
    }

    /// Forgets one session. `false` when it is not here.
    pub(super) fn release_one(&self, id: &SessionId) -> bool {
        let released = self.take(id, |_session| true);
        released.inspect(|session| session.release()).is_some()
    }

    /// Ends all sessions of a principal.
    pub(super) fn end_of(&self, principal: PrincipalId) -> Vec<SessionId> {
        let mut sessions = self.sessions.lock();
        let owned = |session: &Arc<Session>| session.owner == Some(principal);
        let taken = sessions.by_id.extract_if(|_id, session| owned(session)).collect();
        drop(sessions);
        self.end_all(taken).into_iter().map(|ended| ended.id).collect()
    }

    /// The time, for [`Table::expire`].
    pub(super) fn now(&self) -> Now {
        Now { up_s: self.up_s(), unix_s: unix_s(SystemTime::now()) }
    }

    /// Ends the sessions whose time is over: those that are too old, and those in which nothing happened for the idle
    /// timeout. One with a running call or an open stream is not idle.
    pub(super) fn expire(&self, now: Now) -> Expired {
        let idle_s = u32::try_from(self.limits.idle_timeout.as_secs()).unwrap_or(u32::MAX);
        let since_s = now.up_s.saturating_sub(self.looked_s.load(Ordering::Relaxed));
        let mut sessions = self.sessions.lock();
        // Looking at a hundred thousand sessions takes milliseconds: seldom enough not to matter,
        // often enough that none outlives its idle time by more than a sixtieth.
        let looks_for_idle = since_s >= (idle_s / 60).max(1);
        let age_look_s = u32::try_from(sessions.by_id.len() / LOOKS_PER_SECOND).unwrap_or(u32::MAX);
        let looks_for_old = since_s > age_look_s && sessions.soonest_expiry_s <= now.unix_s;
        if !looks_for_idle && !looks_for_old {
            return Expired::default();
        }
        self.looked_s.store(now.up_s, Ordering::Relaxed);
        let (mut idle, mut aged, mut soonest_expiry_s) = (0, 0, u64::MAX);
        let is_over = |_id: &SessionId, session: &mut Arc<Session>| {
            if session.expires_s <= now.unix_s {
                aged += 1;
            } else if session.idles_s(now.up_s).is_some_and(|idles_s| idles_s >= idle_s) {
                idle += 1;
            } else {
                soonest_expiry_s = soonest_expiry_s.min(session.expires_s);
                return false;
            }
            true
        };
        let taken = sessions.by_id.extract_if(is_over).collect();
        sessions.soonest_expiry_s = soonest_expiry_s;
        drop(sessions);
        Expired { idle, aged, ended: self.end_all(taken) }
    }

    /// The GET streams that are open, each with whether its client is given ids of events.
    pub(super) fn streams(&self) -> Vec<(Arc<Outbox>, bool)> {
        let sessions = self.sessions.lock();
        let streams = sessions.by_id.values();
        streams.filter_map(|one| Some((one.stream()?, one.facts.has_event_ids()))).collect()
    }

    /// Takes a session out of the table, if it is there and `condition` holds.
    fn take(&self, id: &SessionId, condition: impl Fn(&Session) -> bool) -> Option<Arc<Session>> {
        let mut sessions = self.sessions.lock();
        let holds = sessions.by_id.get(id).is_some_and(|session| condition(session));
        let session = if holds { sessions.by_id.remove(id) } else { None };
        drop(sessions);
        session.inspect(|session| self.counts.leave(session.owner))
    }

    /// Ends sessions that were taken out of the table.
    fn end_all(&self, taken: Vec<(SessionId, Arc<Session>)>) -> Vec<EndedSession> {
        let end = |(id, session): (SessionId, Arc<Session>)| {
            self.counts.leave(session.owner);
            session.end();
            EndedSession { id, principal: session.owner }
        };
        taken.into_iter().map(end).collect()
    }

    fn up_s(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
