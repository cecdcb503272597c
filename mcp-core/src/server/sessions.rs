//! The sessions of one worker.
//!
//! A session is state, not tasks: what was said at `initialize` (shared by all clients that said the
//! same), the calls in flight, the questions that wait for the client, and the GET stream.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rmcp::model::RequestId;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    facts::Facts,
    running::{Ending, Slot},
};
use crate::{
    call::{Answer, Outbox, Questions},
    principal::PrincipalId,
    session::SessionId,
};

/// Questions that may wait for the client of one session.
const QUESTIONS_MAX: usize = 64;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) facts: Arc<Facts>,
    /// Who opened it, and alone may use it.
    owner: Option<PrincipalId>,
    /// Seconds since the table was made, at the last sign of life.
    seen_s: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ended: bool,
    last_question: i64,
    last_call: u64,
    calls: Vec<Running>,
    questions: Vec<(i64, oneshot::Sender<Answer>)>,
    stream: Option<Arc<Outbox>>,
}

#[derive(Debug)]
struct Running {
    /// Tells this call from a later one with the same id.
    number: u64,
    id: RequestId,
    ct: CancellationToken,
    /// Weak: the answer's stream alone owns the call, so that a client that leaves ends it.
    slot: Weak<Slot>,
}

/// Why a call cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CannotBegin {
    /// A call with that id is in flight.
    DuplicateId,
    /// As many calls as allowed are in flight.
    TooMany,
    /// The session has just ended.
    Ended,
}

/// A call's place in its session; dropping it frees the id.
#[derive(Debug)]
pub(super) struct InFlight {
    session: Arc<Session>,
    number: u64,
    pub(super) ct: CancellationToken,
}

impl Session {
    /// Registers a call.
    pub(super) fn begin(
        self: &Arc<Self>,
        id: &RequestId,
        calls_max: usize,
    ) -> Result<InFlight, CannotBegin> {
        let mut state = self.state.lock();
        if state.ended {
            return Err(CannotBegin::Ended);
        }
        if state.calls.iter().any(|call| call.id == *id) {
            return Err(CannotBegin::DuplicateId);
        }
        if state.calls.len() >= calls_max {
            return Err(CannotBegin::TooMany);
        }
        let ct = CancellationToken::new();
        state.last_call += 1;
        let number = state.last_call;
        state.calls.push(Running { number, id: id.clone(), ct: ct.clone(), slot: Weak::new() });
        Ok(InFlight { session: Arc::clone(self), number, ct })
    }

    /// Remembers where a call goes on that has become a stream.
    pub(super) fn moved_to(&self, number: u64, slot: &Arc<Slot>) {
        let mut state = self.state.lock();
        if let Some(call) = state.calls.iter_mut().find(|call| call.number == number) {
            call.slot = Arc::downgrade(slot);
        }
    }

    /// Cancels a call: `notifications/cancelled`.
    pub(super) fn cancel(&self, id: &RequestId) {
        let mut state = self.state.lock();
        let Some(at) = state.calls.iter().position(|call| call.id == *id) else { return };
        let call = state.calls.swap_remove(at);
        drop(state);
        call.stop();
    }

    /// Hands the client's answer to whoever asked. `false` when nobody did.
    pub(super) fn answer(&self, id: &RequestId, answer: Answer) -> bool {
        let RequestId::Number(id) = id else { return false };
        let mut state = self.state.lock();
        let Some(at) = state.questions.iter().position(|(asked, _)| asked == id) else {
            return false;
        };
        let (_, asker) = state.questions.swap_remove(at);
        drop(state);
        asker.send(answer).is_ok()
    }

    /// Opens the GET stream; an older one ends.
    pub(super) fn open_stream(&self, frames_max: usize) -> Option<Arc<Outbox>> {
        let outbox = Arc::new(Outbox::new(frames_max));
        let mut state = self.state.lock();
        if state.ended {
            return None;
        }
        let older = state.stream.replace(Arc::clone(&outbox));
        drop(state);
        if let Some(older) = older {
            older.close();
        }
        Some(outbox)
    }

    /// Forgets the GET stream unless a newer one took its place.
    pub(super) fn close_stream(&self, outbox: &Arc<Outbox>) {
        let mut state = self.state.lock();
        if state.stream.as_ref().is_some_and(|open| Arc::ptr_eq(open, outbox)) {
            state.stream = None;
        }
    }

    fn stream(&self) -> Option<Arc<Outbox>> {
        self.state.lock().stream.clone()
    }

    /// Ends everything that runs in the session.
    fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        let calls = std::mem::take(&mut state.calls);
        let stream = state.stream.take();
        state.questions.clear();
        drop(state);
        calls.into_iter().for_each(Running::stop);
        if let Some(stream) = stream {
            stream.close();
        }
    }

    fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.calls.is_empty() && state.stream.is_none()
    }
}

