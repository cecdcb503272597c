//! Who is let in: from the headers of a request to a caller, or to a refusal.
//!
//! Order: token → its issuer, signature and claims → scopes and conditions → rate and calls in flight. A
//! caller's tools are asked for later, where the tool is known.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use http::HeaderMap;
use jsonwebtoken_jwks::{
    bearer::Place,
    jwks::Jwks,
    policy::LEEWAY_MAX,
    refused::{Reason, Refused},
    verified::Verified,
    verifier::{Accepted, Issuer, Verifier},
};
use mcp_core::{
    access::{Access, Caller},
    principal::Principal,
};

use crate::{
    challenge::Challenges,
    config::{Authentication, Config, Verification},
    limits::{Exceeded, Limits, Permit},
    metrics::{Metrics, labels::TokenOutcome},
    policy::{Admitted, Denied, Failure, Fault, Policy},
    refusal::{Denial, Refusal},
    telemetry::Chain,
};

/// Most scopes of a token that a challenge repeats, so that there is room for those that are missing.
const HELD_SCOPES_MAX: usize = 16;

/// Lets callers in, or not.
#[derive(Debug)]
pub struct Gate {
    /// None: everyone is let in, as the configuration says in words.
    tokens: Option<Tokens>,
    policy: Arc<Policy>,
    limits: Arc<Limits>,
    challenges: Challenges,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Tokens {
    place: Place,
    verifier: Verifier<Admitted>,
}

/// What is known of a request before it is known who sends it.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'r> {
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// Query of its target.
    pub query: Option<&'r str>,
    /// Address of the client.
    pub address: Option<IpAddr>,
    /// Whether the connection comes from a trusted proxy.
    pub peer_is_trusted: bool,
}

/// A caller who was let in. Dropping it gives back its place among the calls in flight.
#[derive(Debug)]
pub struct Pass {
    /// Who calls, and what may be used.
    pub caller: Caller,
    /// The token and what was made of it; none for a caller without.
    pub accepted: Option<Arc<Accepted<Admitted>>>,
    permit: Option<Permit>,
}

impl Pass {
    fn without_token(access: Arc<Access>) -> Self {
        Self { caller: Caller { principal: None, access }, accepted: None, permit: None }
    }

    /// Gives back the place among the calls in flight, for a stream that only waits. Returns when the stream
    /// must end: when the token has run out under every policy, so that who comes back with it is refused.
    pub(crate) fn release(&mut self) -> Option<SystemTime> {
        self.permit = None;
        self.accepted.as_ref()?.verified.expires?.checked_add(LEEWAY_MAX)
    }
}

