//! A tool's line to the client that called it, and to whoever keeps the record.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientResult, JsonRpcNotification, JsonRpcVersion2_0, RequestId, ServerJsonRpcMessage,
        ServerNotification, ServerRequest,
    },
    service::RequestContext,
};
use tokio::sync::oneshot;

use crate::{
    access::Caller,
    config::{BackendName, OrgId},
    observe::ToolOutcome,
    trace::Trace,
};

mod notes;

use self::notes::Notes;
pub(crate) use self::notes::Upstream;
pub use self::notes::{Answered, Noted, QueryNotes, Truncation};

/// Frames that may wait for the client of one call. A tool that says more waits for its reader.
const CALL_FRAMES_MAX: usize = 16;

/// What a client answered to a request of ours.
pub type Answer = Result<ClientResult, ErrorData>;

/// Where the questions of a session's calls wait for the client's answers.
pub trait Questions: Send + Sync {
    /// Registers a question; the id is unique in the session. `None` when too many are open.
    fn ask(&self) -> Option<(i64, oneshot::Receiver<Answer>)>;
    /// Forgets a question that nobody waits for any longer.
    fn withdraw(&self, id: i64);
}

/// The call in whose service a tool runs.
///
/// It stands in the request context's extensions when Promgate serves HTTP. Over stdio there is
/// none, and tools use the context's peer.
#[derive(Clone)]
pub struct Call(Arc<State>);

struct State {
    caller: Caller,
    outbox: Option<Outbox>,
    questions: Option<Arc<dyn Questions>>,
    query_notes: QueryNotes,
    notes: Notes,
    trace: Option<Arc<Trace>>,
}

/// Why a message did not reach the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The client asked for an answer without a stream, or the era has no such message.
    #[error("this client cannot be asked or notified during a call")]
    NoStream,
    /// The client left, or the session ended.
    #[error("the client is gone")]
    ClientGone,
    /// Too many questions wait for this client already.
    #[error("too many questions wait for this client")]
    TooMany,
    /// The message could not be written as JSON.
    #[error("the message could not be serialised")]
    Unserialisable,
}

impl Call {
    /// A call whose client reads a stream; `questions` when it can also be asked.
    #[must_use]
    pub fn streaming(
        questions: Option<Arc<dyn Questions>>,
        caller: Caller,
        query_notes: QueryNotes,
    ) -> Self {
        let (outbox, notes) = (Some(Outbox::new(CALL_FRAMES_MAX)), Notes::default());
        Self(Arc::new(State { caller, outbox, questions, query_notes, notes, trace: None }))
    }

    /// A call whose client takes one JSON answer: notifications are dropped.
    #[must_use]
    pub fn silent(caller: Caller, query_notes: QueryNotes) -> Self {
        let (outbox, questions, notes) = (None, None, Notes::default());
        Self(Arc::new(State { caller, outbox, questions, query_notes, notes, trace: None }))
    }

    /// The same call in a trace. To be said before the call is shared with anybody.
    #[must_use]
    pub fn in_trace(mut self, trace: Option<&Arc<Trace>>) -> Self {
        if let Some(state) = Arc::get_mut(&mut self.0) {
            state.trace = trace.map(Arc::clone);
        }
        self
    }

    /// The call that `context` belongs to; `None` over stdio.
    #[must_use]
    pub fn of(context: &RequestContext<RoleServer>) -> Option<&Self> {
        context.extensions.get::<Self>()
    }

    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// Sends a notification on the call's own stream, waiting while the reader is behind.
    ///
    /// A client that takes no stream gets none, which is not an error: a notification may be lost.
    ///
    /// # Errors
    /// [`CallError`] when the client is gone or the message cannot be written.
    pub async fn notify(&self, notification: ServerNotification) -> Result<(), CallError> {
        let Some(outbox) = &self.0.outbox else { return Ok(()) };
        outbox.push(frame(&notification_message(notification))?).await
    }

    /// Asks the client something (sampling, elicitation, roots) and waits for its answer.
    ///
    /// # Errors
    /// [`CallError`] when the client cannot be asked or goes away. What the client itself refuses
    /// is the inner `Err`.
    pub async fn request(&self, request: ServerRequest) -> Result<Answer, CallError> {
        let state = &self.0;
        let (Some(outbox), Some(questions)) = (&state.outbox, &state.questions) else {
            return Err(CallError::NoStream);
        };
        let (id, answer) = questions.ask().ok_or(CallError::TooMany)?;
        let _withdrawn_at_the_end = Withdraw { id, questions: questions.as_ref() };
        let message = ServerJsonRpcMessage::request(request, RequestId::Number(id));
        outbox.push(frame(&message)?).await?;
        answer.await.map_err(|_closed| CallError::ClientGone)
    }

    /// Notes which backend serves the call, and for which tenant. The first note stays, as of all others.
    pub fn note_target(&self, backend: &BackendName, tenant: Option<&OrgId>) {
        self.0.notes.note_target(backend, tenant);
    }

    /// Notes what PromQL the call asks, as far as [`QueryNotes`] wants it.
    pub fn note_query(&self, query: &str) {
        self.0.notes.note_query(query, self.0.query_notes);
    }