impl Running {
    fn stop(self) {
        self.ct.cancel();
        if let Some(slot) = self.slot.upgrade() {
            slot.kill(Ending::Cancelled);
        }
    }
}

impl Questions for Session {
    fn ask(&self) -> Option<(i64, oneshot::Receiver<Answer>)> {
        let mut state = self.state.lock();
        if state.ended || state.questions.len() >= QUESTIONS_MAX {
            return None;
        }
        let (asker, answer) = oneshot::channel();
        state.last_question += 1;
        let id = state.last_question;
        state.questions.push((id, asker));
        Some((id, answer))
    }

    fn withdraw(&self, id: i64) {
        self.state.lock().questions.retain(|(asked, _)| *asked != id);
    }
}

impl InFlight {
    /// Number of the call in its session.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Who cancelled took the entry out, and the id may be in use again: hence the number.
        self.session.state.lock().calls.retain(|call| call.number != self.number);
        self.ct.cancel();
    }
}

/// The table of sessions.
#[derive(Debug)]
pub(super) struct Table {
    started: Instant,
    /// Seconds since `started` at the last look for idle sessions.
    looked_s: AtomicU32,
    sessions_max: usize,
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
}

/// The table is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableFull;

impl Table {
    pub(super) fn new(sessions_max: usize) -> Self {
        Self {
            started: Instant::now(),
            looked_s: AtomicU32::new(0),
            sessions_max,
            sessions: Mutex::default(),
        }
    }

    /// Number of open sessions.
    pub(super) fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Whether one more session would be refused.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.sessions_max
    }

    /// Opens a session, which from then on is `owner`'s.
    pub(super) fn open(
        &self,
        id: SessionId,
        facts: Arc<Facts>,
        owner: Option<PrincipalId>,
    ) -> Result<(), TableFull> {
        let seen_s = AtomicU32::new(self.now_s());
        let session = Session { facts, owner, seen_s, state: Mutex::default() };
        let mut sessions = self.sessions.lock();
        if sessions.len() >= self.sessions_max {
            return Err(TableFull);
        }
        sessions.insert(id, Arc::new(session));
        Ok(())
    }

    /// The session, with a sign of life noted; `None` when there is none of that id for `owner`. A stranger
    /// learns nothing of it and does not keep it alive.
    pub(super) fn get(&self, id: &SessionId, owner: Option<PrincipalId>) -> Option<Arc<Session>> {
        let sessions = self.sessions.lock();
        let session = sessions.get(id).filter(|session| session.owner == owner).map(Arc::clone)?;
        drop(sessions);
        session.seen_s.store(self.now_s(), Ordering::Relaxed);
        Some(session)
    }

    /// Ends a session. `false` when there is none of that id for `owner`.
    pub(super) fn close(&self, id: &SessionId, owner: Option<PrincipalId>) -> bool {
        let mut sessions = self.sessions.lock();
        let owns = sessions.get(id).is_some_and(|session| session.owner == owner);
        let session = if owns { sessions.remove(id) } else { None };
        drop(sessions);
        if let Some(session) = &session {
            session.end();
        }
        session.is_some()
    }

    /// Ends the sessions in which nothing happened for `idle`, and returns their number. One with a
    /// running call or an open stream lives on.
    pub(super) fn expire(&self, idle: Duration) -> usize {
        let idle_s = u32::try_from(idle.as_secs()).unwrap_or(u32::MAX);
        let now_s = self.now_s();
        // Looking at a hundred thousand sessions takes milliseconds: seldom enough not to matter,
        // often enough that none outlives its time by more than a sixtieth.
        let looked_s = self.looked_s.load(Ordering::Relaxed);
        if now_s.saturating_sub(looked_s) < (idle_s / 60).max(1) {
            return 0;
        }
        self.looked_s.store(now_s, Ordering::Relaxed);
        let mut expired = Vec::new();
        self.sessions.lock().retain(|_, session| {
            if !session.is_idle() {
                session.seen_s.store(now_s, Ordering::Relaxed);
                return true;
            }
            let keep = now_s.saturating_sub(session.seen_s.load(Ordering::Relaxed)) < idle_s;
            if !keep {
                expired.push(Arc::clone(session));
            }
            keep
        });
        for session in &expired {
            session.end();
        }
        expired.len()
    }

    /// The GET streams that are open.
    pub(super) fn streams(&self) -> Vec<Arc<Outbox>> {
        self.sessions.lock().values().filter_map(|session| session.stream()).collect()
    }

    fn now_s(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
