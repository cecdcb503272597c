//! What becomes of a request that cannot be passed on as it should.

use bytes::Bytes;
use http::Method;
use mcp_core::server::Asker;
use pingora::{Error, Result, protocols::http::ServerSession};

use super::{
    Edge, Next,
    context::Context,
    forward::Forward,
    nowhere,
    plan::{self, Astray, Parts},
    recording::status,
    respond::refuse,
};
use crate::{
    media,
    metrics::labels::Outcome,
    refusal::{Denial, Refusal},
    sessions::Place,
    telemetry::Chain,
};

impl Edge {
    pub(super) async fn panicked(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
    ) -> Result<()> {
        self.metrics.panicked();
        context.outcome = Outcome::Internal;
        session.set_keepalive(None);
        if status(session).is_none() {
            refuse(session, context, &Refusal::Internal.into(), None).await?;
        }
        Ok(())
    }

    /// Looks at a message before it is passed on.
    pub(super) fn may_pass(
        &self,
        session: &ServerSession,
        body: &Bytes,
        context: &mut Context,
        forward: &mut Forward,
    ) -> Result<(), Denial> {
        // Tried once more, and looked at before. GET and DELETE have no message.
        if context.is_looked_at {
            return Ok(());
        }
        if body.is_empty() && session.req_header().method != Method::POST {
            return Ok(());
        }
        let live = self.live.load_full();
        let parts = Parts::of(self, &live);
        match plan::read(body, &session.req_header().headers, parts, context) {
            Ok(_) => {
                context.is_looked_at = true;
                Ok(())
            }
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

    /// Answers what another replica could not, and why.
    pub(super) async fn rescue(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        (mut forward, error): (Forward, &Error),
    ) -> Result<()> {
        session.set_keepalive(None);
        if let Some(reply) = forward.answered.get_mut().take() {
            return self.reply(session, context, *reply).await;
        }
        if let Some(denial) = forward.denied {
            return self.refuse(session, context, &denial, forward.id_raw.as_deref()).await;
        }
        // If the session is ours by now, we serve it.
        if forward.is_servable()
            && matches!(self.sessions.place(&forward.away.session), Some(Place::Here(_)))
        {
            context.body = forward.whole.take();
            return self.serve_after_all(session, context).await;
        }
        tracing::warn!(
            node = %forward.away.node,
            error = %Chain(error),
            sent = forward.sent,
            retried = forward.retried,
            "a request could not be passed on"
        );
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
        let accepts = media::accepts(&session.req_header().headers);
        let asker = Asker { accepts, caller: &caller, trace: None };
        match Box::pin(self.answer(session, context, &live, asker)).await? {
            Next::Reply(reply) => self.reply(session, context, *reply).await,
            Next::Answered => Ok(()),
            Next::PassOn => {
                self.refuse(session, context, &Refusal::ReplicaUnreachable.into(), None).await
            }
        }
    }
}
