//! A worker: one shard of sessions and calls, with its own bounds.
//!
//! Requests are served in the caller's task, and none is spawned for them (rmcp makes a `Peer` only by a
//! task that ends at once, which `initialize` needs); what must happen without a request
//! (idle sessions, deadlines of calls whose reader stalls) happens in [`Worker::sweep`].

use std::sync::{Arc, atomic::Ordering};

use http::{HeaderMap, StatusCode};
use rmcp::{
    ErrorData,
    model::{
        ClientRequest, InitializeRequestParams, ProtocolVersion, ServerJsonRpcMessage,
        ServerResult, SubscriptionFilter, SubscriptionsListenResult,
    },
    service::RequestContext,
};

use super::{
    calls::Calls,
    changes::{Audience, Change},
    facts::FactsTable,
    figures::{Counts, Figures, wide},
    json::result_json,
    listeners::Listeners,
    mirror,
    notices::{notified, responded},
    reply::{Accepts, Asker, Body, Reply},
    request,
    running::{Bound, Ending},
    service::{Job, Places, Service, dead_peer},
    sessions::{CannotBegin, Session, Table},
    stream::EventStream,
    wire::{Message, Request},
};
use crate::{
    access::Caller,
    call::{Questions, frame, notification_message},
    config::WorkerLimits,
    session::SessionId,
};

/// Frames that may wait in a session's GET stream; a client that is further behind is cut off and
/// may open the stream anew.
const SESSION_FRAMES_MAX: usize = 64;
/// Longest `initialize` parameters, in bytes. They are kept as long as the session lives.
const INITIALIZE_BYTES_MAX: usize = 16 << 10;

/// One shard of sessions and calls.
#[derive(Debug)]
pub struct Worker {
    service: Arc<Service>,
    limits: WorkerLimits,
    sessions: Table,
    facts: FactsTable,
    listeners: Arc<Listeners>,
    calls: Calls,
    counts: Counts,
}

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Sessions ended because nothing happened in them.
    pub idle_sessions: usize,
    /// Calls ended at their deadline although nobody read their stream.
    pub overdue_calls: usize,
}

impl Worker {
    /// Makes a worker that serves `service`.
    #[must_use]
    pub fn new(service: Arc<Service>, limits: WorkerLimits) -> Arc<Self> {
        let worker = Arc::new(Self {
            sessions: Table::new(limits.sessions_max),
            facts: FactsTable::new(limits.sessions_max),
            listeners: Arc::new(Listeners::new(limits.listeners_max)),
            calls: Calls::new(Arc::clone(&service), limits),
            counts: Counts::default(),
            service,
            limits,
        });
        let weak = Arc::downgrade(&worker);
        worker.service.changes().subscribe(weak);
        worker
    }

