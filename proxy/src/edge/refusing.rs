//! A request that is refused: what is noted, counted and answered.

use pingora::{Result, protocols::http::ServerSession};

use super::{Edge, body, context::Context, respond::refuse};
use crate::{
    access_log::Admission,
    refusal::{Denial, Refusal},
};

impl Edge {
    /// Makes sure that there is room for the request's record, before anything of it is served. Where the log says so,
    /// that may take a while.
    pub(super) async fn let_in(&self, context: &mut Context) -> Result<(), Denial> {
        match self.access_log.admit().await {
            Ok(admission) => {
                context.admission = admission;
                Ok(())
            }
            Err(_unrecordable) => {
                context.admission = Admission::refused();
                Err(Denial { why: Some("audit_unavailable"), ..Refusal::Unrecordable.into() })
            }
        }
    }

    /// Notes, counts and answers a refusal; `id_raw` is the id of the message, where that was read.
    pub(super) async fn refuse(
        &self,
        session: &mut ServerSession,
        context: &mut Context,
        denial: &Denial,
        id_raw: Option<&str>,
    ) -> Result<()> {
        let refusal = denial.refusal;
        context.note_denial(denial);
        context.note_error_code(Some(refusal.rpc_code()));
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
}
