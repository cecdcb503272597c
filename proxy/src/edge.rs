//! The edge: one request from its header to its record.
//!
//! Order of a request: rate of its address → hygiene (framing, target, host) → path → origin → token → policy →
//! rate of its principal → method → media types → session, and with it the replica → body → message → era → tool →
//! worker → answer → record. What comes first is cheaper to check or guards what comes after it: framing before
//! anything is believed, the host before a path is told apart, the caller before a body is read.
//!
//! The same edge serves the port of the replicas, where a signature takes the place of what comes before the method.

mod aim;

mod body;

mod forward;

mod there;

mod context;

mod noted;

mod admit;
mod arrive;

mod plan;

mod respond;

mod recording;

mod traced;

mod refusing;

mod rescue;

mod passing;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{HeaderName, Method, Version, header};
use mcp_core::server::{Asker, Reply, era};
use pingora::{Error, ErrorType, Result, http::RequestHeader, protocols::http::ServerSession};
use tokio::sync::watch;

pub(crate) use self::body::Bodies;
use self::{
    admit::Destination,
    aim::Aim,
    arrive::Arrival,
    body::Body,
    context::Context,
    forward::Forward,
    plan::{Astray, Parts, Plan, Wish},
    respond::{StreamTerms, control, document, left, reply},
};
use crate::{
    access_log::AccessLog,
    config::HttpLimits,
    guard::Guarded,
    hop::{self, HopChecker},
    live::{Current, Live},
    media,
    metrics::{Metrics, labels::Hop},
    refusal::{Denial, Refusal},
    request_id::{RequestId, RequestIds},
    sessions::Sessions,
    telemetry::{Chain, mark_request},
    trace::Tracer,
};

/// Where a client's stream broke off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Everything that serving a request needs.
#[derive(Debug)]
pub struct Edge {
    /// Bounds of the listener.
    pub limits: HttpLimits,
    /// The settings that a reload replaces.
    pub live: Current,
    /// Workers, replicas, and who owns which session.
    pub sessions: Arc<Sessions>,
    /// Who is served.
    pub side: Side,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where records go.
    pub access_log: AccessLog,
    /// Where spans go.
    pub tracer: Arc<Tracer>,
    /// Names for requests that come without one.
    pub request_ids: RequestIds,
    /// Bodies that are arriving.
    pub(crate) bodies: Arc<Bodies>,
    /// Requests in service.
    pub in_flight: Arc<AtomicUsize>,
    /// Turns true when the process begins to stop.
    pub drain: watch::Receiver<bool>,
}

/// Who is served.
#[derive(Debug)]
pub enum Side {
    /// Clients.
    Clients,
    /// Other replicas, each of whose requests is signed.
    Replicas(Box<HopChecker>),
}

/// What comes after a request was looked at.
enum Next {
    /// This reply.
    Reply(Box<Reply>),
    /// Nothing: it is answered.
    Answered,
    /// Another replica answers.
    PassOn,
}

