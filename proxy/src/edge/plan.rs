//! From a message to the worker that answers it.

use std::sync::Arc;

use http::HeaderMap;
use mcp_core::{
    access::Caller,
    call::{Call, QueryNotes},
    server::{
        Asker, Bound, Client, Ending, Opening, Reply, Worker,
        era::{self, Route, RouteError, RouteFault},
        wire::{self, Message, Request},
    },
    session::SessionId,
    tools::promql_argument,
    trace::Trace,
};

use super::{Edge, aim::Aim, context::Context};
use crate::{
    access_log::Rules,
    gate::Gate,
    live::Live,
    metrics::{Metrics, labels::Rejection},
    refusal::{Denial, Refusal},
    sessions::{Brought, NotKept, Place, Sessions},
    trace::Tracer,
    workers::Chosen,
};

/// Longest PromQL of a refused call that is read for its record, in bytes of JSON.
const REFUSED_QUERY_BYTES_MAX: usize = 16 << 10;

/// What finding a worker needs.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) metrics: &'a Metrics,
    pub(super) gate: &'a Arc<Gate>,
    /// The rules of the record, where one is kept.
    pub(super) rules: Option<&'a Rules>,
    pub(super) tracer: &'a Tracer,
}

impl<'a> Parts<'a> {
    pub(super) fn of(edge: &'a Edge, live: &'a Live) -> Self {
        Self {
            sessions: &edge.sessions,
            metrics: &edge.metrics,
            gate: &live.gate,
            rules: edge.access_log.rules(),
            tracer: &edge.tracer,
        }
    }
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
    body: &'a [u8],
    message: Message<'a>,
    asker: Asker<'a>,
    sessions: &'a Sessions,
    chosen: Chosen<'a>,
    route: Route,
    /// The session that the message is about to open.
    opening: Option<Opening>,
    /// The trace of the call, if it is one.
    trace: Option<Arc<Trace>>,
}

