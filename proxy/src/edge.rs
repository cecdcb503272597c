//! The edge: one request from its header to its record.
//!
//! Order of a request: hygiene (framing, target, host) → path → origin → method → media types → body →
//! message → era → worker → answer → record. What comes first is cheaper to check or guards what comes
//! after it: framing before anything is believed, the host before a path is told apart, the origin before
//! a body is read.

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
use http::{Method, header};
use mcp_core::{
    call::Call,
    config::BackendName,
    server::{Accepts, Reply, era},
};
use pingora::{
    Error, ErrorType, Result,
    modules::http::HttpModules,
    prelude::HttpPeer,
    protocols::http::{ServerSession, v1::server::HttpSession as SessionV1},
    proxy::{FailToProxy, ProxyHttp, Session},
};
use tokio::sync::watch;

use self::{
    context::{Context, InFlight},
    plan::{Plan, session_owner},
    respond::{StreamTerms, left, refuse, reply},
};
use crate::{
    access_log::{AccessLog, Record},
    config,
    guard::Guarded,
    hygiene, media,
    metrics::{
        Metrics,
        labels::{HttpMethod, Limit, Outcome},
    },
    refusal::Refusal,
    request_id::{RequestId, RequestIds},
    workers::Workers,
};

/// Everything that serving a request needs.
#[derive(Debug)]
pub struct Edge {
    /// Settings of the listener.
    pub http: config::Http,
    /// The workers.
    pub workers: Arc<Workers>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where records go.
    pub access_log: AccessLog,
    /// Names for requests that come without one.
    pub request_ids: RequestIds,
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
        let limits = &self.http.limits;
        // Pingora's own value for a client that asks for keep-alive is "for ever".
        let keep_alive = (!*self.drain.borrow()).then(|| limits.idle_timeout.as_secs().max(1));
        session.set_keepalive(keep_alive);
        session.set_write_timeout(Some(limits.write_timeout));
        // A next request that arrives early must not end this one.
        session.set_pipelining_enabled(true);
        // A refusal before the body was read must not cost the connection: the rest is drained.
        session.set_close_on_response_before_downstream_finish(false);
        session.set_total_drain_timeout(Some(limits.body_timeout));
    }

    fn admit(&self, session: &ServerSession) -> Result<(), Refusal> {
        let header = session.req_header();
        let raw_header = || session.as_http1().map(SessionV1::get_headers_raw_bytes);
        hygiene::check_framing(&header.headers, || raw_header().unwrap_or_default())?;
        let host = hygiene::check_target(header, header.raw_path())?;
        if !hygiene::host_is_allowed(&self.http.allowed_hosts, host) {
            return Err(Refusal::HostForbidden);
        }
        let path = header.uri.path();
        if path.strip_suffix('/').unwrap_or(path) != self.http.path {
            return Err(Refusal::Path);
        }
        hygiene::check_origin(&self.http.allowed_origins, &header.headers)?;
        match header.method {
            Method::POST => media::check_content(&header.headers),
            Method::GET | Method::DELETE if era::names_stateless_version(&header.headers) => {
                Err(Refusal::MethodOfEra)
            }
            Method::GET | Method::DELETE => Ok(()),
            _ => Err(Refusal::Method),
        }
    }

    async fn serve(&self, session: &mut ServerSession, context: &mut Context) -> Result<()> {
        self.begin(session, context);
        if let Err(refusal) = self.admit(session) {
            return self.refuse(session, context, refusal).await;
        }
        let accepts = media::accepts(&session.req_header().headers);
        let parts = (&*self.workers, &*self.metrics);
        let answer = match session.req_header().method {
            Method::POST if !accepts.json && !accepts.sse => {
                return self.refuse(session, context, Refusal::NotAcceptable).await;
            }
            Method::POST => match self.post(session, context, accepts).await? {
                Some(answer) => answer,
                None => return Ok(()),
            },
            Method::GET if !accepts.sse => {
                return self.refuse(session, context, Refusal::NotAcceptable).await;
            }
            Method::GET => match session_owner(&session.req_header().headers, parts, context) {
                Ok((id, chosen)) => chosen.worker.open_stream(&id),
                Err(refused) => *refused,
            },
            _ => match session_owner(&session.req_header().headers, parts, context) {
                Ok((id, chosen)) => chosen.worker.close(&id),
                Err(refused) => *refused,
            },
        };
        let terms = StreamTerms { metrics: &self.metrics, drain: self.drain.clone() };
        reply(session, context, answer, terms).await
    }

    /// The worker's reply to a POST; `None` when the request was refused and answered.
    async fn post(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        accepts: Accepts,
    ) -> Result<Option<Reply>> {
        let limits = &self.http.limits;
        let body = match body::read(session, limits.body_bytes_max, limits.body_timeout).await {
            Ok(body) => body,
            Err(refusal) => {
                self.refuse(session, context, refusal).await?;
                return Ok(None);
            }
        };
        let headers = &session.req_header().headers;
        let parts = (&*self.workers, &*self.metrics);
        let plan = match Plan::make(&body, headers, accepts, parts, context) {
            Ok(plan) => plan,
            Err(answer) => return Ok(Some(*answer)),
        };
        // The call runs in this task. While it waits, we listen for a client that leaves: dropping
        // the future is what stops the call.
        let running = plan.run();
        tokio::pin!(running);
        tokio::select! {
            biased;
            answer = &mut running => Ok(Some(answer)),
            gone = session.read_body_or_idle(true) => left(gone),
        }
    }

    async fn refuse(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        refusal: Refusal,
    ) -> Result<()> {
        context.outcome = refusal.outcome();
        if let Some(reason) = refusal.reason() {
            self.metrics.rejected(reason);
        }
        if let Some(limit) = refusal.limit() {
            self.metrics.limit_reached(limit);
        }
        refuse(session, context, refusal).await
    }

    fn record(&self, session: &ServerSession, context: &Context) {
        let header = session.req_header();
        let status = session.response_written().map(|answer| answer.status.as_u16());
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
            headers: self.access_log.shown(&header.headers),
        });
    }
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
                if downstream.response_written().is_none() {
                    refuse(downstream, context, Refusal::Internal).await?;
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
        if error.is_some_and(|error| *error.etype() == ErrorType::WriteTimedout) {
            self.metrics.limit_reached(Limit::WriteTime);
        }
        self.record(downstream, context);
        if let Some(guarded) = Guarded::of(downstream) {
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
