//! What the edge knows of one request, for its record.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use mcp_core::{
    call::Call,
    config::BackendName,
    observe::ToolOutcome,
    server::{Bound, Client, Ending, wire::Message},
};

use super::{aim::Aim, forward::Forward};
use crate::{
    gate::{Leave, Pass},
    hop::Hop,
    metrics::{
        Held,
        labels::{Label as _, Limit, Outcome, RpcMethod},
    },
    request_id::RequestId,
    ring::{NodeName, WorkerIndex},
    sessions::Sessions,
};

/// Facts of one request, gathered on its way.
#[derive(Debug)]
pub struct Context {
    pub(super) started: Instant,
    pub(super) id: Option<RequestId>,
    pub(super) rpc: Option<Rpc>,
    pub(super) call: Option<Call>,
    /// What the client says of itself, where somebody keeps a record.
    pub(super) client: Option<Client>,
    pub(super) worker: Option<WorkerIndex>,
    pub(super) era: Option<&'static str>,
    pub(super) outcome: Outcome,
    /// Why it was refused, in one word.
    pub(super) reason: Option<&'static str>,
    /// The caller's leave.
    pub(super) pass: Option<Pass>,
    /// Where the request goes if another replica serves it.
    pub(super) forward: Option<Box<Forward>>,
    /// What the replica says that passed it on.
    pub(super) hop: Option<Box<Hop>>,
    /// Who owns the session.
    pub(super) owner: Option<(NodeName, WorkerIndex)>,
    /// How another replica says that it ended.
    pub(super) passed: Option<Outcome>,
    /// The backend that served it there.
    pub(super) backend_there: Option<Box<str>>,
    /// It is between replicas, concerns no client, and went as it should: nobody is told.
    pub(super) unremarkable: bool,
    /// Passing it on failed, and it was answered nevertheless.
    pub(super) answered_despite: bool,
    in_flight: Option<InFlight>,
    _counted: Held,
}

/// The message of a request.
#[derive(Debug)]
pub(super) struct Rpc {
    pub(super) method: RpcMethod,
    /// The method as the client wrote it, where it is none that we know.
    other: Option<Box<str>>,
    pub(super) tool: Option<Box<str>>,
}

/// Counts requests in service, so that draining knows when the last has gone.
#[derive(Debug)]
pub(super) struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    pub(super) fn enter(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Context {
    pub(super) fn new(in_flight: InFlight, counted: Held) -> Self {
        Self {
            started: Instant::now(),
            id: None,
            rpc: None,
            call: None,
            client: None,
            worker: None,
            era: None,
            // Until somebody says better: the client left, or the connection broke.
            outcome: Outcome::ClientGone,
            reason: None,
            pass: None,
            forward: None,
            hop: None,
            owner: None,
            passed: None,
            backend_there: None,
            unremarkable: false,
            answered_despite: false,
            in_flight: Some(in_flight),
            _counted: counted,
        }
    }

    /// Notes what the message asks for.
    pub(super) fn note_message(&mut self, message: &Message<'_>) {
        self.rpc = Some(match message {
            Message::Request(request) => {
                let method = RpcMethod::of(&request.method);
                let called = method == RpcMethod::ToolsCall;
                let tool = if called { request.head.name() } else { None };
                Rpc { method, other: unknown(method, &request.method), tool: tool.map(Into::into) }
            }
            Message::Notification(notification) => {
                let method = RpcMethod::of(&notification.method);
                Rpc { method, other: unknown(method, &notification.method), tool: None }
            }
            Message::Response(_) => Rpc { method: RpcMethod::Answer, other: None, tool: None },
        });
    }

    /// It is between replicas: no drain waits for it.
    pub(super) fn is_no_clients(&mut self) {
        self.in_flight = None;
    }

    /// Notes who owns the session.
    pub(super) fn note_aim(&mut self, aim: &Aim<'_>, sessions: &Sessions) {
        self.owner = match aim {
            Aim::Session(_, chosen) | Aim::Open(_, chosen) => {
                Some((sessions.cluster.me().clone(), chosen.index))
            }
            Aim::Away(away) => Some((away.node.clone(), away.worker)),
            Aim::Unknown(_) | Aim::Body | Aim::Nobody => None,
        };
    }

    /// How many replicas the request has passed through before this one.
    pub(super) fn hops(&self) -> u8 {
        self.hop.as_ref().map_or(0, |hop| hop.hops)
    }

    /// The backend that served the call, here or at another replica.
    pub(super) fn backend(&self) -> Option<&str> {
        let here = self.call.as_ref().and_then(Call::backend).map(BackendName::as_str);
        here.or(self.backend_there.as_deref())
    }

    /// Gives back the caller's place among the calls in flight: what follows is a stream that only waits.
    /// Returns when that has to end.
    pub(super) fn released(&mut self) -> Option<Leave> {
        self.pass.as_mut().map(Pass::release)
    }

    /// Notes how the worker ended the request.
    pub(super) fn note_ending(&mut self, ending: Ending) {
        let noted = self.call.as_ref().and_then(Call::outcome);
        self.outcome = match ending {
            Ending::Answered => noted.map_or(Outcome::Ok, Outcome::from),
            Ending::RpcError if noted == Some(ToolOutcome::Denied) => Outcome::Forbidden,
            Ending::RpcError | Ending::Refused => Outcome::CallerError,
            Ending::UnknownSession => Outcome::UnknownSession,
            Ending::Busy(_) => Outcome::Overloaded,
            Ending::Cancelled => Outcome::ClientGone,
            Ending::Deadline | Ending::Overdue => Outcome::Timeout,
            Ending::Panicked => Outcome::Internal,
        };
    }
}

/// The configured bound that an ending means.
pub(super) const fn limit_of(ending: Ending) -> Option<Limit> {
    match ending {
        Ending::Busy(Bound::Sessions) => Some(Limit::Sessions),
        Ending::Busy(Bound::PrincipalSessions) => Some(Limit::PrincipalSessions),
        Ending::Busy(Bound::SessionCalls) => Some(Limit::SessionCalls),
        Ending::Busy(Bound::Calls) => Some(Limit::Calls),
        Ending::Busy(Bound::Listeners) => Some(Limit::Listeners),
        Ending::Deadline => Some(Limit::CallTime),
        // No worker: not a bound that an operator sets.
        Ending::Busy(Bound::Workers)
        | Ending::Answered
        | Ending::RpcError
        | Ending::Refused
        | Ending::UnknownSession
        // Counted by whoever swept it.
        | Ending::Overdue
        | Ending::Cancelled
        | Ending::Panicked => None,
    }
}

impl Rpc {
    /// The method as the client wrote it.
    pub(super) fn name(&self) -> Option<&str> {
        let known = !matches!(self.method, RpcMethod::Answer | RpcMethod::Other);
        if known { Some(self.method.label()) } else { self.other.as_deref() }
    }
}

fn unknown(method: RpcMethod, text: &str) -> Option<Box<str>> {
    // Longer than any record shows; a client cannot make us keep more.
    (method == RpcMethod::Other).then(|| text.chars().take(128).collect::<String>().into())
}
