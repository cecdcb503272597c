//! The streams of a worker that carry no call: GET streams of sessions, and `subscriptions/listen`.

use std::sync::Arc;

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
        reply::{Accepts, Body, Reply},
        running::{Bound, Ending},
        stream::EventStream,
        wire::Request,
    },
    session::SessionId,
};

/// Frames that may wait in a session's GET stream; a client that is further behind is cut off and
/// may open the stream anew.
const SESSION_FRAMES_MAX: usize = 64;

impl Worker {
    /// Opens the GET stream of the session `id`, if it is the caller's.
    pub fn open_stream(&self, id: &SessionId, caller: &Caller) -> Reply {
        let Some(session) = self.sessions.get(id, caller.principal) else {
            return Reply::unknown_session(None);
        };
        let Some(outbox) = session.open_stream(SESSION_FRAMES_MAX) else {
            return Reply::unknown_session(None);
        };
        let forget = Arc::clone(&outbox);
        let at_end = Box::new(move || session.close_stream(&forget));
        let stream = EventStream::of_session(outbox, self.limits.keep_alive, at_end);
        let mut reply = Reply::empty(StatusCode::OK, Ending::Answered);
        reply.body = Body::Stream(stream);
        reply
    }

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
        let streams = self.sessions.streams();
        if streams.is_empty() {
            return;
        }
        let Ok(frame) = frame(&notification_message(change.notification())) else { return };
        for stream in streams {
            if stream.try_push(frame.clone()).is_err() {
                stream.close();
            }
        }
    }
}
