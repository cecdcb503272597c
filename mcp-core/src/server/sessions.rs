//! One session.
//!
//! A session is state, not tasks: what was said at `initialize` (shared by all clients that said the
//! same), the calls in flight, the questions that wait for the client, and the GET stream.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
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

/// The session that `initialize` is to open.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Its id.
    pub id: SessionId,
    /// When it ends, however busy it is; in whole seconds.
    pub expires: SystemTime,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) facts: Arc<Facts>,
    /// Who opened it, and alone may use it.
    pub(super) owner: Option<PrincipalId>,
    /// Unix time at which it ends, however busy it is.
    pub(super) expires_s: u64,
    /// Seconds since the table was made, at the last sign of life.
    pub(super) seen_s: AtomicU32,
    state: Mutex<State>,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Life {
    #[default]
    Open,
    /// It goes on with another worker. What runs here runs to its end.
    Released,
    Ended,
}

#[derive(Debug, Default)]
struct State {
    life: Life,
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
    /// A session in which nothing runs yet.
    pub(super) fn new(
        facts: Arc<Facts>,
        owner: Option<PrincipalId>,
        expires_s: u64,
        seen_s: u32,
    ) -> Self {
        Self { facts, owner, expires_s, seen_s: seen_s.into(), state: Mutex::default() }
    }

    /// Registers a call.
    pub(super) fn begin(
        self: &Arc<Self>,
        id: &RequestId,
        calls_max: usize,
    ) -> Result<InFlight, CannotBegin> {
        let mut state = self.state.lock();
        // One that came just before the session was released is served like those that run.
        if state.life == Life::Ended {
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

    /// Opens the GET stream, in which `beginning` waits; an older one ends.
    pub(super) fn open_stream(&self, frames_max: usize, beginning: Bytes) -> Option<Arc<Outbox>> {
        let outbox = Arc::new(Outbox::new(frames_max));
        if !beginning.is_empty() {
            outbox.try_push(beginning).ok()?;
        }
        let mut state = self.state.lock();
        if state.life != Life::Open {
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

    /// The GET stream, if it is open.
    pub(super) fn stream(&self) -> Option<Arc<Outbox>> {
        self.state.lock().stream.clone()
    }

    /// Ends everything that runs in the session.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.life = Life::Ended;
        let calls = std::mem::take(&mut state.calls);
        let stream = state.stream.take();
        state.questions.clear();
        drop(state);
        calls.into_iter().for_each(Running::stop);
        if let Some(stream) = stream {
            stream.close();
        }
    }

    /// Ends what waits in the session, which goes on elsewhere: its stream, which the client opens anew there, and
    /// the questions to the client, whose answers would not come here. Calls run to their end.
    pub(super) fn release(&self) {
        let mut state = self.state.lock();
        state.life = Life::Released;
        let stream = state.stream.take();
        state.questions.clear();
        drop(state);
        if let Some(stream) = stream {
            stream.close();
        }
    }

    /// For how many seconds nothing has happened in the session, at `up_s` of its table. `None` while a call runs or a
    /// stream is open: that happens now.
    pub(super) fn idles_s(&self, up_s: u32) -> Option<u32> {
        if self.is_idle() {
            return Some(up_s.saturating_sub(self.seen_s.load(Ordering::Relaxed)));
        }
        self.seen_s.store(up_s, Ordering::Relaxed);
        None
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
        if state.life != Life::Open || state.questions.len() >= QUESTIONS_MAX {
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

#[cfg(test)]
mod tests;
