//! Pingora's hooks: a request is answered in the first of them, or passed on to another replica by the rest.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, header};
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    modules::http::HttpModules,
    prelude::HttpPeer,
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
};

use super::{
    Edge,
    context::{Context, InFlight},
    forward::{self, Setback},
    noted, nowhere,
    recording::status,
};
use crate::{
    guard::Guarded,
    hop::{self, HOP},
    metrics::labels::{Hop, Outcome, RpcMethod},
    refusal::Refusal,
    request_id::RequestId,
    telemetry::in_request,
};

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
        let served =
            AssertUnwindSafe(in_request(self.serve(downstream, context))).catch_unwind().await;
        match served {
            Ok(served) => served,
            Err(_panic) => {
                self.panicked(downstream, context).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let forward = context.forward.as_mut().ok_or_else(nowhere)?;
        if let Some(ring) = forward.ring_refused.take() {
            self.sessions.cluster.ring_to_change(ring).await;
        }
        let peer = forward.way(&self.sessions).ok_or_else(nowhere)?;
        if forward.retried {
            self.metrics.hop(Hop::Retried);
        }
        // For the record: when tried once more it may be another than at first.
        context.owner = Some((forward.away.node.clone(), forward.away.worker));
        // Tried once more: Pingora gives the pieces of the body again from the first.
        forward.begin();
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let live = self.live.load();
        let pass = context.pass.as_ref().ok_or_else(nowhere)?;
        let caller = live.gate.traveller(pass);
        let hops = context.hops().saturating_add(1);
        let forward = context.forward.as_mut().ok_or_else(nowhere)?;
        forward.sent = false;
        forward.note_sent(session.is_body_empty());
        let hop = hop::Hop {
            from: self.sessions.cluster.me().clone(),
            to: forward.away.node.clone(),
            hops,
            request_id: context.id.as_ref().map_or("", RequestId::as_str).to_owned(),
            session: Some(forward.away.session.as_str().to_owned()),
            opens: forward.away.opens,
            caller,
            client: context.client_address,
            body_sha256: None,
            signer: hop::Signer::default(),
            trace: context.trace.as_ref().map(|traced| self.tracer.told_on(traced)),
        };
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        let signed = self.sessions.cluster.sign(&hop, method.as_str(), &path);
        let signed = signed.ok_or_else(nowhere)?.map_err(|error| {
            Error::because(ErrorType::InternalError, "a hop could not be signed", error)
        })?;
        if forward::strip(request) > forward::HEADERS_BYTES_MAX {
            forward.denied = Some(Refusal::HeadersTooLarge.into());
            return Err(not_passed_on());
        }
        request.insert_header(HOP, signed)?;
        let host = HeaderValue::from_str(forward.away.node.as_str());
        request.insert_header(header::HOST, host.map_err(|_invalid| nowhere())?)?;
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        piece: &mut Option<Bytes>,
        is_last: bool,
        context: &mut Context,
    ) -> Result<()> {
        let Some(mut forward) = context.forward.take() else { return Ok(()) };
        let held = forward.hold(piece.as_ref(), (&self.bodies, self.limits.body_bytes_max));
        // An empty piece is not sent; none at all would end the body.
        *piece = Some(Bytes::new());
        let passed = match held {
            Err(refusal) => Err(refusal.into()),
            Ok(()) if is_last => {
                let body = forward.completed();
                let passed =
                    self.may_pass(session.as_downstream_mut(), &body, context, &mut forward);
                forward.note_sent(passed.is_ok());
                *piece = Some(body);
                passed
            }
            Ok(()) => Ok(()),
        };
        let passed = passed.map_err(|denial| {
            forward.denied = Some(denial);
            not_passed_on()
        });
        context.forward = Some(forward);
        passed
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        let Some(forward) = &mut context.forward else { return Ok(()) };
        // It answers what it has not seen whole: the body did not come in time.
        if !forward.sent {
            forward.denied = Some(Refusal::BodyTimeout.into());
            return Err(not_passed_on());
        }
        forward.whole = None;
        let took = forward.sent_at.map(|sent| sent.elapsed());
        noted::note_from(answer, context);
        if context.passed.is_none() {
            // No edge of a replica has answered this: it did not take the hop.
            if let Some(forward) = &mut context.forward {
                tracing::warn!(node = %forward.away.node, status = answer.status.as_u16(), "a replica did not take what was passed on");
                forward.denied = Some(Refusal::ReplicaUnreachable.into());
            }
            self.metrics.hop(Hop::Failed);
            return Err(not_passed_on());
        }
        self.metrics.hop(Hop::Sent);
        if let Some(took) = took {
            self.metrics.hop_took(took);
        }
        // Who only waits takes nobody's share. When it ends is the other replica's to see.
        let streams = is_stream(answer);
        if streams && !answer.headers.contains_key(header::CONTENT_LENGTH) {
            context.stream = Some("relayed");
            self.record_open(session.as_downstream(), context, answer.status.as_u16());
        }
        let listens = context.rpc.as_ref().is_some_and(|rpc| rpc.method == RpcMethod::Listen);
        if streams && (listens || session.req_header().method == Method::GET) {
            drop(context.released());
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let Some(forward) = &mut context.forward else { return error };
        let mut setback = Setback::Failed;
        if forward::is_shut(&error) {
            setback = Setback::Shut;
            // The ring changes by this, if it has not changed already, and the session may be ours then.
            let membership = self.sessions.cluster.membership();
            let is_on_ring = membership.has(&forward.away.node);
            forward.ring_refused = is_on_ring.then(|| membership.ring.version());
            self.sessions.cluster.refused(&forward.away.node);
        }
        error.set_retry(forward.came_back(setback));
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        let Some(forward) = &mut context.forward else { return error };
        error.retry.decide_reuse(reused);
        let is_refused = error.retry() && *error.etype() == ErrorType::H2Error;
        let setback = if is_refused { Setback::Refused } else { Setback::Failed };
        let again = forward.came_back(setback)
            && forward.denied.is_none()
            && !forward::is_of_client(&error)
            && !session.as_downstream().retry_buffer_truncated();
        error.set_retry(again);
        error
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let downstream = session.as_downstream_mut();
        let body_done = downstream.is_body_done();
        if error.is_some() && !context.answered_despite {
            // Whatever was meant to be answered, it did not arrive.
            context.outcome = Outcome::ClientGone;
        } else if error.is_none() && context.forward.is_some() {
            context.outcome = context.passed.unwrap_or(Outcome::Ok);
        }
        self.record(downstream, context);
        // Bytes of a body that is still to be drained are no header.
        if let Some(guarded) = Guarded::of(downstream).filter(|_| body_done) {
            guarded.await_header();
        }
    }

    /// A client that leaves is no fault: nothing is written to it, and nothing is logged but its record. What another
    /// replica could not answer is answered here.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        let downstream = session.as_downstream_mut();
        if let Some(forward) = context.forward.take()
            && (forward.denied.is_some() || !forward::is_of_client(error))
            && status(downstream).is_none()
        {
            let rescued = self.rescue(downstream, context, (*forward, error));
            let rescued = AssertUnwindSafe(rescued).catch_unwind().await;
            context.answered_despite = matches!(rescued, Ok(Ok(())));
        }
        FailToProxy { error_code: 0, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Context,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    /// Constant: Pingora's own holds the path with its query.
    fn request_summary(&self, _: &Session, _: &Context) -> String {
        "request".to_owned()
    }
}

/// What ends passing on: not the other replica's doing, as Pingora goes on waiting for that one's answer otherwise.
#[expect(clippy::unnecessary_box_returns, reason = "Pingora's errors are boxed")]
fn not_passed_on() -> Box<Error> {
    Error::new_down(ErrorType::Custom("not passed on"))
}

fn is_stream(answer: &ResponseHeader) -> bool {
    answer
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
