//! Pingora's hooks: a request is answered in the first of them, or passed on to another replica by the rest.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, header};
use mcp_core::server::Asker;
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    modules::http::HttpModules,
    prelude::HttpPeer,
    protocols::http::ServerSession,
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
};

use super::{
    Edge, Next, admit,
    context::{Context, InFlight},
    forward::{self, Forward},
    noted,
    plan::{self, Astray, Parts},
    respond::refuse,
    status,
};
use crate::{
    guard::Guarded,
    hop::{self, HOP},
    media,
    metrics::labels::{Hop, Outcome},
    refusal::{Denial, Refusal},
    request_id::RequestId,
    sessions::Place,
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
        let served = AssertUnwindSafe(self.serve(downstream, context)).catch_unwind().await;
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
        if forward.retried && !self.find_again(forward) {
            return Err(nowhere());
        }
        // Tried once more: Pingora gives the pieces of the body again from the first.
        forward.body.clear();
        forward.unconnected = true;
        let peer = self.sessions.cluster.peer(&forward.away.node).ok_or_else(nowhere)?;
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
        let client = match &context.hop {
            Some(hop) => hop.client,
            None => admit::client(session.as_downstream(), &live),
        };
        let forward = context.forward.as_mut().ok_or_else(nowhere)?;
        forward.unconnected = false;
        forward.sent = session.is_body_empty();
        let hop = hop::Hop {
            from: self.sessions.cluster.me(),
            to: forward.away.node.clone(),
            hops,
            request_id: context.id.as_ref().map_or("", RequestId::as_str).to_owned(),
            session: Some(forward.away.session.as_str().to_owned()),
            opens: forward.away.opens,
            caller,
            client,
            body_sha256: None,
        };
        let (method, path) = (request.method.clone(), request.uri.path().to_owned());
        let signed = self.sessions.cluster.sign(&hop, method.as_str(), &path);
        let signed = signed.ok_or_else(nowhere)?.map_err(|error| {
            Error::because(ErrorType::InternalError, "a hop could not be signed", error)
        })?;
        forward::strip(request);
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
        let held = forward::hold(&mut forward, piece.as_ref(), self.limits.body_bytes_max);
        // An empty piece is not sent; none at all would end the body.
        *piece = Some(Bytes::new());
        let passed = match held {
            Err(forward::TooLarge) => Err(Refusal::BodyTooLarge.into()),
            Ok(()) if is_last => {
                let body = forward.body.split().freeze();
                let passed =
                    self.may_pass(session.as_downstream_mut(), &body, context, &mut forward);
                forward.sent |= passed.is_ok();
                *piece = Some(body);
                passed
            }
            Ok(()) => Ok(()),
        };
        let refused = passed.is_err();
        if let Err(denial) = passed {
            forward.denied = Some(denial);
        }
        context.forward = Some(forward);
        if refused { Err(Error::new(ErrorType::Custom("not passed on"))) } else { Ok(()) }
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        self.metrics.hop(Hop::Sent);
        noted::note_from(answer, context);
        // Who only waits takes nobody's share. When it ends is the other replica's to see.
        if is_stream(answer) && session.req_header().method == Method::GET {
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
        if forward::is_shut(&error) {
            // The ring changes by this, and the session may be ours then.
            forward.ring_refused = Some(self.sessions.cluster.membership().ring.version());
            self.sessions.cluster.refused(&forward.away.node);
        }
        self.try_again(forward, !forward.retried, &mut error);
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        _reused: bool,
    ) -> Box<Error> {
        let Some(forward) = &mut context.forward else { return error };
        // The other side says itself that it has not begun, or nothing has been sent that it could have begun with.
        let untouched = error.retry() || !forward.sent;
        let again = untouched
            && !forward::is_of_client(&error)
            && forward.denied.is_none()
            && forward::can_be_repeated(session.as_downstream(), forward);
        self.try_again(forward, again, &mut error);
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
            && !forward::is_of_client(error)
            && status(downstream).is_none()
        {
            let rescued =
                AssertUnwindSafe(self.rescue(downstream, context, *forward)).catch_unwind().await;
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

impl Edge {
    async fn panicked(&self, session: &mut ServerSession, context: &mut Context) -> Result<()> {
        self.metrics.panicked();
        context.outcome = Outcome::Internal;
        session.set_keepalive(None);
        if status(session).is_none() {
            refuse(session, context, &Refusal::Internal.into(), None).await?;
        }
        Ok(())
    }

    /// Looks at a message before it is passed on.
    fn may_pass(
        &self,
        session: &ServerSession,
        body: &Bytes,
        context: &mut Context,
        forward: &mut Forward,
    ) -> Result<(), Denial> {
        // GET and DELETE have no message.
        if body.is_empty() && session.req_header().method != Method::POST {
            return Ok(());
        }
        let live = self.live.load_full();
        let parts = Parts { sessions: &self.sessions, metrics: &self.metrics, gate: &live.gate };
        match plan::read(body, &session.req_header().headers, parts, context) {
            Ok(_) => Ok(()),
            Err(Astray::Denied(denial, id_raw)) => {
                forward.id_raw = id_raw.map(Into::into);
                Err(denial)
            }
            Err(Astray::Answered(reply)) => {
                *forward.answered.lock() = Some(reply);
                Err(Refusal::Internal.into())
            }
        }
    }

    /// Has Pingora try once more, or not.
    fn try_again(&self, forward: &mut Forward, again: bool, error: &mut Error) {
        forward.retried = true;
        if again {
            self.metrics.hop(Hop::Retried);
        }
        error.set_retry(again);
    }

    /// Asks the ring again who serves the request. `false` when that is not another replica.
    fn find_again(&self, forward: &mut Forward) -> bool {
        match self.sessions.place(&forward.away.session) {
            Some(Place::There(node, worker)) => {
                (forward.away.node, forward.away.worker) = (node, worker);
                true
            }
            Some(Place::Here(_)) | None => false,
        }
    }

    /// Answers what another replica could not.
    async fn rescue(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        forward: Forward,
    ) -> Result<()> {
        session.set_keepalive(None);
        if let Some(reply) = forward.answered.into_inner() {
            return self.reply(session, context, *reply).await;
        }
        if let Some(denial) = forward.denied {
            return self.refuse(session, context, &denial, forward.id_raw.as_deref()).await;
        }
        self.metrics.hop(Hop::Failed);
        // Nothing was read of it: if the session is ours by now, we serve it.
        if forward.unconnected
            && matches!(self.sessions.place(&forward.away.session), Some(Place::Here(_)))
        {
            return self.serve_after_all(session, context).await;
        }
        let refusal = if forward.sent { Refusal::ReplicaGone } else { Refusal::ReplicaUnreachable };
        self.refuse(session, context, &refusal.into(), None).await
    }

    /// Serves a request whose session became ours while it was to be passed on.
    async fn serve_after_all(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
    ) -> Result<()> {
        let live = self.live.load_full();
        let Some(caller) = context.pass.as_ref().map(|pass| pass.caller.clone()) else {
            return Err(nowhere());
        };
        let asker =
            Asker { accepts: media::accepts(&session.req_header().headers), caller: &caller };
        match Box::pin(self.answer(session, context, &live, asker)).await? {
            Next::Reply(reply) => self.reply(session, context, *reply).await,
            Next::Answered => Ok(()),
            Next::PassOn => {
                self.refuse(session, context, &Refusal::ReplicaUnreachable.into(), None).await
            }
        }
    }
}

fn is_stream(answer: &ResponseHeader) -> bool {
    answer
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

#[expect(clippy::unnecessary_box_returns, reason = "Pingora's errors are boxed")]
fn nowhere() -> Box<Error> {
    Error::new(ErrorType::InternalError)
}
