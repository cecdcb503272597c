//! What a worker answers, before it is HTTP on a connection.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use rmcp::{ErrorData, model::ErrorCode};

use super::{
    client::Client,
    era::RouteError,
    json::{error_json, push_event},
    running::{Bound, Ending, Outcome},
    stream::EventStream,
    wire::WireError,
};
use crate::{
    access::Caller,
    call::{Call, QueryNotes, Questions},
    session::SessionId,
    trace::Trace,
};

/// Which answers a client can read, from its `Accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts {
    /// `application/json`.
    pub json: bool,
    /// `text/event-stream`.
    pub sse: bool,
}

/// Who asks, and in which forms the answer can be given.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Which answers the client can read.
    pub accepts: Accepts,
    /// Who calls.
    pub caller: &'a Caller,
    /// The trace that a call of the asker's belongs to.
    pub trace: Option<&'a Arc<Trace>>,
}

impl Asker<'_> {
    /// A call of this asker's; `questions` when the client can also be asked.
    pub(super) fn call(
        self,
        questions: Option<Arc<dyn Questions>>,
        query_notes: QueryNotes,
    ) -> Call {
        let caller = self.caller.clone();
        let call = if self.accepts.sse {
            Call::streaming(questions, caller, query_notes)
        } else {
            Call::silent(caller, query_notes)
        };
        call.in_trace(self.trace)
    }
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// One JSON text.
    Json(Bytes),
    /// Server-sent events.
    Stream(EventStream),
    /// Server-sent events that are all there already; none when the client cancelled.
    Events(Bytes),
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Body.
    pub body: Body,
    /// Id of the session just opened.
    pub session: Option<SessionId>,
    /// When a client that was turned away may try again.
    pub retry_after: Option<Duration>,
    /// For logs and metrics. A stream's ending is asked of the stream.
    pub ending: Ending,
    /// The answer's code, where it is a JSON-RPC error. A stream's is asked of the stream.
    pub error_code: Option<i32>,
    /// The call, with what its tool noted.
    pub call: Option<Call>,
    /// The client, where its session says who it is.
    pub client: Option<Client>,
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub const fn empty(status: StatusCode, ending: Ending) -> Self {
        Self::of(status, Body::Empty, ending)
    }

    /// A JSON answer of status 200.
    #[must_use]
    pub const fn json(body: Bytes) -> Self {
        Self::of(StatusCode::OK, Body::Json(body), Ending::Answered)
    }

    const fn of(status: StatusCode, body: Body, ending: Ending) -> Self {
        Self {
            status,
            body,
            session: None,
            retry_after: None,
            ending,
            error_code: None,
            call: None,
            client: None,
        }
    }

    /// A JSON-RPC error. `id_raw` is left out where the request's id could not be read.
    #[must_use]
    pub fn error(
        status: StatusCode,
        id_raw: Option<&str>,
        error: &ErrorData,
        ending: Ending,
    ) -> Self {
        let body = Body::Json(error_json(id_raw, error));
        Self { error_code: Some(error.code.0), ..Self::of(status, body, ending) }
    }

    /// The answer to a body that is no message.
    #[must_use]
    pub fn not_a_message(error: WireError) -> Self {
        let error = ErrorData::new(error.code(), error.to_string(), None);
        Self::error(StatusCode::BAD_REQUEST, None, &error, Ending::Refused)
    }

    /// The answer to a message that goes nowhere.
    #[must_use]
    pub fn not_routed(error: &RouteError, id_raw: Option<&str>) -> Self {
        match error {
            RouteError::UnknownSession => Self::unknown_session(id_raw),
            RouteError::Refused(status, error) => {
                Self::error(*status, id_raw, error, Ending::Refused)
            }
        }
    }

    /// The answer to a session id that is not, or no longer, known.
    #[must_use]
    pub fn unknown_session(id_raw: Option<&str>) -> Self {
        let error = ErrorData::invalid_request(
            "session not found: it has ended or was never opened; send `initialize` to open one",
            None,
        );
        Self::error(StatusCode::NOT_FOUND, id_raw, &error, Ending::UnknownSession)
    }

    /// The answer to a request that took too long before it was anything else.
    pub(super) fn overdue(id_raw: &str) -> Self {
        // Either is an answer that every client reads, whatever it accepts.
        Self::of_call(Outcome::overdue(id_raw), None, Accepts { json: true, sse: false })
    }

    /// The answer when a bound is reached.
    #[must_use]
    pub fn busy(id_raw: Option<&str>, bound: Bound) -> Self {
        let (status, why) = match bound {
            Bound::Sessions => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many sessions are open; try again later")
            }
            Bound::PrincipalSessions => (
                StatusCode::TOO_MANY_REQUESTS,
                "you have too many sessions open; end one, or wait for one to end",
            ),
            Bound::SessionCalls => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many calls are in flight in this session; wait for one to end",
            ),
            Bound::Calls => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many calls are in flight; try again later")
            }
            Bound::Workers => {
                (StatusCode::SERVICE_UNAVAILABLE, "no worker can take the request; try again later")
            }
            Bound::Listeners => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many subscriptions/listen streams are open; try again later",
            ),
        };
        let error = ErrorData::new(ErrorCode::INTERNAL_ERROR, why, None);
        let mut reply = Self::error(status, id_raw, &error, Ending::Busy(bound));
        reply.retry_after = Some(Duration::from_secs(1));
        reply
    }

    /// The same answer for a client that reads nothing but events.
    #[must_use]
    pub(super) fn in_form(mut self, accepts: Accepts) -> Self {
        if let (Body::Json(json), false, StatusCode::OK) = (&self.body, accepts.json, self.status) {
            let mut events = Vec::with_capacity(json.len() + 32);
            push_event(&mut events, json);
            self.body = Body::Events(events.into());
        }
        self
    }

    /// The answer of a call that ended before it became a stream.
    pub(super) fn of_call(outcome: Outcome, call: Option<Call>, accepts: Accepts) -> Self {
        let Outcome { answer, status, ending, error_code } = outcome;
        let body = match answer {
            Some(answer) => Body::Json(answer),
            None if accepts.sse => Body::Events(Bytes::new()),
            None => return Self { call, ..Self::empty(StatusCode::ACCEPTED, ending) },
        };
        Self { error_code, call, ..Self::of(status, body, ending) }
    }
}
