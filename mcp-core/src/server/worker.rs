//! A worker: one shard of sessions and calls, with its own bounds.
//!
//! Requests are served in the caller's task, and none is spawned for them (rmcp makes a `Peer` only by a
//! task that ends at once, which `initialize` needs); what must happen without a request
//! (idle sessions, deadlines of calls whose reader stalls) happens in [`Worker::sweep`].

use std::sync::{Arc, atomic::Ordering};

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use rmcp::{
    ErrorData,
    model::{ClientRequest, InitializeRequestParams, ProtocolVersion, ServerResult},
    service::RequestContext,
};

use super::{
    calls::Calls,
    client::Client,
    events::EventLog,
    facts::{Facts, FactsTable, TooMuch},
    figures::{Counts, Figures, wide},
    json::result_json,
    listeners::Listeners,
    mirror,
    notices::{notified, responded},
    principals::PrincipalCounts,
    reply::{Asker, Reply},
    request,
    running::{Bound, Ending},
    service::{Job, Places, Service, dead_peer},
    sessions::{CannotBegin, Opening, Session},
    table::{CannotOpen, EndedSession, Expired, Table},
    wire::{Message, Request},
};
use crate::{access::Caller, call::Questions, config::WorkerLimits, session::SessionId};

/// Longest `initialize` parameters, in bytes. They are kept as long as the session lives.
const INITIALIZE_BYTES_MAX: usize = 16 << 10;

mod moves;

mod streams;

/// One shard of sessions and calls.
#[derive(Debug)]
pub struct Worker {
    service: Arc<Service>,
    limits: WorkerLimits,
    sessions: Table,
    facts: FactsTable,
    events: Mutex<EventLog>,
    listeners: Arc<Listeners>,
    calls: Calls,
    counts: Counts,
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Sessions ended because nothing happened in them, or because of their age.
    pub ended: Vec<EndedSession>,
    /// Calls ended at their deadline although nobody read their stream.
    pub overdue_calls: usize,
}

impl Worker {
    /// Makes a worker that serves `service`. `counts` is shared by all workers of the process.
    #[must_use]
    pub fn new(
        service: Arc<Service>,
        limits: WorkerLimits,
        counts: Arc<PrincipalCounts>,
    ) -> Arc<Self> {
        let worker = Arc::new(Self {
            sessions: Table::new(limits, counts),
            facts: FactsTable::new(limits.sessions_max),
            events: Mutex::new(EventLog::new()),
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

    /// Opens a session, which only its asker can use from then on.
    pub async fn initialize(
        &self,
        opening: Opening,
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
        if let Err(why) = self.sessions.room_for(asker.caller.principal) {
            return self.cannot_open(why, id_raw);
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
        let Ok(facts) = self.introduced(params, version) else {
            return self.cannot_open(CannotOpen::Full, id_raw);
        };
        let Ok(json) = serde_json::to_vec(&ServerResult::InitializeResult(result)) else {
            let error = ErrorData::internal_error("the answer could not be written as JSON", None);
            return rpc_error(id_raw, &error, accepts);
        };
        let (id, client) = (opening.id.clone(), Client::of_session(&facts));
        if let Err(why) = self.sessions.open(opening, facts, asker.caller.principal) {
            return self.cannot_open(why, id_raw);
        }
        self.counts.opened.fetch_add(1, Ordering::Relaxed);
        let mut reply = Reply::json(result_json(request.id_raw, &json)).in_form(accepts);
        (reply.session, reply.client) = (Some(id), Some(client));
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
        let mut reply = match message {
            Message::Request(request) => self.session_request(&session, &request, asker).await,
            Message::Notification(notification) => notified(&session, &notification),
            Message::Response(response) => responded(&session, &response),
        };
        reply.client = Some(Client::of_session(&session.facts));
        reply
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
        let call = asker.call(None, self.service.query_notes());
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

    /// Ends the session `id`, if it is the caller's.
    pub fn close(&self, id: &SessionId, caller: &Caller) -> Reply {
        let session = self.sessions.get(id, caller.principal);
        if self.sessions.close(id, caller.principal) {
            self.counts.deleted.fetch_add(1, Ordering::Relaxed);
            let mut reply = Reply::empty(StatusCode::NO_CONTENT, Ending::Answered);
            reply.client = session.map(|session| Client::of_session(&session.facts));
            return reply;
        }
        Reply::unknown_session(None)
    }

    /// Ends idle and old sessions and overdue calls. To be called about once a second.
    pub fn sweep(&self) -> Swept {
        let overdue_calls = self.calls.end_overdue();
        let Expired { idle, aged, ended } = self.sessions.expire(self.sessions.now());
        self.counts.idle.fetch_add(wide(idle), Ordering::Relaxed);
        self.counts.expired.fetch_add(wide(aged), Ordering::Relaxed);
        Swept { ended, overdue_calls }
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
        let call = asker.call(Some(questions), self.service.query_notes());
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

    /// What is kept of a client that said `params`.
    fn introduced(
        &self,
        params: InitializeRequestParams,
        version: ProtocolVersion,
    ) -> Result<Arc<Facts>, TooMuch> {
        self.facts.of(params, version, |agreed| {
            let peer = dead_peer();
            peer.set_peer_info(agreed);
            peer
        })
    }

    fn cannot_open(&self, why: CannotOpen, id_raw: Option<&str>) -> Reply {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        let bound = match why {
            CannotOpen::Full => Bound::Sessions,
            CannotOpen::PrincipalFull => Bound::PrincipalSessions,
        };
        Reply::busy(id_raw, bound)
    }
}

/// A JSON-RPC error in a good answer.
fn rpc_error(id_raw: Option<&str>, error: &ErrorData, accepts: super::reply::Accepts) -> Reply {
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
