//! Refusals of the gate: what is answered, and what their records say.

use std::{net::IpAddr, sync::Arc};

use jsonwebtoken_jwks::{
    refused::{Reason, Refused},
    verifier::Accepted,
};

use super::{Gate, forgery::is_forgery};
use crate::{
    limits::Exceeded,
    policy::{Admitted, Denied},
    refusal::{Denial, Refusal},
};

/// Most scopes of a token that a challenge repeats, so that there is room for those that are missing.
const HELD_SCOPES_MAX: usize = 16;

impl Gate {
    pub(super) fn token_missing(&self) -> Denial {
        Denial {
            why: Some("no_token"),
            challenge: Some(self.challenges.missing.clone()),
            ..Refusal::TokenMissing.into()
        }
    }

    pub(super) fn token_refused(&self, refused: Refused, address: Option<IpAddr>) -> Denial {
        let why = Some(refused.reason.word());
        if refused.reason == Reason::KeysUnavailable {
            let retry_after = refused.retry_after;
            return Denial { why, retry_after, ..Refusal::TokenUncheckable.into() };
        }
        if let Some(address) =
            address.filter(|_| is_forgery(refused.reason) || refused.claim == Some("iss"))
        {
            self.limits.failed(address);
        }
        let challenge = Some(self.challenges.refused.clone());
        Denial { why, challenge, ..Refusal::TokenRefused.into() }
    }

    pub(super) fn denied(&self, accepted: &Accepted<Admitted>, denied: &Denied) -> Denial {
        match denied {
            Denied::Scopes(missing) => self.scope_missing(accepted, missing),
            Denied::Condition { .. } | Denied::ConditionFailed(_) | Denied::Issuer => Denial {
                why: Some(denied.word()),
                identity: Some(Arc::clone(&accepted.judgement.identity)),
                rule: denied.place().cloned(),
                ..Refusal::Forbidden.into()
            },
        }
    }

    /// Names the scopes that the token has as well: a client that asks for the others alone would lose these.
    pub(super) fn scope_missing(
        &self,
        accepted: &Accepted<Admitted>,
        missing: &[String],
    ) -> Denial {
        let held = accepted.judgement.principal.scopes.iter().take(HELD_SCOPES_MAX);
        let challenge = self.challenges.insufficient_scope(held.chain(missing));
        Denial {
            why: Some("insufficient_scope"),
            challenge: Some(challenge),
            identity: Some(Arc::clone(&accepted.judgement.identity)),
            ..Refusal::ScopeMissing.into()
        }
    }
}

pub(super) fn tool_forbidden() -> Denial {
    Denial { why: Some("tool_forbidden"), ..Refusal::ToolForbidden.into() }
}

pub(super) fn limited(exceeded: Exceeded) -> Denial {
    let Exceeded { limit, retry_after } = exceeded;
    Denial {
        limit: Some(limit),
        retry_after: Some(retry_after),
        why: Some(crate::metrics::labels::Label::label(limit)),
        ..Refusal::RateLimited.into()
    }
}
