//! The running calls of one worker.

use std::{
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use futures_util::future::poll_fn;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};

use super::{
    reply::{Accepts, Body, Reply},
    running::{CallFuture, Ending, Outcome, Slot},
    service::{Job, Permit, Service},
    sessions::Session,
    stream::{EventStream, Heard},
};
use crate::{call::Call, config::WorkerLimits};

/// How much later than its own timer a call is ended that nobody polls.
const DEADLINE_GRACE: Duration = Duration::from_secs(1);

/// The running calls of one worker.
#[derive(Debug)]
pub(super) struct Calls {
    service: Arc<Service>,
    limits: WorkerLimits,
    in_flight: Arc<AtomicUsize>,
    /// Calls that became streams, for the sweep.
    slots: Mutex<Vec<Weak<Slot>>>,
}

impl Calls {
    pub(super) fn new(service: Arc<Service>, limits: WorkerLimits) -> Self {
        Self { service, limits, in_flight: Arc::default(), slots: Mutex::default() }
    }

    /// Number of calls in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A place for one more call; `None` when there are too many.
    pub(super) fn permit(&self) -> Option<Permit> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Arc::clone(&self.in_flight));
        (before < self.limits.calls_max).then_some(permit)
    }

    /// Ends the calls that are over their time although nobody reads their stream, and returns their
    /// number.
    pub(super) fn end_overdue(&self) -> usize {
        let now = Instant::now();
        let mut overdue = Vec::new();
        self.slots.lock().retain(|slot| {
            let Some(slot) = slot.upgrade() else { return false };
            let keep = slot.deadline() > now;
            if !keep {
                overdue.push(slot);
            }
            keep
        });
        for slot in &overdue {
            slot.kill(Ending::Overdue);
        }
        overdue.len()
    }

    /// Runs a call until it ends or has something to say, whichever is first.
    pub(super) async fn run(
        &self,
        mut job: Job,
        call: Call,
        session: Option<(&Session, u64)>,
        accepts: Accepts,
    ) -> Reply {
        job.context.extensions.insert(call.clone());
        let call = Heard(call);
        // The call's own timer runs out first, as long as somebody polls it.
        let deadline = Instant::now() + self.limits.call_timeout + DEADLINE_GRACE;
        let id_raw = job.id_raw.clone();
        let mut future = self.service.call(job);
        let ended =
            if accepts.json { self.until_it_speaks(&mut future, &call.0).await } else { None };
        if let Some(outcome) = ended {
            return Reply::of_call(outcome, Some(call.0.clone()), accepts);
        }
        let slot = Arc::new(Slot::new(future, deadline, id_raw));
        self.slots.lock().push(Arc::downgrade(&slot));
        if let Some((session, number)) = session {
            session.moved_to(number, &slot);
        }
        let noted = call.0.clone();
        let stream = EventStream::of_call(slot, call, self.limits.keep_alive);
        let mut reply = Reply::empty(StatusCode::OK, Ending::Answered);
        reply.body = Body::Stream(stream);
        reply.call = Some(noted);
        reply
    }

    /// `Some` when the call ended in silence; `None` when its answer must become a stream.
    async fn until_it_speaks(&self, future: &mut CallFuture, call: &Call) -> Option<Outcome> {
        let Some(outbox) = call.outbox() else { return Some(future.await) };
        // Made only for a call that waits: most have ended at the first poll.
        let mut patience: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            // What was said before the end comes before the result, hence on a stream.
            match (polled, outbox.poll_waiting(cx)) {
                (Poll::Ready(outcome), Poll::Ready(())) => {
                    *future = Box::pin(std::future::ready(outcome));
                    return Poll::Ready(None);
                }
                (Poll::Ready(outcome), Poll::Pending) => return Poll::Ready(Some(outcome)),
                (Poll::Pending, Poll::Ready(())) => return Poll::Ready(None),
                (Poll::Pending, Poll::Pending) => {}
            }
            patience
                .get_or_insert_with(|| Box::pin(sleep(self.limits.stream_after)))
                .as_mut()
                .poll(cx)
                .map(|()| None)
        })
        .await
    }
}
