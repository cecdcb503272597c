//! The streams of a worker that carry no call: GET streams of sessions, and `subscriptions/listen`.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use rmcp::{
    ErrorData,
    model::{ServerJsonRpcMessage, ServerResult, SubscriptionFilter, SubscriptionsListenResult},
};

use super::Worker;
use crate::{
    access::Caller,
    call::{frame, notification_message},
    server::{
        changes::{Audience, Change},
        client::Client,
        events::EVENTS_MAX,
        reply::{Accepts, Body, Reply},
        running::{Bound, Ending},
        stream::EventStream,
        wire::Request,
    },
    session::SessionId,
};

/// Frames that may wait in a session's GET stream; a client that is further behind is cut off, and finds the rest when it
/// comes back.
const SESSION_FRAMES_MAX: usize = EVENTS_MAX;

impl Worker {
    /// Opens the GET stream of the session `id`, if it is the caller's. One that has listened before and says up to which
    /// event, in `Last-Event-ID`, first gets what it missed.
    ///
    /// A client whose session went on here in the meantime is told that everything may have changed. One that names an event
    /// that is no longer kept is refused, with the advice to come without: it would else believe that
    /// it has missed nothing.
    pub fn open_stream(
        &self,
        id: &SessionId,
        caller: &Caller,
        last_event_id: Option<&[u8]>,
    ) -> Reply {
        let Some(session) = self.sessions.get(id, caller.principal) else {
            return Reply::unknown_session(None);
        };
        // Nothing is said between what is missed and what follows on the stream: `hear` takes the same lock.
        let mut events = self.events.lock();
        let numbered = session.facts.has_event_ids();
        let beginning = match events.begin(last_event_id, numbered, || self.catch_up()) {
            Ok(beginning) => beginning,
            Err(gone) => {
                let error = ErrorData::invalid_request(gone.to_string(), None);
                return Reply::error(StatusCode::BAD_REQUEST, None, &error, Ending::Refused);
            }
        };
        let Some(outbox) = session.open_stream(SESSION_FRAMES_MAX, beginning) else {
            return Reply::unknown_session(None);
        };
        drop(events);
        let (forget, client) = (Arc::clone(&outbox), Client::of_session(&session.facts));
        let at_end = Box::new(move || session.close_stream(&forget));
        let stream = EventStream::of_session(outbox, self.limits.keep_alive, at_end);
        let mut reply = Reply::empty(StatusCode::OK, Ending::Answered);
        reply.body = Body::Stream(stream);
        reply.client = Some(client);
        reply
    }

    /// All that may have been said to a client where it listened before.
    fn catch_up(&self) -> Vec<Bytes> {
        let changes = Change::all_announced(&self.service.config().capabilities);
        let frames =
            changes.iter().map(|change| frame(&notification_message(change.notification())));
        frames.flatten().collect()
    }

    /// Answers `subscriptions/listen`. Its stream has no ids and cannot be resumed: the revision to which it belongs has
    /// neither, and a client that lost it asks anew.
    ///
    /// Spec: MCP 2026-07-28, Streamable HTTP; Changelog, major change 9.
    pub(super) fn listen(
        &self,
        request: &Request<'_>,
        filter: SubscriptionFilter,
        accepts: Accepts,
    ) -> Reply {
        if !accepts.sse {
            let message =
                "subscriptions/listen is answered by a stream: Accept must allow text/event-stream";
            let error = ErrorData::invalid_request(message, None);
            let status = StatusCode::NOT_ACCEPTABLE;
            return Reply::error(status, Some(request.id_raw), &error, Ending::Refused);
        }
        let Some(outbox) = self.listeners.add(request.id.clone(), filter) else {
            return Reply::busy(Some(request.id_raw), Bound::Listeners);
        };
        let mut result = SubscriptionsListenResult::complete(request.id.clone());
        result.meta.set_server_info(self.service.config().server_info);
        let result = ServerResult::SubscriptionsListenResult(result);
        let goodbye = ServerJsonRpcMessage::response(result, request.id.clone());
        let goodbye = frame(&goodbye).unwrap_or_default();
        let (listeners, forget) = (Arc::clone(&self.listeners), Arc::clone(&outbox));
        let at_end = Box::new(move || listeners.remove(&forget));
        let stream = EventStream::of_listener(outbox, goodbye, self.limits.keep_alive, at_end);
        let mut reply = Reply::empty(StatusCode::OK, Ending::Answered);
        reply.body = Body::Stream(stream);
        reply
    }
}

impl Audience for Worker {
    fn hear(&self, change: &Change) {
        self.listeners.hear(change);
        let mut events = self.events.lock();
        let Ok(event) = events.record(change.notification()) else { return };
        for (stream, numbered) in self.sessions.streams() {
            let frame = if numbered { &event.numbered } else { &event.plain };
            if stream.try_push(frame.clone()).is_err() {
                stream.close();
            }
        }
    }
}