    /// What the worker holds at the moment, and what it has counted.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.counts.figures(self.sessions.len(), self.calls.in_flight())
    }

    /// Calls in flight.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.in_flight()
    }

    /// Whether one more session and one more call would be served.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.sessions.is_full() && self.calls.in_flight() < self.limits.calls_max
    }

    /// Opens the session `id`, which only its asker can use from then on.
    pub async fn initialize(
        &self,
        id: SessionId,
        request: &Request<'_>,
        params: InitializeRequestParams,
        asker: Asker<'_>,
    ) -> Reply {
        let accepts = asker.accepts;
        let id_raw = Some(request.id_raw);
        let length = request.params.map_or(0, |params| params.get().len());
        if length > INITIALIZE_BYTES_MAX {
            let message = format!("initialize params are over {INITIALIZE_BYTES_MAX} bytes");
            let error = ErrorData::invalid_params(message, None);
            return Reply::error(StatusCode::PAYLOAD_TOO_LARGE, id_raw, &error, Ending::Refused);
        }
        if self.sessions.is_full() {
            return self.sessions_full(id_raw);
        }
        let Some(_permit) = self.calls.permit() else { return Reply::busy(id_raw, Bound::Calls) };
        let answer = self.service.initialize(params.clone());
        let result = match tokio::time::timeout(self.limits.call_timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => {
                return rpc_error(id_raw, &error, accepts);
            }
            Err(_elapsed) => return Reply::overdue(request.id_raw).in_form(accepts),
        };
        let version = result.protocol_version.clone();
        let introduced = self.facts.of(params, version, |agreed| {
            let peer = dead_peer();
            peer.set_peer_info(agreed);
            peer
        });
        let Ok(facts) = introduced else { return self.sessions_full(id_raw) };
        let Ok(json) = serde_json::to_vec(&ServerResult::InitializeResult(result)) else {
            let error = ErrorData::internal_error("the answer could not be written as JSON", None);
            return rpc_error(id_raw, &error, accepts);
        };
        if self.sessions.open(id.clone(), facts, asker.caller.principal).is_err() {
            return self.sessions_full(id_raw);
        }
        self.counts.opened.fetch_add(1, Ordering::Relaxed);
        let mut reply = Reply::json(result_json(request.id_raw, &json)).in_form(accepts);
        reply.session = Some(id);
        reply
    }

    /// Serves a message in the session `id`. Somebody else's session is like one that does not exist.
    pub async fn session(&self, id: &SessionId, message: Message<'_>, asker: Asker<'_>) -> Reply {
        let Some(session) = self.sessions.get(id, asker.caller.principal) else {
            let id_raw = match &message {
                Message::Request(request) => Some(request.id_raw),
                Message::Notification(_) | Message::Response(_) => None,
            };
            return Reply::unknown_session(id_raw);
        };
        match message {
            Message::Request(request) => self.session_request(&session, &request, asker).await,
            Message::Notification(notification) => notified(&session, &notification),
            Message::Response(response) => responded(&session, &response),
        }
    }

    /// Checks the headers that mirror arguments of a stateless `tools/call`.
    ///
    /// # Errors
    /// The reply that refuses the request.
    pub fn check_headers(
        &self,
        message: &Message<'_>,
        headers: &HeaderMap,
    ) -> Result<(), Box<Reply>> {
        let Message::Request(request) = message else { return Ok(()) };
        if request.method != "tools/call" {
            return Ok(());
        }
        let Some(tool) = request.head.name() else { return Ok(()) };
        let mirrored = self.service.mirrored(&tool);
        mirror::check_arguments(headers, &mirrored, request.params).map_err(|mismatch| {
            let error = ErrorData::header_mismatch(mismatch, None);
            let id_raw = Some(request.id_raw);
            Box::new(Reply::error(StatusCode::BAD_REQUEST, id_raw, &error, Ending::Refused))
        })
    }

    /// Serves a message that stands for itself.
    pub async fn stateless(
        &self,
        message: Message<'_>,
        version: &ProtocolVersion,
        asker: Asker<'_>,
    ) -> Reply {
        let accepts = asker.accepts;
        let Message::Request(request) = message else {
            // A notification of this era concerns nothing that we hold.
            return Reply::empty(StatusCode::ACCEPTED, Ending::Answered);
        };
        let id_raw = Some(request.id_raw);
        let keep = match self.service.kept(&request, version, asker.caller) {
            Ok(answer) => return Reply::json(answer).in_form(accepts),
            Err(keep) => keep,
        };
        let typed = match request::typed_stateless(&request) {
            Ok(typed) => typed,
            Err(error) => return rpc_error(id_raw, &error, accepts),
        };
        if let ClientRequest::SubscriptionsListenRequest(listen) = &typed
            && let Some(filter) = self.service.accepted(&listen.params.notifications)
        {
            return self.listen(&request, filter, accepts);
        }
        let call = asker.call(None);
        let mut context = RequestContext::new(request.id.clone(), self.service.stranger().clone());
        context.meta = request::metadata(&request);
        let Some(permit) = self.calls.permit() else { return Reply::busy(id_raw, Bound::Calls) };
        let places = Places { _worker: permit, _session: None };
        let job = Job {
            id_raw: request.id_raw.into(),
            request: typed,
            context,
            places,
            call_timeout: self.limits.call_timeout,
            stateless: true,
            keep,
        };
        self.calls.run(job, call, None, accepts).await
    }

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

    /// Ends the session `id`, if it is the caller's.
    pub fn close(&self, id: &SessionId, caller: &Caller) -> Reply {
        if self.sessions.close(id, caller.principal) {
            self.counts.deleted.fetch_add(1, Ordering::Relaxed);
            return Reply::empty(StatusCode::NO_CONTENT, Ending::Answered);
        }
        Reply::unknown_session(None)
    }

    /// Ends idle sessions and overdue calls. To be called about once a second.
    pub fn sweep(&self) -> Swept {
        let overdue_calls = self.calls.end_overdue();
        let idle_sessions = self.sessions.expire(self.limits.idle_timeout);
        self.counts.idle.fetch_add(wide(idle_sessions), Ordering::Relaxed);
        Swept { idle_sessions, overdue_calls }
    }

    async fn session_request(
        &self,
        session: &Arc<Session>,
        request: &Request<'_>,
        asker: Asker<'_>,
    ) -> Reply {
        let (id_raw, accepts) = (Some(request.id_raw), asker.accepts);
        if request.method == "ping" {
            return Reply::json(result_json(request.id_raw, b"{}")).in_form(accepts);
        }
        let keep = match self.service.kept(request, &session.facts.version, asker.caller) {
            Ok(answer) => return Reply::json(answer).in_form(accepts),
            Err(keep) => keep,
        };
        let typed = match request::typed(request) {
            Ok(typed) => typed,
            Err(error) => return rpc_error(id_raw, &error, accepts),
        };
        let in_flight = match session.begin(&request.id, self.limits.session_calls_max) {
            Ok(in_flight) => in_flight,
            Err(why) => return cannot_begin(why, request.id_raw),
        };
        let Some(permit) = self.calls.permit() else { return Reply::busy(id_raw, Bound::Calls) };
        let questions: Arc<dyn Questions> = Arc::<Session>::clone(session);
        let call = asker.call(Some(questions));
        let mut meta = request::metadata(request);
        let peer = session.facts.introduce(self.service.stranger(), &mut meta);
        let mut context = RequestContext::new(request.id.clone(), peer);
        context.meta = meta;
        // A child: a handler that cancels its own token must not look like a client that did.
        context.ct = in_flight.ct.child_token();
        let number = in_flight.number();
        let places = Places { _worker: permit, _session: Some(in_flight) };
        let job = Job {
            id_raw: request.id_raw.into(),
            request: typed,
            context,
            places,
            call_timeout: self.limits.call_timeout,
            stateless: false,
            keep,
        };
        self.calls.run(job, call, Some((session, number)), accepts).await
    }

    fn listen(&self, request: &Request<'_>, filter: SubscriptionFilter, accepts: Accepts) -> Reply {
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

    fn sessions_full(&self, id_raw: Option<&str>) -> Reply {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        Reply::busy(id_raw, Bound::Sessions)
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

/// A JSON-RPC error in a good answer.
fn rpc_error(id_raw: Option<&str>, error: &ErrorData, accepts: Accepts) -> Reply {
    Reply::error(StatusCode::OK, id_raw, error, Ending::RpcError).in_form(accepts)
}

fn cannot_begin(why: CannotBegin, id_raw: &str) -> Reply {
    match why {
        CannotBegin::DuplicateId => {
            let message = "a request with this id is in flight in this session; use another id";
            let error = ErrorData::invalid_request(message, None);
            Reply::error(StatusCode::BAD_REQUEST, Some(id_raw), &error, Ending::Refused)
        }
        CannotBegin::TooMany => Reply::busy(Some(id_raw), Bound::SessionCalls),
        CannotBegin::Ended => Reply::unknown_session(Some(id_raw)),
    }
}

#[cfg(test)]
mod tests;
