//! Who is let in: from the headers of a request to a caller, or to a refusal.
//!
//! Order: token → its issuer, signature and claims → scopes and conditions → rate and calls in flight. A
//! caller's tools are asked for later, where the tool is known.

mod forgery;

mod denials;

mod pass;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use http::HeaderMap;
use jsonwebtoken_jwks::{
    bearer::Place,
    jwks::Jwks,
    verified::Verified,
    verifier::{Accepted, Issuer, Verifier},
};
use mcp_core::{
    access::{Access, Caller},
    principal::{Principal, PrincipalId},
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::pass::Leave;
pub use self::pass::Pass;
use self::{
    denials::{limited, tool_forbidden},
    pass::{Sent, Share},
};
use crate::{
    access_log::{identity::Identities, pseudonym::Pseudonyms},
    challenge::Challenges,
    client_address::{FORWARDED_FOR, holder},
    config::{Authentication, Config, Verification},
    hop::{Rules, Traveller},
    limits::Limits,
    metrics::{Metrics, labels::TokenOutcome},
    policy::{Admitted, Denied, Failure, Fault, Policy},
    refusal::{Denial, Refusal},
    telemetry::Chain,
};

/// Lets callers in, or not.
#[derive(Debug)]
pub struct Gate {
    /// None: everyone is let in, as the configuration says in words.
    tokens: Option<Tokens>,
    policy: Arc<Policy>,
    limits: Arc<Limits>,
    challenges: Challenges,
    metrics: Arc<Metrics>,
    retired: CancellationToken,
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
        let policy = Policy::new(verification, &config.authorization)?;
        let policy = Arc::new(policy.naming(identities(config)));
        let scopes = verification.map(needed_scopes).unwrap_or_default();
        let challenges = Challenges::new(config.protected_resource.as_ref(), &scopes);
        let tokens = verification.map(|verification| {
            let verifier = verifier(verification, keys, Arc::clone(&policy));
            Tokens { place, verifier }
        });
        let retired = CancellationToken::new();
        Ok(Self { tokens, policy, limits, challenges, metrics, retired })
    }

    /// Whether everyone is let in.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.tokens.is_none()
    }

    /// How many verified tokens are remembered, and how many can be.
    #[must_use]
    pub fn remembered(&self) -> (usize, usize) {
        self.tokens.as_ref().map_or((0, 0), |tokens| tokens.verifier.remembered())
    }

    /// Ends the streams that only wait: another gate has taken this one's place.
    pub fn retire(&self) {
        self.retired.cancel();
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
            return self.stranger(self.policy.unauthenticated(), visitor.address);
        };
        let Some(token) = self.token(tokens, visitor)? else {
            return match self.policy.anonymous() {
                Some(access) => self.stranger(access, visitor.address),
                None => Err(self.token_missing()),
            };
        };
        let now = SystemTime::now();
        let accepted = if let Some(accepted) = tokens.verifier.cached(token, now) {
            self.metrics.token(TokenOutcome::Remembered);
            accepted
        } else {
            // Boxed: most tokens have been seen before, and this is larger than all the rest.
            Box::pin(self.verify(&tokens.verifier, token, visitor)).await?
        };
        let access = match &accepted.judgement.verdict {
            Ok(access) => Arc::clone(access),
            Err(denied) => return Err(self.denied(&accepted, denied)),
        };
        let id = accepted.judgement.id;
        let known = |denial: Denial| Denial {
            identity: Some(Arc::clone(&accepted.judgement.identity)),
            ..denial
        };
        let Share { counted, permit } = self.share(id).map_err(known)?;
        let caller = Caller { principal: Some(id), access, ..Caller::anyone() };
        let retired = self.retired.clone();
        Ok(Pass { caller, accepted: Some(accepted), sent: None, counted, permit, retired })
    }

    /// What became of authentication, in one word for the record.
    #[must_use]
    pub const fn authenticated(&self, pass: &Pass) -> &'static str {
        match (pass.accepted.is_some(), pass.sent.is_some()) {
            (true, _) => "verified",
            (false, true) => "relayed",
            (false, false) if self.is_open() => "off",
            (false, false) => "anonymous",
        }
    }

    /// The rule that lets the caller use the tool on the backend, or on some backend where none was chosen. None where none
    /// does, or where there are no rules.
    #[must_use]
    pub fn deciding(&self, pass: &Pass, tool: &str, backend: Option<&str>) -> Option<Arc<str>> {
        if let Some(Sent { rules: Rules::Named(names), .. }) = &pass.sent {
            return self.policy.deciding(names, tool, backend);
        }
        let names = self.policy.holding(pass.accepted.as_ref().map(|it| &it.judgement))?;
        self.policy.deciding(&names, tool, backend)
    }

    /// What another replica has to know of a caller who was let in here.
    #[must_use]
    pub fn traveller(&self, pass: &Pass) -> Traveller {
        let rules = match (&pass.accepted, &pass.sent) {
            // Passed on once more: what the first replica found.
            (None, Some(sent)) => sent.rules.clone(),
            (accepted, _) => match self.policy.holding(accepted.as_ref().map(|it| &it.judgement)) {
                Some(names) => Rules::Named(names.to_vec()),
                None => Rules::Everything,
            },
        };
        Traveller { principal: pass.caller.principal, rules, until: pass.until() }
    }

    /// Lets a caller in whom another replica has let in, and whose share was counted there.
    #[must_use]
    pub fn arrived(&self, traveller: Traveller) -> Pass {
        let Traveller { principal, rules, until } = traveller;
        let needs_token = self.tokens.is_some() && self.policy.anonymous().is_none();
        let access = match &rules {
            // The other replica asks for no token and this one does: nobody comes in through the other's door.
            _ if needs_token && principal.is_none() => Access::of(Vec::new()),
            Rules::Everything => self.policy.named(None),
            Rules::Named(names) => self.policy.named(Some(names)),
        };
        Pass {
            caller: Caller { principal, access, ..Caller::anyone() },
            accepted: None,
            sent: Some(Sent { rules, until }),
            counted: None,
            permit: None,
            retired: self.retired.clone(),
        }
    }

    /// Lets a caller without a token in. Its share is that of its address: it has no other name.
    fn stranger(&self, access: Arc<Access>, address: Option<IpAddr>) -> Result<Pass, Denial> {
        let nobody = Share { counted: None, permit: None };
        let share = match address.filter(|_| self.limits.concern_callers()) {
            Some(address) => self.share(address_id(address))?,
            None => nobody,
        };
        Ok(Pass::without_token(access, share, self.retired.clone()))
    }

    fn share(&self, id: PrincipalId) -> Result<Share, Denial> {
        let permit = self.limits.principal(id).map_err(limited)?;
        Ok(Share { counted: Some(id), permit: Some(permit) })
    }

    /// Asks whether the caller may use a tool now.
    ///
    /// # Errors
    /// The refusal, with the scopes that would help.
    pub fn tool(&self, pass: &Pass, tool: &str) -> Result<(), Denial> {
        if pass.caller.access.tool(tool) {
            let Some(id) = pass.counted else { return Ok(()) };
            return self.limits.tool(id, tool).map_err(limited);
        }
        if pass.sent.is_some() {
            return Err(tool_forbidden());
        }
        let Some(accepted) = &pass.accepted else { return Err(self.token_missing()) };
        Err(match accepted.judgement.missing_scopes(tool) {
            Some((rule, missing)) => {
                Denial { rule: Some(Arc::clone(rule)), ..self.scope_missing(accepted, missing) }
            }
            None => tool_forbidden(),
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
        visitor: Visitor<'_>,
    ) -> Result<Arc<Accepted<Admitted>>, Denial> {
        let (now, address) = (SystemTime::now(), visitor.address);
        // Tokens that were seen to be good pass without coming here: an address that many share is not shut
        // for all of them.
        if let Some(address) = address {
            self.limits
                .blocked(address)
                .map_err(limited)
                .inspect_err(|_blocked| warn_once(visitor))?;
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
}

/// Under which name the share of an address is counted. No principal has it: theirs are digests of other texts.
fn address_id(address: IpAddr) -> PrincipalId {
    PrincipalId(match holder(address) {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    })
}

/// Says once that an address is shared by many, for all that we can see, and how to tell them apart.
fn warn_once(visitor: Visitor<'_>) {
    static SAID: AtomicBool = AtomicBool::new(false);
    let is_behind_a_proxy = visitor.headers.contains_key(FORWARDED_FOR);
    if is_behind_a_proxy && !visitor.peer_is_trusted && !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            address = ?visitor.address,
            "many tokens of one address are refused, and it sends X-Forwarded-For: if it is your proxy, \
             put it into `server.transport.http.trusted_proxies`, so that its clients are told apart"
        );
    }
}

/// How records name callers; not at all where there are none.
fn identities(config: &Config) -> Identities {
    let log = &config.access_log;
    if !log.is_on() {
        return Identities::none();
    }
    Identities::new(log.records.identity, Pseudonyms::of_log(log).map(Arc::new))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_holder_have_one_share() {
        let id = |address: &str| address_id(address.parse().unwrap());
        assert_eq!(id("192.0.2.1"), id("::ffff:192.0.2.1"));
        assert_ne!(id("192.0.2.1"), id("192.0.2.2"));
        assert_eq!(id("2001:db8:1:2::1"), id("2001:db8:1:2:9::9"));
        assert_ne!(id("2001:db8:1:2::1"), id("2001:db8:1:3::1"));
    }
}
