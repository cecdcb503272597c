//! From a message to the worker that answers it.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use mcp_core::{
    server::{
        Asker, Bound, Opening, Reply,
        era::{self, Route, RouteError, RouteFault},
        wire::{self, Message, Request},
    },
    session::SessionId,
};

use super::context::Context;
use crate::{
    gate::Gate,
    metrics::{Metrics, labels::Rejection},
    refusal::Denial,
    workers::{Chosen, Workers},
};

/// A session ends at this age.
const AGE_MAX: Duration = Duration::from_hours(24);

/// What finding a worker needs.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) workers: &'a Workers,
    pub(super) metrics: &'a Metrics,
    pub(super) gate: &'a Gate,
}

/// A message that no worker answers.
pub(super) enum Astray<'a> {
    /// Its reply.
    Answered(Box<Reply>),
    /// Its refusal, and the id of the request.
    Denied(Denial, Option<&'a str>),
}

impl From<Box<Reply>> for Astray<'_> {
    fn from(reply: Box<Reply>) -> Self {
        Self::Answered(reply)
    }
}

impl From<Reply> for Astray<'_> {
    fn from(reply: Reply) -> Self {
        Self::Answered(Box::new(reply))
    }
}

/// A message with the worker that answers it.
pub(super) struct Plan<'a> {
    message: Message<'a>,
    asker: Asker<'a>,
    chosen: Chosen<'a>,
    route: Route,
    /// Id of the session that the message is about to open.
    minted: Option<SessionId>,
}

impl<'a> Plan<'a> {
    /// Reads the message and finds its worker.
    ///
    /// # Errors
    /// The reply, or the refusal, when the message goes nowhere.
    pub(super) fn make(
        body: &'a [u8],
        headers: &HeaderMap,
        asker: Asker<'a>,
        parts: Parts<'a>,
        context: &mut Context,
    ) -> Result<Self, Astray<'a>> {
        let Parts { workers, metrics, gate } = parts;
        let message = wire::parse(body).map_err(|error| {
            metrics.rejected(Rejection::Message);
            Reply::not_a_message(error)
        })?;
        context.note_message(&message);
        if let Some(rpc) = &context.rpc {
            metrics.rpc_called(rpc.method);
        }
        let route = era::route(&message, headers).map_err(|error| {
            metrics.rejected(rejection(&error));
            Reply::not_routed(&error, id_raw(&message))
        })?;
        context.era =
            Some(if matches!(route, Route::Stateless(_)) { "stateless" } else { "session" });
        if let (Some(tool), Some(pass)) =
            (context.rpc.as_ref().and_then(|rpc| rpc.tool.as_deref()), &context.pass)
        {
            gate.tool(pass, tool).map_err(|denial| Astray::Denied(denial, id_raw(&message)))?;
        }
        let (minted, chosen) = match &route {
            // The id comes first: it decides the worker.
            Route::Initialize(_) => {
                let (id, chosen) = workers.mint().map_err(|_no_randomness| unavailable())?;
                (Some(id), chosen)
            }
            Route::Session(id) => (None, workers.owner(id)),
            Route::Stateless(_) => (None, workers.any()),
        };
        let chosen = chosen.ok_or_else(unavailable)?;
        context.worker = Some(chosen.index);
        if matches!(route, Route::Stateless(_)) {
            chosen.worker.check_headers(&message, headers).inspect_err(|_refused| {
                metrics.rejected(Rejection::HeaderMismatch);
            })?;
        }
        Ok(Self { message, asker, chosen, route, minted })
    }

    /// Has the worker answer.
    pub(super) async fn run(self) -> Reply {
        let Self { message, asker, chosen, route, minted } = self;
        match route {
            Route::Session(id) => chosen.worker.session(&id, message, asker).await,
            Route::Stateless(version) => chosen.worker.stateless(message, &version, asker).await,
            Route::Initialize(params) => match (minted, message) {
                (Some(id), Message::Request(request)) => {
                    let opening = Opening { id, expires: SystemTime::now() + AGE_MAX };
                    chosen.worker.initialize(opening, &request, *params, asker).await
                }
                // Not reached: only a request is routed so, and for it an id was minted.
                _ => unavailable(),
            },
        }
    }
}

/// The worker that owns the session of a GET or DELETE.
///
/// # Errors
/// The reply, when it names none.
pub(super) fn session_owner<'a>(
    headers: &HeaderMap,
    Parts { workers, metrics, .. }: Parts<'a>,
    context: &mut Context,
) -> Result<(SessionId, Chosen<'a>), Box<Reply>> {
    context.era = Some("session");
    let id = era::session(headers).map_err(|error| {
        metrics.rejected(rejection(&error));
        Reply::not_routed(&error, None)
    })?;
    let chosen = workers.owner(&id).ok_or_else(unavailable)?;
    context.worker = Some(chosen.index);
    Ok((id, chosen))
}

fn id_raw<'a>(message: &Message<'a>) -> Option<&'a str> {
    match message {
        Message::Request(Request { id_raw, .. }) => Some(id_raw),
        Message::Notification(_) | Message::Response(_) => None,
    }
}

fn rejection(error: &RouteError) -> Rejection {
    match error.fault() {
        RouteFault::SessionUnknown => Rejection::SessionUnknown,
        RouteFault::SessionMissing => Rejection::SessionMissing,
        RouteFault::ProtocolVersion => Rejection::ProtocolVersion,
        RouteFault::HeaderMismatch => Rejection::HeaderMismatch,
        RouteFault::Metadata => Rejection::Message,
    }
}

/// No randomness or no worker: a state that a running process does not reach.
fn unavailable() -> Reply {
    Reply::busy(None, Bound::Workers)
}
