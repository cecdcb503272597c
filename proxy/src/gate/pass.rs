//! A caller's leave to be here, and when it ends.

use std::{sync::Arc, time::SystemTime};

use jsonwebtoken_jwks::{policy::LEEWAY_MAX, verifier::Accepted};
use mcp_core::{
    access::{Access, Caller},
    principal::PrincipalId,
};
use tokio_util::sync::CancellationToken;

use crate::{hop::Rules, limits::Permit, policy::Admitted};

/// A caller who was let in. Dropping it gives back its place among the calls in flight.
#[derive(Debug)]
pub struct Pass {
    /// Who calls, and what may be used.
    pub caller: Caller,
    /// The token and what was made of it; none for a caller without.
    pub accepted: Option<Arc<Accepted<Admitted>>>,
    /// What another replica says that let the caller in; none for one who came here itself.
    pub(super) sent: Option<Sent>,
    /// Under which name the caller's share is counted.
    pub(super) counted: Option<PrincipalId>,
    pub(super) permit: Option<Permit>,
    /// Ends with the gate.
    pub(super) retired: CancellationToken,
}

/// A caller whom another replica let in.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The rules that hold for it there.
    pub(super) rules: Rules,
    /// When its token has run out.
    pub(super) until: Option<SystemTime>,
}

/// A caller's part of what there is.
pub(super) struct Share {
    pub(super) counted: Option<PrincipalId>,
    pub(super) permit: Option<Permit>,
}

/// When a stream that only waits must end.
#[derive(Debug)]
pub(crate) struct Leave {
    /// When the token has run out under every policy, so that who comes back with it is refused.
    pub(crate) until: Option<SystemTime>,
    /// When the configuration that let the caller in is another: who comes back is judged by the new one.
    pub(crate) retired: CancellationToken,
}

impl Pass {
    pub(super) fn without_token(
        access: Arc<Access>,
        share: Share,
        retired: CancellationToken,
    ) -> Self {
        let Share { counted, permit } = share;
        Self {
            caller: Caller { access, ..Caller::anyone() },
            accepted: None,
            sent: None,
            permit,
            counted,
            retired,
        }
    }

    /// Gives back the place among the calls in flight, for a stream that only waits. Returns when the stream
    /// must end.
    pub(crate) fn release(&mut self) -> Leave {
        self.permit = None;
        Leave { until: self.until(), retired: self.retired.clone() }
    }

    /// When the caller's token has run out under every policy; none for a caller without.
    pub(super) fn until(&self) -> Option<SystemTime> {
        if let Some(sent) = &self.sent {
            return sent.until;
        }
        let expires = self.accepted.as_ref().and_then(|accepted| accepted.verified.expires);
        expires.and_then(|expires| expires.checked_add(LEEWAY_MAX))
    }
}