/// Reads a message, notes it, and asks whether its caller may send it.
///
/// # Errors
/// The reply, or the refusal, when the message goes nowhere.
pub(super) fn read<'a>(
    body: &'a [u8],
    headers: &HeaderMap,
    Parts { metrics, gate, rules, tracer, .. }: Parts<'_>,
    context: &mut Context,
) -> Result<(Message<'a>, Route), Astray<'a>> {
    let message = wire::parse(body).map_err(|error| {
        metrics.rejected(Rejection::Message);
        Reply::not_a_message(error)
    })?;
    context.note_message(&message, rules);
    context.note_trace(&message, tracer);
    // What another replica passed on was counted there.
    if let (Some(rpc), None, false) = (&context.rpc, &context.hop, context.is_looked_at) {
        metrics.rpc_called(rpc.method);
    }
    let route = era::route(&message, headers).map_err(|error| {
        metrics.rejected(rejection(&error));
        Reply::not_routed(&error, id_raw(&message))
    })?;
    context.era = Some(if matches!(route, Route::Stateless(_)) { "stateless" } else { "session" });
    if rules.is_some() {
        context.client = match &route {
            Route::Stateless(version) => Some(Client::stateless(version, &message)),
            Route::Initialize(params) => Some(Client::opening(params)),
            // The worker knows.
            Route::Session(_) => None,
        };
    }
    if let (Some(tool), Some(pass)) =
        (context.rpc.as_ref().and_then(|rpc| rpc.tool.as_deref()), &context.pass)
    {
        // Its rate takes a call once.
        let denied = if context.is_looked_at { None } else { gate.tool(pass, tool).err() };
        if let Some(denial) = denied {
            context.call = rules.and_then(|rules| refused((&message, tool), &pass.caller, rules));
            return Err(Astray::Denied(denial, id_raw(&message)));
        }
        context.decider = rules.map(|_| Arc::clone(gate));
    }
    Ok((message, route))
}

/// A call that is refused, with what it asks: of all calls an audit wants to know that of these.
fn refused((message, tool): (&Message<'_>, &str), caller: &Caller, rules: &Rules) -> Option<Call> {
    let Message::Request(request) = message else { return None };
    let asks = promql_argument(tool).filter(|_| rules.query_notes() != QueryNotes::Off)?;
    let mut query: Option<String> = None;
    request.head.each_argument(|name, value| {
        if name == asks && value.get().len() <= REFUSED_QUERY_BYTES_MAX {
            query = serde_json::from_str(value.get()).ok();
        }
    });
    let call = Call::silent(caller.clone(), rules.query_notes());
    call.note_query(&query?);
    Some(call)
}

impl<'a> Plan<'a> {
    /// Reads the message and finds its worker.
    ///
    /// # Errors
    /// The reply, or the refusal, when the message goes nowhere.
    pub(super) fn make(
        body: &'a [u8],
        headers: &HeaderMap,
        (asker, aim): (Asker<'a>, Aim<'a>),
        parts: Parts<'a>,
        context: &mut Context,
    ) -> Result<Self, Astray<'a>> {
        let Parts { sessions, metrics, rules, .. } = parts;
        let read = read(body, headers, parts, context);
        if let (Err(Astray::Denied(..)), Aim::Session(id, chosen), Some(_), None) =
            (&read, &aim, rules, &context.client)
        {
            // Its session will not be asked any more, and alone knows who that is.
            context.client = chosen.worker.client(id);
        }
        let (message, route) = read?;
        let unknown = || {
            metrics.rejected(Rejection::SessionUnknown);
            Reply::unknown_session(id_raw(&message))
        };
        let mut opening = None;
        let chosen = match (&route, aim) {
            (Route::Session(id), Aim::Session(aimed, chosen)) if *id == aimed => chosen,
            (Route::Session(_), Aim::Unknown(why)) => {
                context.reason = Some(why);
                return Err(unknown().into());
            }
            // Whoever has it may be back at once: a client must not give its session up.
            (Route::Session(_), Aim::Nobody) => return Err(unavailable(id_raw(&message)).into()),
            (Route::Session(_), _) => return Err(unknown().into()),
            // The id comes first: it decides the worker.
            (Route::Initialize(_), Aim::Open(aimed, chosen)) => {
                opening = Some(aimed);
                chosen
            }
            (Route::Initialize(_), _) => {
                let minted = sessions.mint(asker.caller.principal);
                let minted = minted.map_err(|_cannot| unavailable(id_raw(&message)))?;
                opening = Some(minted.opening);
                match minted.place {
                    Place::Here(chosen) => chosen,
                    // The ring has changed under us; who asks again is sent there.
                    Place::There(..) => return Err(unavailable(id_raw(&message)).into()),
                }
            }
            (Route::Stateless(_), _) => {
                sessions.workers.any().ok_or_else(|| unavailable(id_raw(&message)))?
            }
        };
        if let Some(opening) = &opening {
            context.note_session(&opening.id, rules);
            context.owner = Some((sessions.cluster.me().clone(), chosen.index));
        }
        context.worker = Some(chosen.index);
        if matches!(route, Route::Stateless(_)) {
            chosen.worker.check_headers(&message, headers).inspect_err(|_refused| {
                metrics.rejected(Rejection::HeaderMismatch);
            })?;
        }
        let trace = context.begin_call(parts.tracer);
        Ok(Self { body, message, asker, sessions, chosen, route, opening, trace })
    }

    /// Has the worker answer.
    ///
    /// # Errors
    /// The refusal, with the id of the request.
    pub(super) async fn run(self) -> Result<Reply, (Denial, Option<&'a str>)> {
        let Self { body, message, asker, sessions, chosen, route, opening, trace } = self;
        let asker = Asker { trace: trace.as_ref(), ..asker };
        let (id_raw, worker) = (id_raw(&message), chosen.worker);
        match route {
            Route::Session(id) => {
                let in_session = InSession { id, asker, sessions, worker };
                in_session.run(body, message).await.map_err(|denial| (denial, id_raw))
            }
            Route::Stateless(version) => Ok(worker.stateless(message, &version, asker).await),
            Route::Initialize(params) => match (opening, message) {
                (Some(opening), Message::Request(request)) => {
                    let id = opening.id.clone();
                    let reply = worker.initialize(opening, &request, *params, asker).await;
                    if reply.session.is_none() {
                        return Ok(reply);
                    }
                    match sessions.opened(&id, worker).await {
                        Ok(()) => Ok(reply),
                        Err(NotKept::TooMany) => Ok(Reply::busy(id_raw, Bound::PrincipalSessions)),
                        Err(NotKept::StoreDown) => Err((Refusal::SessionStore.into(), id_raw)),
                    }
                }
                // Not reached: only a request is routed so, and for it an id was minted.
                _ => Ok(unavailable(id_raw)),
            },
        }
    }
}

/// A message in a session, with the worker that owns it.
struct InSession<'a> {
    id: SessionId,
    asker: Asker<'a>,
    sessions: &'a Sessions,
    worker: &'a Worker,
}

