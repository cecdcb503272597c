//! The edge: one request from its header to its record.
//!
//! Order of a request: rate of its address → hygiene (framing, target, host) → path → origin → token → policy →
//! rate of its principal → method → media types → body → message → era → tool → worker → answer → record. What
//! comes first is cheaper to check or guards what comes after it: framing before anything is believed, the
//! host before a path is told apart, the caller before a body is read.

mod admit;

mod body;

mod context;

mod plan;

mod respond;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use http::{Method, Version, header};
use mcp_core::{
    call::Call,
    config::BackendName,
    server::{Asker, Reply},
};
use pingora::{
    Error, ErrorType, Result,
    http::RequestHeader,
    modules::http::HttpModules,
    prelude::HttpPeer,
    protocols::http::ServerSession,
    proxy::{FailToProxy, ProxyHttp, Session},
};
use tokio::sync::watch;

pub(crate) use self::body::Bodies;
use self::{
    admit::Destination,
    context::{Context, InFlight},
    plan::{Astray, Parts, Plan, session_owner},
    respond::{StreamTerms, document, left, refuse, reply},
};
use crate::{
    access_log::{AccessLog, Record},
    config::HttpLimits,
    guard::Guarded,
    live::{Current, Live},
    media,
    metrics::{
        Metrics,
        labels::{HttpMethod, Outcome},
    },
    refusal::{Denial, Refusal},
    request_id::{RequestId, RequestIds},
    workers::Workers,
};

/// Everything that serving a request needs.
#[derive(Debug)]
pub struct Edge {
    /// Bounds of the listener.
    pub limits: HttpLimits,
    /// The settings that a reload replaces.
    pub live: Current,
    /// The workers.
    pub workers: Arc<Workers>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where records go.
    pub access_log: AccessLog,
    /// Names for requests that come without one.
    pub request_ids: RequestIds,
    /// Bodies that are arriving.
    pub(crate) bodies: Arc<Bodies>,
    /// Requests in service.
    pub in_flight: Arc<AtomicUsize>,
    /// Turns true when the process begins to stop.
    pub drain: watch::Receiver<bool>,
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
        context.id = Some(id.unwrap_or_else(|| self.request_ids.next()));
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

    async fn serve(&self, session: &mut ServerSession, context: &mut Context) -> Result<()> {
        self.begin(session, context);
        // Boxed: a stream carries the size of this future for as long as it lasts, and finding the
        // answer is over by then.
        let answer = Box::pin(self.answer(session, context)).await?;
        let Some(answer) = answer else { return Ok(()) };
        let terms = StreamTerms { metrics: &self.metrics, drain: self.drain.clone() };
        reply(session, context, answer, terms).await
    }

    /// A worker's reply; `None` when the request is answered already.
    async fn answer(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
    ) -> Result<Option<Reply>> {
        let live = self.live.load_full();
        let admitted = match admit::admit(session, &live).await {
            Ok(Destination::Document(served)) => {
                document(session, context, served).await?;
                return Ok(None);
            }
            Ok(Destination::Caller(pass)) => Ok(context.pass.insert(pass).caller.clone()),
            Err(denial) => Err(denial),
        };
        let header = session.req_header();
        let (method, accepts) = (header.method.clone(), media::accepts(&header.headers));
        let admitted = admitted.and_then(|caller| {
            admit::message(header, accepts)?;
            Ok(caller)
        });
        let caller = match admitted {
            Ok(caller) => caller,
            Err(denial) => {
                self.refuse(session, context, &denial, None).await?;
                return Ok(None);
            }
        };
        if method == Method::POST {
            let asker = Asker { accepts, caller: &caller };
            return self.post(session, context, &live, asker).await;
        }
        let owner = session_owner(&session.req_header().headers, self.parts(&live), context);
        Ok(Some(match owner {
            Ok((id, chosen)) if method == Method::GET => {
                let last_event_id = session.req_header().headers.get("last-event-id");
                let last_event_id = last_event_id.map(http::HeaderValue::as_bytes);
                chosen.worker.open_stream(&id, &caller, last_event_id)
            }
            Ok((id, chosen)) => chosen.worker.close(&id, &caller),
            Err(refused) => *refused,
        }))
    }

    /// The worker's reply to a POST; `None` when the request is answered already.
    async fn post(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        live: &Live,
        asker: Asker<'_>,
    ) -> Result<Option<Reply>> {
        let body = match body::read(session, &self.bodies, &self.limits).await {
            Ok(body) => body,
            Err(refusal) => {
                self.refuse(session, context, &refusal.into(), None).await?;
                return Ok(None);
            }
        };
        let headers = &session.req_header().headers;
        let parts = self.parts(live);
        let running = match Plan::make(&body.bytes, headers, asker, parts, context) {
            Ok(plan) => plan.run(),
            Err(Astray::Answered(answer)) => return Ok(Some(*answer)),
            Err(Astray::Denied(denial, id_raw)) => {
                self.refuse(session, context, &denial, id_raw).await?;
                return Ok(None);
            }
        };
        tokio::pin!(running);
        // The call runs in this task. While it waits, we listen for a client that leaves: dropping
        // the future is what stops the call.
        tokio::select! {
            biased;
            answer = &mut running => Ok(Some(answer)),
            gone = session.read_body_or_idle(true) => left(gone),
        }
    }