    /// Notes the length of the range that the call asks for, and the time between its points.
    pub fn note_times(&self, range: Duration, step: Option<Duration>) {
        self.0.notes.note_times(range, step);
    }

    /// Notes how much was answered.
    pub fn note_answered(&self, answered: Answered) {
        self.0.notes.note_answered(answered);
    }

    /// Notes how large the tool's answer is as JSON.
    pub(crate) fn note_bytes(&self, bytes: usize) {
        self.0.notes.note_bytes(bytes);
    }

    /// Notes how the tool ended.
    pub fn note_outcome(&self, outcome: ToolOutcome) {
        let _first_stays = self.0.notes.outcome.set(outcome);
    }

    /// The trace that the call belongs to, if somebody follows it or backends are told of it.
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.0.trace.as_deref()
    }

    /// Where it is noted how the backend answers.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.0.notes.upstream
    }

    /// All that was noted. The first time this reads the query, if it is to be noted; so it is for those who write
    /// a record, after the answer.
    #[must_use]
    pub fn notes(&self) -> Noted<'_> {
        self.0.notes.all()
    }

    /// The backend noted, if any.
    #[must_use]
    pub fn backend(&self) -> Option<&BackendName> {
        self.0.notes.backend.get()
    }

    /// The outcome noted, if any.
    #[must_use]
    pub fn outcome(&self) -> Option<ToolOutcome> {
        self.0.notes.outcome.get().copied()
    }

    /// The queue that the client's stream reads; `None` for a silent call.
    pub(crate) fn outbox(&self) -> Option<&Outbox> {
        self.0.outbox.as_ref()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("notes", &self.0.notes).finish_non_exhaustive()
    }
}

/// Takes a question back when the asker is dropped before the answer came.
struct Withdraw<'a> {
    id: i64,
    questions: &'a dyn Questions,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.questions.withdraw(self.id);
    }
}

/// The message that carries `notification`.
pub(crate) fn notification_message(notification: ServerNotification) -> ServerJsonRpcMessage {
    ServerJsonRpcMessage::Notification(JsonRpcNotification {
        jsonrpc: JsonRpcVersion2_0,
        notification,
    })
}

/// Writes `message` as one server-sent event.
pub(crate) fn frame(message: &ServerJsonRpcMessage) -> Result<Bytes, CallError> {
    let mut frame = Vec::with_capacity(256);
    frame.extend_from_slice(b"event: message\ndata: ");
    serde_json::to_writer(&mut frame, message).map_err(|_json| CallError::Unserialisable)?;
    frame.extend_from_slice(b"\n\n");
    Ok(frame.into())
}

/// A bounded queue of frames from any number of writers to one stream.
///
/// It allocates nothing until the first frame, since most calls send none.
#[derive(Debug)]
pub(crate) struct Outbox {
    frames_max: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    reader: Option<Waker>,
    writers: Vec<Waker>,
    closed: bool,
}

/// The reader is too far behind, or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Outbox {
    pub(crate) fn new(frames_max: usize) -> Self {
        Self { frames_max, queue: Mutex::new(Queue::default()) }
    }

    /// Queues a frame, waiting for room.
    pub(crate) async fn push(&self, frame: Bytes) -> Result<(), CallError> {
        let mut frame = Some(frame);
        poll_fn(|cx| {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Poll::Ready(Err(CallError::ClientGone));
            }
            if queue.frames.len() >= self.frames_max {
                if !queue.writers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    queue.writers.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            queue.frames.extend(frame.take());
            let reader = queue.reader.take();
            drop(queue);
            reader.into_iter().for_each(Waker::wake);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Queues a frame if there is room at once.
    pub(crate) fn try_push(&self, frame: Bytes) -> Result<(), Full> {
        let mut queue = self.queue.lock();
        if queue.closed || queue.frames.len() >= self.frames_max {
            return Err(Full);
        }
        queue.frames.push_back(frame);
        let reader = queue.reader.take();
        drop(queue);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Whether a frame waits.
    pub(crate) fn has_frames(&self) -> bool {
        !self.queue.lock().frames.is_empty()
    }

    /// Waits until a frame waits, and leaves it there.
    pub(crate) fn poll_waiting(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.queue.lock();
        if !queue.frames.is_empty() {
            return Poll::Ready(());
        }
        queue.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes everything that waits, joined into one piece. `Ready(None)` once closed and empty.
    pub(crate) fn poll_frames(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut queue = self.queue.lock();
        if queue.frames.is_empty() {
            if queue.closed {
                return Poll::Ready(None);
            }
            if !queue.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                queue.reader = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let frames = std::mem::take(&mut queue.frames);
        let writers = std::mem::take(&mut queue.writers);
        drop(queue);
        writers.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(join(frames)))
    }

    /// Ends the stream after what waits; writers learn that the reader is gone.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let (reader, writers) = (queue.reader.take(), std::mem::take(&mut queue.writers));
        drop(queue);
        reader.into_iter().chain(writers).for_each(Waker::wake);
    }
}

fn join(mut frames: VecDeque<Bytes>) -> Bytes {
    if frames.len() == 1 {
        return frames.pop_front().unwrap_or_default();
    }
    let mut joined = Vec::with_capacity(frames.iter().map(Bytes::len).sum());
    for frame in &frames {
        joined.extend_from_slice(frame);
    }
    joined.into()
}
