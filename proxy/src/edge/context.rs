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
    observe::ToolOutcome,
    server::{Bound, Ending, wire::Message},
};

use crate::{
    gate::{Leave, Pass},
    metrics::{
        Held,
        labels::{Label as _, Limit, Outcome, RpcMethod},
    },
    request_id::RequestId,
    ring::WorkerIndex,
};

/// Facts of one request, gathered on its way.
#[derive(Debug)]
pub struct Context {
    pub(super) started: Instant,
    pub(super) id: Option<RequestId>,
    pub(super) rpc: Option<Rpc>,
    pub(super) call: Option<Call>,
    pub(super) worker: Option<WorkerIndex>,
    pub(super) era: Option<&'static str>,
    pub(super) outcome: Outcome,
    /// Why it was refused, in one word.
    pub(super) reason: Option<&'static str>,
    /// The caller's leave.
    pub(super) pass: Option<Pass>,
    _in_flight: InFlight,
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
            worker: None,
            era: None,
            // Until somebody says better: the client left, or the connection broke.
            outcome: Outcome::ClientGone,
            reason: None,
            pass: None,
            _in_flight: in_flight,
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