    fn parts<'a>(&'a self, live: &'a Live) -> Parts<'a> {
        Parts { workers: &self.workers, metrics: &self.metrics, gate: &live.gate }
    }

    async fn refuse(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        denial: &Denial,
        id_raw: Option<&str>,
    ) -> Result<()> {
        let refusal = denial.refusal;
        context.outcome = refusal.outcome();
        context.reason = denial.why();
        if let Some(reason) = refusal.reason() {
            self.metrics.rejected(reason);
        }
        if let Some(limit) = denial.limit() {
            self.metrics.limit_reached(limit);
        }
        // Who waits for leave to send its body may send none, now that it was refused.
        let awaits_leave = body::awaits_continue(session);
        if awaits_leave {
            session.set_keepalive(None);
        }
        refuse(session, context, denial, id_raw).await?;
        if !awaits_leave && refusal.leaves_body() && !body::discard(session).await {
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn record(&self, session: &ServerSession, context: &Context) {
        let header = session.req_header();
        let status = status(session);
        let took = context.started.elapsed();
        let method = HttpMethod::from(&header.method);
        self.metrics.request_finished(method, status.unwrap_or(0), context.outcome, took);
        if !self.access_log.is_on() {
            return;
        }
        let rpc = context.rpc.as_ref();
        self.access_log.write(&Record {
            time: SystemTime::now(),
            request_id: context.id.as_ref().map_or("", RequestId::as_str),
            method: header.method.as_str(),
            path: header.raw_path(),
            http_version: header.version,
            status,
            duration: took,
            bytes_in: wide(session.body_bytes_read()),
            bytes_out: wide(session.body_bytes_sent()),
            peer: session.client_addr().and_then(|address| address.as_inet().copied()),
            user_agent: header.headers.get(header::USER_AGENT).map(http::HeaderValue::as_bytes),
            rpc_method: rpc.and_then(context::Rpc::name),
            tool: rpc.and_then(|rpc| rpc.tool.as_deref()),
            backend: context.call.as_ref().and_then(Call::backend).map(BackendName::as_str),
            worker: context.worker.map(|worker| worker.0),
            era: context.era,
            outcome: context.outcome,
            reason: context.reason,
            headers: self.access_log.shown(&header.headers),
        });
    }
}

/// Spec: RFC 9112 §9.3. Version 1.0 keeps a connection only if asked to.
fn keeps_alive(header: &RequestHeader) -> bool {
    header.version != Version::HTTP_10
        || header
            .headers
            .get(header::CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
}

/// The status answered; none while only a 100 was.
fn status(session: &ServerSession) -> Option<u16> {
    let written = session.response_written().map(|answer| answer.status);
    written.filter(|status| !status.is_informational()).map(|status| status.as_u16())
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Pingora's hooks. Every request is answered in `request_filter`; nothing is forwarded.
#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(InFlight::enter(&self.in_flight), self.metrics.request_started())
    }

    /// None: Pingora's default adds a compression module that every request would carry along.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        let downstream = session.as_downstream_mut();
        // Pingora drops the connection of a filter that panics, without answer and record.
        let served = AssertUnwindSafe(self.serve(downstream, context)).catch_unwind().await;
        match served {
            Ok(served) => served?,
            Err(_panic) => {
                self.metrics.panicked();
                context.outcome = Outcome::Internal;
                downstream.set_keepalive(None);
                if status(downstream).is_none() {
                    refuse(downstream, context, &Refusal::Internal.into(), None).await?;
                }
            }
        }
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Context) -> Result<Box<HttpPeer>> {
        // Not reached: `request_filter` answers every request.
        Err(Error::new(ErrorType::InternalError))
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let downstream = session.as_downstream_mut();
        let body_done = downstream.is_body_done();
        if error.is_some() {
            // Whatever was meant to be answered, it did not arrive.
            context.outcome = Outcome::ClientGone;
        }
        self.record(downstream, context);
        // Bytes of a body that is still to be drained are no header.
        if let Some(guarded) = Guarded::of(downstream).filter(|_| body_done) {
            guarded.await_header();
        }
    }

    /// A client that leaves is no fault: nothing is written to it, and nothing is logged but its record.
    async fn fail_to_proxy(&self, _: &mut Session, _: &Error, _: &mut Context) -> FailToProxy {
        FailToProxy { error_code: 0, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    /// Constant: Pingora's own holds the path with its query.
    fn request_summary(&self, _: &Session, _: &Context) -> String {
        "request".to_owned()
    }
}
