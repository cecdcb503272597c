//! The body of an answer that is a stream of server-sent events.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    json::push_event,
    running::{Ending, Slot},
};
use crate::call::{Call, Outbox};

/// First bytes of a stream that has nothing to say yet, so that client and intermediaries see that
/// it is open. Spec: HTML, server-sent events, comment lines.
const OPENED: &[u8] = b": open\n\n";
/// Comment that keeps an idle stream alive.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// An open stream. Dropping it stops the call that it carries.
pub struct EventStream {
    source: Source,
    keep_alive: Duration,
    timer: Pin<Box<Sleep>>,
    opened: bool,
    ending: Option<Ending>,
    error_code: Option<i32>,
    at_end: Option<Box<dyn FnOnce() + Send>>,
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Messages of one call, then its answer.
    Call,
    /// What a session's server has to say: the GET stream.
    Session,
    /// `subscriptions/listen`.
    Listen,
}

/// A call that somebody listens to. Dropping it tells the call's tool, and whatever that has spawned,
/// that nobody does any longer.
pub(super) struct Heard(pub(super) Call);

impl Drop for Heard {
    fn drop(&mut self) {
        if let Some(outbox) = self.0.outbox() {
            outbox.close();
        }
    }
}

enum Source {
    Call { slot: Arc<Slot>, call: Heard },
    Session(Arc<Outbox>),
    Listen { outbox: Arc<Outbox>, goodbye: Bytes },
    Ended,
}

impl EventStream {
    /// The stream of a call that goes on in `slot`.
    pub(super) fn of_call(slot: Arc<Slot>, call: Heard, keep_alive: Duration) -> Self {
        let opened = call.0.outbox().is_some_and(Outbox::has_frames);
        Self::new(Source::Call { slot, call }, opened, keep_alive)
    }

    /// A session's GET stream; `at_end` runs when it is dropped.
    pub(super) fn of_session(
        outbox: Arc<Outbox>,
        keep_alive: Duration,
        at_end: Box<dyn FnOnce() + Send>,
    ) -> Self {
        let mut stream = Self::new(Source::Session(outbox), false, keep_alive);
        stream.at_end = Some(at_end);
        stream
    }

    /// A `subscriptions/listen` stream that says `goodbye` when we end it.
    pub(super) fn of_listener(
        outbox: Arc<Outbox>,
        goodbye: Bytes,
        keep_alive: Duration,
        at_end: Box<dyn FnOnce() + Send>,
    ) -> Self {
        let mut stream = Self::new(Source::Listen { outbox, goodbye }, true, keep_alive);
        stream.at_end = Some(at_end);
        stream
    }

    fn new(source: Source, opened: bool, keep_alive: Duration) -> Self {
        let timer = Box::pin(sleep(keep_alive));
        Self { source, keep_alive, timer, opened, ending: None, error_code: None, at_end: None }
    }

    /// What the stream carries.
    #[must_use]
    pub const fn kind(&self) -> StreamKind {
        match self.source {
            Source::Session(_) => StreamKind::Session,
            Source::Listen { .. } => StreamKind::Listen,
            Source::Call { .. } | Source::Ended => StreamKind::Call,
        }
    }

    /// How the stream ended; `None` while it has not.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The code of the JSON-RPC error that the stream ended with, if it did.
    #[must_use]
    pub const fn error_code(&self) -> Option<i32> {
        self.error_code
    }

    /// Waits for the next bytes; `None` at the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Ends the stream from our side and returns its last bytes. A call's stream goes on instead, as
    /// its client waits for the answer.
    pub fn drain(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.source, Source::Ended) {
            call @ Source::Call { .. } => {
                self.source = call;
                None
            }
            Source::Session(_) | Source::Ended => {
                self.ending = Some(Ending::Answered);
                Some(Bytes::new())
            }
            Source::Listen { goodbye, .. } => {
                self.ending = Some(Ending::Answered);
                Some(goodbye)
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let polled = match &self.source {
            Source::Call { .. } => self.poll_call(cx),
            Source::Session(outbox) | Source::Listen { outbox, .. } => outbox.poll_frames(cx),
            Source::Ended => Poll::Ready(None),
        };
        match polled {
            Poll::Ready(Some(frames)) => {
                self.opened = true;
                self.rearm();
                return Poll::Ready(Some(frames));
            }
            Poll::Ready(None) => {
                self.ending.get_or_insert(Ending::Answered);
                self.source = Source::Ended;
                return Poll::Ready(None);
            }
            Poll::Pending => {}
        }
        if !self.opened {
            self.opened = true;
            return Poll::Ready(Some(Bytes::from_static(OPENED)));
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            self.rearm();
            return Poll::Ready(Some(Bytes::from_static(KEEP_ALIVE)));
        }
        Poll::Pending
    }

    fn rearm(&mut self) {
        let next = Instant::now() + self.keep_alive;
        self.timer.as_mut().reset(next);
    }

    /// Frames first, then the answer: what a tool said before it ended comes before its result.
    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Source::Call { slot, call } = &self.source else { return Poll::Ready(None) };
        let outcome = slot.poll(cx);
        let frames = match call.0.outbox().map(|outbox| outbox.poll_frames(cx)) {
            Some(Poll::Ready(Some(frames))) => frames,
            Some(Poll::Ready(None) | Poll::Pending) | None => Bytes::new(),
        };
        let Poll::Ready(outcome) = outcome else {
            return if frames.is_empty() { Poll::Pending } else { Poll::Ready(Some(frames)) };
        };
        self.ending = Some(outcome.as_ref().map_or(Ending::Cancelled, |outcome| outcome.ending));
        self.error_code = outcome.as_ref().and_then(|outcome| outcome.error_code);
        self.source = Source::Ended;
        let mut last = Vec::from(frames);
        if let Some(answer) = outcome.and_then(|outcome| outcome.answer) {
            push_event(&mut last, &answer);
        }
        Poll::Ready((!last.is_empty()).then(|| last.into()))
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(at_end) = self.at_end.take() {
            at_end();
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("ending", &self.ending).finish_non_exhaustive()
    }
}