impl Edge {
    /// Number of requests in service.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn begin(&self, session: &mut ServerSession, context: &mut Context) {
        if let Some(guarded) = Guarded::of(session) {
            guarded.header_is_whole();
        }
        let id = RequestId::of_client(&session.req_header().headers);
        let id = context.id.insert(id.unwrap_or_else(|| self.request_ids.next()));
        mark_request(id.as_value());
        let limits = &self.limits;
        // Pingora's own value for a client that asks for keep-alive is "for ever".
        let keeps_alive = keeps_alive(session.req_header()) && !*self.drain.borrow();
        session.set_keepalive(keeps_alive.then(|| limits.idle_timeout.as_secs().max(1)));
        if session.is_http2() {
            // A client may keep its window shut while it reads the socket, which the guard cannot see.
            session.set_write_timeout(Some(limits.write_timeout));
        }
        // A next request that arrives early must not end this one.
        session.set_pipelining_enabled(true);
        // A refusal before the body was read must not cost the connection: we discard the rest.
        session.set_close_on_response_before_downstream_finish(false);
        session.set_total_drain_timeout(Some(limits.body_timeout));
    }

    /// Serves a request. `false` when another replica has to.
    async fn serve(&self, session: &mut ServerSession, context: &mut Context) -> Result<bool> {
        self.begin(session, context);
        // Boxed: a stream carries the size of this future for as long as it lasts, and finding the
        // answer is over by then.
        match Box::pin(self.look(session, context)).await? {
            Next::Reply(answer) => self.reply(session, context, *answer).await?,
            Next::Answered => {}
            Next::PassOn => return Ok(false),
        }
        Ok(true)
    }

    async fn reply(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        answer: Reply,
    ) -> Result<()> {
        let terms =
            StreamTerms { edge: self, drain: self.drain.clone(), cluster: &self.sessions.cluster };
        reply(session, context, answer, terms).await
    }

    async fn look(&self, session: &mut ServerSession, context: &mut Context) -> Result<Next> {
        let live = self.live.load_full();
        if matches!(self.side, Side::Clients) {
            context.client_address = admit::client(session, &live);
            self.begin_trace(&session.req_header().headers, context);
        }
        let admitted = match &self.side {
            Side::Clients => match self.admit(session, context, &live).await {
                Ok(Destination::Document(served)) => {
                    document(session, context, served).await?;
                    return Ok(Next::Answered);
                }
                Ok(Destination::Caller(pass)) => Ok(pass),
                Err(denial) => Err(denial),
            },
            Side::Replicas(checker) => match arrive::admit(session, &live, checker) {
                Ok(Arrival::Control(hop)) => return self.control(session, context, &hop).await,
                Ok(Arrival::Request(pass, hop)) => {
                    self.arrived(context, hop);
                    self.let_in(context).await.map(|()| pass)
                }
                Err(denial) => {
                    self.metrics.hop(Hop::Refused);
                    Err(denial)
                }
            },
        };
        let header = session.req_header();
        let accepts = media::accepts(&header.headers);
        let admitted = admitted.and_then(|pass| {
            let caller = context.note_admitted(pass, &live.gate);
            self.trace_let_in(context);
            admit::message(header, accepts)?;
            Ok(caller)
        });
        match admitted {
            Ok(caller) => {
                let asker = Asker { accepts, caller: &caller, trace: None };
                self.answer(session, context, &live, asker).await
            }
            Err(denial) => {
                self.refuse(session, context, &denial, None).await?;
                Ok(Next::Answered)
            }
        }
    }

    async fn admit(
        &self,
        session: &ServerSession,
        context: &mut Context,
        live: &Live,
    ) -> Result<Destination, Denial> {
        self.let_in(context).await?;
        admit::admit(session, live, context.client_address).await
    }

    /// Answers something between replicas.
    async fn control(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        hop: &hop::Hop,
    ) -> Result<Next> {
        context.is_no_clients();
        let patience = self.limits.body_timeout;
        let body = tokio::time::timeout(patience, arrive::control_body(session)).await;
        let heard = match body.unwrap_or(Err(Refusal::BodyTimeout.into())) {
            Ok(body) => {
                let path = session.req_header().uri.path().to_owned();
                let heard = self.sessions.heard(&path, hop, &body).await;
                heard.map_err(|why| {
                    tracing::warn!(error = %Chain(&why), from = %hop.from, "a replica said what is not taken");
                    arrive::refused("message")
                })
            }
            Err(denial) => Err(denial),
        };
        match heard {
            Ok(answer) => {
                context.unremarkable = true;
                control(session, context, answer).await?;
            }
            Err(denial) => self.refuse(session, context, &denial, None).await?,
        }
        Ok(Next::Answered)
    }

    async fn answer(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        live: &Live,
        asker: Asker<'_>,
    ) -> Result<Next> {
        let principal = asker.caller.principal;
        let header = session.req_header();
        let aim = aim::aim(&self.sessions, header, principal, context.hop.as_deref());
        context.note_aim(&aim, &self.sessions, &header.headers, self.access_log.rules());
        if let Aim::Away(away) = aim {
            return self.pass_on(session, context, Forward::new(away)).await;
        }
        let method = header.method.clone();
        if method == Method::POST {
            return self.post(session, context, live, (asker, aim)).await;
        }
        context.era = Some("session");
        let headers = &session.req_header().headers;
        // The header tells more than the id: a version that nobody knows is refused first.
        let (id, chosen) = match (era::session(headers), aim) {
            (Ok(_), Aim::Session(id, chosen)) => (id, chosen),
            (_, aim) => {
                let reply = plan::no_session(headers, &aim, &self.metrics, context);
                return Ok(Next::Reply(Box::new(reply)));
            }
        };
        context.worker = Some(chosen.index);
        let last_event_id = headers.get(LAST_EVENT_ID).map(http::HeaderValue::as_bytes);
        let opens = method == Method::GET;
        let wish = if opens { Wish::Stream { last_event_id } } else { Wish::End };
        match plan::without_body((id, chosen), asker, wish, &self.sessions).await {
            Ok(reply) => Ok(Next::Reply(Box::new(reply))),
            Err(denial) => {
                self.refuse(session, context, &denial, None).await?;
                Ok(Next::Answered)
            }
        }
    }

    /// Has another replica serve the request, unless it has passed through too many.
    async fn pass_on(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        forward: Forward,
    ) -> Result<Next> {
        context.era = Some("session");
        if context.hops() >= self.sessions.cluster.hops_max() {
            self.metrics.hop(Hop::Looped);
            self.refuse(session, context, &Refusal::NotAgreed.into(), None).await?;
            return Ok(Next::Answered);
        }
        if body::declared_length(session).is_some_and(|length| length > self.limits.body_bytes_max)
        {
            self.refuse(session, context, &Refusal::BodyTooLarge.into(), None).await?;
            return Ok(Next::Answered);
        }
        // Who waits for leave to send its body gets it from us: the other replica is asked when we have it all.
        if body::awaits_continue(session) {
            session.write_continue_response().await?;
        }
        context.passed_on();
        context.forward = Some(Box::new(forward));
        Ok(Next::PassOn)
    }

    /// The worker's reply to a POST.
    async fn post(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        live: &Live,
        aimed: (Asker<'_>, Aim<'_>),
    ) -> Result<Next> {
        let body = match context.body.take() {
            Some(read_before) => Ok(Body::of(read_before)),
            None => body::read(session, &self.bodies, &self.limits).await,
        };
        let body = match body {
            Ok(body) => body,
            Err(refusal) => {
                self.refuse(session, context, &refusal.into(), None).await?;
                return Ok(Next::Answered);
            }
        };
        let headers = &session.req_header().headers;
        let parts = Parts::of(self, live);
        let running = match Plan::make(&body.bytes, headers, aimed, parts, context) {
            Ok(plan) => plan.run(),
            Err(Astray::Answered(answer)) => return Ok(Next::Reply(answer)),
            Err(Astray::Denied(denial, id_raw)) => {
                self.refuse(session, context, &denial, id_raw).await?;
                return Ok(Next::Answered);
            }
        };
        tokio::pin!(running);
        context.worker_begins();
        // The call runs in this task. While it waits, we listen for a client that leaves: dropping
        // the future is what stops the call.
        let ran = tokio::select! {
            biased;
            ran = &mut running => ran,
            gone = session.read_body_or_idle(true) => return left(gone),
        };
        context.worker_ended();
        match ran {
            Ok(reply) => Ok(Next::Reply(Box::new(reply))),
            Err((denial, id_raw)) => {
                self.refuse(session, context, &denial, id_raw).await?;
                Ok(Next::Answered)
            }
        }
    }
}

/// A state that a request does not get into.
#[expect(clippy::unnecessary_box_returns, reason = "Pingora's errors are boxed")]
fn nowhere() -> Box<Error> {
    Error::new(ErrorType::InternalError)
}

/// Spec: RFC 9112 §9.3. Version 1.0 keeps a connection only if asked to.
fn keeps_alive(header: &RequestHeader) -> bool {
    header.version != Version::HTTP_10
        || header
            .headers
            .get(header::CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
}