impl Gate {
    /// The gate of a configuration; `keys` are those of its issuers, in their order.
    ///
    /// # Errors
    /// All conditions and rules that are not well formed.
    pub fn new(
        config: &Config,
        keys: Vec<Option<Arc<Jwks>>>,
        limits: Arc<Limits>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Vec<Fault>> {
        let (place, verification) = match &config.authentication {
            Authentication::None => (Place::Authorization, None),
            Authentication::Local(verification) => (Place::Authorization, Some(verification)),
            Authentication::External { header, verification } => {
                (Place::Forwarded(header.clone()), Some(verification))
            }
        };
        let policy = Arc::new(Policy::new(verification, &config.authorization)?);
        let scopes = verification.map(needed_scopes).unwrap_or_default();
        let challenges = Challenges::new(config.protected_resource.as_ref(), &scopes);
        let tokens = verification.map(|verification| {
            let verifier = verifier(verification, keys, Arc::clone(&policy));
            Tokens { place, verifier }
        });
        Ok(Self { tokens, policy, limits, challenges, metrics })
    }

    /// Whether everyone is let in.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.tokens.is_none()
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    /// The refusal, when the address has used up its share.
    pub fn address(&self, address: Option<IpAddr>) -> Result<(), Denial> {
        address.map_or(Ok(()), |address| self.limits.address(address)).map_err(limited)
    }

    /// Lets a caller in.
    ///
    /// # Errors
    /// The refusal, with its challenge.
    pub async fn admit(&self, visitor: Visitor<'_>) -> Result<Pass, Denial> {
        let Some(tokens) = &self.tokens else {
            return Ok(Pass::without_token(self.policy.unauthenticated()));
        };
        let Some(token) = self.token(tokens, visitor)? else {
            return match self.policy.anonymous() {
                Some(access) => Ok(Pass::without_token(access)),
                None => Err(self.token_missing()),
            };
        };
        let now = SystemTime::now();
        let accepted = if let Some(accepted) = tokens.verifier.cached(token, now) {
            self.metrics.token(TokenOutcome::Remembered);
            accepted
        } else {
            // Boxed: most tokens have been seen before, and this is larger than all the rest.
            Box::pin(self.verify(&tokens.verifier, token, now, visitor.address)).await?
        };
        let access = match &accepted.judgement.verdict {
            Ok(access) => Arc::clone(access),
            Err(denied) => return Err(self.denied(&accepted, denied)),
        };
        let id = accepted.judgement.id;
        let permit = self.limits.principal(id).map_err(limited)?;
        let caller = Caller { principal: Some(id), access };
        Ok(Pass { caller, accepted: Some(accepted), permit: Some(permit) })
    }

    /// Asks whether the caller may use a tool now.
    ///
    /// # Errors
    /// The refusal, with the scopes that would help.
    pub fn tool(&self, pass: &Pass, tool: &str) -> Result<(), Denial> {
        if pass.caller.access.tool(tool) {
            let Some(id) = pass.caller.principal else { return Ok(()) };
            return self.limits.tool(id, tool).map_err(limited);
        }
        let Some(accepted) = &pass.accepted else { return Err(self.token_missing()) };
        Err(match accepted.judgement.missing_scopes(tool) {
            Some(missing) => self.scope_missing(accepted, missing),
            None => Denial { why: Some("tool_forbidden"), ..Refusal::ToolForbidden.into() },
        })
    }

    /// The token of a request. What stands in a header that only a trusted proxy may set counts as absent
    /// when somebody else sent it.
    fn token<'r>(&self, tokens: &Tokens, visitor: Visitor<'r>) -> Result<Option<&'r str>, Denial> {
        if matches!(tokens.place, Place::Forwarded(_)) && !visitor.peer_is_trusted {
            return Ok(None);
        }
        tokens.place.token(visitor.headers, visitor.query).map_err(|_misplaced| Denial {
            why: Some("token_misplaced"),
            challenge: Some(self.challenges.misplaced.clone()),
            ..Refusal::TokenMisplaced.into()
        })
    }

    async fn verify(
        &self,
        verifier: &Verifier<Admitted>,
        token: &str,
        now: SystemTime,
        address: Option<IpAddr>,
    ) -> Result<Arc<Accepted<Admitted>>, Denial> {
        // Tokens that were seen to be good pass without coming here: an address that many share is not shut
        // for all of them.
        if let Some(address) = address {
            self.limits.blocked(address).map_err(limited)?;
        }
        match verifier.verify(token, now).await {
            Ok(accepted) => {
                self.metrics.token(TokenOutcome::Verified);
                Ok(accepted)
            }
            Err(refused) => {
                self.metrics.token(TokenOutcome::Refused);
                self.metrics.token_refused(refused.reason);
                Err(self.token_refused(refused, address))
            }
        }
    }

    fn token_missing(&self) -> Denial {
        Denial {
            why: Some("no_token"),
            challenge: Some(self.challenges.missing.clone()),
            ..Refusal::TokenMissing.into()
        }
    }

    fn token_refused(&self, refused: Refused, address: Option<IpAddr>) -> Denial {
        let why = Some(refused.reason.word());
        if refused.reason == Reason::KeysUnavailable {
            let retry_after = refused.retry_after;
            return Denial { why, retry_after, ..Refusal::TokenUncheckable.into() };
        }
        if let Some(address) = address {
            self.limits.failed(address);
        }
        let challenge = Some(self.challenges.refused.clone());
        Denial { why, challenge, ..Refusal::TokenRefused.into() }
    }

    fn denied(&self, accepted: &Accepted<Admitted>, denied: &Denied) -> Denial {
        match denied {
            Denied::Scopes(missing) => self.scope_missing(accepted, missing),
            Denied::Condition { .. } | Denied::ConditionFailed(_) | Denied::Issuer => {
                Denial { why: Some(denied.word()), ..Refusal::Forbidden.into() }
            }
        }
    }

    /// Names the scopes that the token has as well: a client that asks for the others alone would lose these.
    fn scope_missing(&self, accepted: &Accepted<Admitted>, missing: &[String]) -> Denial {
        let held = accepted.judgement.principal.scopes.iter().take(HELD_SCOPES_MAX);
        let challenge = self.challenges.insufficient_scope(held.chain(missing));
        Denial {
            why: Some("insufficient_scope"),
            challenge: Some(challenge),
            ..Refusal::ScopeMissing.into()
        }
    }
}

fn limited(exceeded: Exceeded) -> Denial {
    let Exceeded { limit, retry_after } = exceeded;
    Denial {
        limit: Some(limit),
        retry_after: Some(retry_after),
        why: Some(crate::metrics::labels::Label::label(limit)),
        ..Refusal::RateLimited.into()
    }
}

/// Scopes that tokens of every issuer need: what a client without a token should ask for.
fn needed_scopes(verification: &Verification) -> Vec<String> {
    let mut scopes: Vec<String> =
        verification.issuers.iter().flat_map(|issuer| issuer.scopes_required.clone()).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

fn verifier(
    verification: &Verification,
    keys: Vec<Option<Arc<Jwks>>>,
    policy: Arc<Policy>,
) -> Verifier<Admitted> {
    let issuers = verification
        .issuers
        .iter()
        .zip(keys)
        .map(|(issuer, keys)| Issuer { policy: issuer.policy.clone(), keys })
        .collect();
    Verifier::new(issuers, verification.cache_entries_max, move |verified, payload| {
        let admitted = policy.judge(principal(verified), verified.issuer_index, payload);
        // Once for each token, as the judgement is remembered with it.
        let denied = match &admitted.verdict {
            Err(Denied::ConditionFailed(failure)) => Some(failure),
            _ => None,
        };
        for Failure { place, source } in admitted.failures.iter().chain(denied) {
            tracing::warn!(%place, error = %Chain(source), "a condition failed, so it does not hold");
        }
        admitted
    })
}

fn principal(verified: &Verified) -> Principal {
    Principal {
        issuer: Arc::clone(&verified.issuer),
        subject: verified.subject.as_deref().unwrap_or_default().into(),
        client_id: verified.client_id.as_deref().map(Into::into),
        groups: verified.groups.clone(),
        scopes: verified.scopes.clone(),
    }
}