impl<'a> InSession<'a> {
    async fn run(&self, body: &'a [u8], message: Message<'a>) -> Result<Reply, Denial> {
        let Self { id, asker, worker, .. } = self;
        let is_there = self.find().await?;
        let reply = worker.session(id, message, *asker).await;
        self.sessions.let_go_of(id, worker);
        let reply = unless_moved(reply, id, self.sessions)?;
        if reply.ending != Ending::UnknownSession || !is_there || !self.sessions.store.is_shared() {
            return Ok(reply);
        }
        // It was there a moment ago: the ring has changed, and the session was let go. What is stored is as good, so
        // this one message is served here all the same.
        let Ok(message) = wire::parse(body) else { return Ok(reply) };
        self.bring().await?;
        let reply = worker.session(id, message, *asker).await;
        self.sessions.let_go_of(id, worker);
        Ok(reply)
    }

    /// Whether the worker holds the session, or does so now.
    async fn find(&self) -> Result<bool, Denial> {
        Ok(self.worker.holds(&self.id) || self.bring().await? == Brought::Restored)
    }

    async fn bring(&self) -> Result<Brought, Denial> {
        let principal = self.asker.caller.principal;
        match self.sessions.bring(&self.id, principal, self.worker).await {
            Brought::Unknown => Err(Refusal::SessionStore.into()),
            Brought::Moved => Err(Refusal::NotAgreed.into()),
            Brought::Restored => Ok(Brought::Restored),
            Brought::Absent => Ok(Brought::Absent),
        }
    }
}

/// The reply; a refusal where it says that nobody knows the session, while the session was handed to another replica just
/// before. Its client must not give it up.
fn unless_moved(reply: Reply, id: &SessionId, sessions: &Sessions) -> Result<Reply, Denial> {
    if reply.ending == Ending::UnknownSession && sessions.has_moved(id) {
        return Err(Refusal::NotAgreed.into());
    }
    Ok(reply)
}

/// What a request without a body wants of its session.
pub(super) enum Wish<'a> {
    /// Its stream, from after that event on.
    Stream {
        /// Value of `Last-Event-ID`.
        last_event_id: Option<&'a [u8]>,
    },
    /// Its end.
    End,
}

/// Opens the stream of a session, or ends it.
///
/// # Errors
/// The refusal, when it cannot be found out whether the session exists.
pub(super) async fn without_body(
    (id, Chosen { worker, .. }): (SessionId, Chosen<'_>),
    asker: Asker<'_>,
    wish: Wish<'_>,
    sessions: &Sessions,
) -> Result<Reply, Denial> {
    let caller = asker.caller;
    InSession { id: id.clone(), asker, sessions, worker }.find().await?;
    let reply = match wish {
        Wish::Stream { last_event_id } => {
            let reply = worker.open_stream(&id, caller, last_event_id);
            sessions.let_go_of(&id, worker);
            return unless_moved(reply, &id, sessions);
        }
        Wish::End => unless_moved(worker.close(&id, caller), &id, sessions)?,
    };
    if reply.ending == Ending::Answered {
        sessions.closed(id, caller.principal).await;
    }
    Ok(reply)
}

/// The reply to a GET or DELETE that names no session of the caller's.
pub(super) fn no_session(
    headers: &HeaderMap,
    aim: &Aim<'_>,
    metrics: &Metrics,
    context: &mut Context,
) -> Reply {
    let error = match (era::session(headers), aim) {
        (Err(error), _) => error,
        (Ok(_), Aim::Unknown(why)) => {
            context.reason = Some(why);
            RouteError::UnknownSession
        }
        (Ok(_), _) => return unavailable(None),
    };
    metrics.rejected(rejection(&error));
    Reply::not_routed(&error, None)
}

pub(super) fn id_raw<'a>(message: &Message<'a>) -> Option<&'a str> {
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

/// No worker: a process that only routes while no replica has one.
fn unavailable(id_raw: Option<&str>) -> Reply {
    Reply::busy(id_raw, Bound::Workers)
}
