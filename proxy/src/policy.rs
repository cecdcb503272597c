//! What a verified caller may do: per issuer its scopes and conditions, then the rules.
//!
//! A token is judged once, when it is verified; the judgement is kept with it. Callers for whom the same rules
//! hold share one [`Access`], and with it what was computed from it.

mod names;
mod rule;

use std::{cell::LazyCell, collections::HashMap, sync::Arc};

use mcp_core::{
    access::{Access, Grant},
    principal::{Principal, PrincipalId},
};
use parking_lot::Mutex;
use serde_json::{Map, Value};

pub use self::names::principal_of;
use self::{
    names::principal_id,
    rule::{Fit, Rule},
};
use crate::{
    access_log::identity::{Identities, Identity},
    condition::{Condition, ConditionFailed, Payload},
    config::{Authorization, Issuer, Verification},
};

/// Most sets of rules whose [`Access`] is shared. Each stands for one kind of caller; those of a further kind
/// get one of their own, which costs a little time and nothing else.
const SHARED_MAX: usize = 1024;

/// What callers may do, compiled.
#[derive(Debug)]
pub struct Policy {
    /// In the order of the configuration.
    issuers: Vec<Entry>,
    /// None: everything is allowed to whoever is let in.
    rules: Option<Vec<Rule>>,
    anonymous: Option<Arc<Access>>,
    unauthenticated: Arc<Access>,
    /// Names of the rules for anyone.
    open: Arc<[Arc<str>]>,
    shared: Mutex<HashMap<Box<[usize]>, Allowed>>,
    identities: Identities,
}

/// What tokens of one issuer must meet beyond being valid.
#[derive(Debug)]
struct Entry {
    scopes_required: Vec<String>,
    conditions: Vec<Condition>,
}

/// What some rules allow together.
#[derive(Debug, Clone)]
struct Allowed {
    access: Arc<Access>,
    rules: Arc<[Arc<str>]>,
}

/// A judged caller.
#[derive(Debug)]
pub struct Admitted {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// Its name in tables.
    pub id: PrincipalId,
    /// How records name it.
    pub identity: Arc<Identity>,
    /// What it may use, or why it may not come in at all. A caller for whom no rule holds comes in and may use
    /// nothing.
    pub verdict: Result<Arc<Access>, Denied>,
    /// Names of the rules that hold for it.
    pub rules: Arc<[Arc<str>]>,
    /// Conditions of rules that could not be evaluated, so that those rules do not hold. To be logged.
    pub failures: Vec<Failure>,
    /// Rules that would hold but for scopes.
    almost: Vec<Almost>,
}

/// Why a caller with a valid token is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Scopes that its issuer's tokens must hold are missing.
    #[error("the token lacks scopes that every token of its issuer must hold")]
    Scopes(Vec<String>),
    /// A condition is false.
    #[error("the condition at {place} is false")]
    Condition {
        /// Its place in the configuration.
        place: Arc<str>,
    },
    /// A condition could not be evaluated.
    #[error("the condition at {} could not be evaluated", .0.place)]
    ConditionFailed(#[source] Failure),
    /// The configuration has no such issuer any longer.
    #[error("the issuer of the token is not configured")]
    Issuer,
}

/// A condition that could not be evaluated for a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the condition at {place} failed")]
pub struct Failure {
    /// Its place in the configuration.
    pub place: Arc<str>,
    /// Why.
    pub source: ConditionFailed,
}

/// A glob of a rule that is none.
#[derive(Debug, thiserror::Error)]
#[error("rule `{rule}`: `{glob}` is no glob")]
pub struct Fault {
    /// The name of the rule.
    pub rule: Arc<str>,
    /// The glob as written.
    pub glob: String,
    /// Why.
    pub source: globset::Error,
}

/// A rule that would hold but for scopes.
#[derive(Debug)]
struct Almost {
    rule: Arc<str>,
    grant: Arc<Grant>,
    missing: Vec<String>,
}

impl Policy {
    /// Compiles the settings; `verification` is none where nobody brings a token.
    ///
    /// # Errors
    /// All [`Fault`]s of the settings.
    pub fn new(
        verification: Option<&Verification>,
        authorization: &Authorization,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let issuers = verification.map_or(&[][..], |verification| &verification.issuers);
        let issuers = issuers.iter().map(Entry::new).collect();
        let rules = &authorization.rules;
        let compiled: Vec<_> =
            rules.iter().filter_map(|rule| Rule::compile(rule, &mut faults)).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let open: Vec<_> =
            compiled.iter().filter(|rule| rule.is_for_anyone()).map(Rule::grant).collect();
        let names = compiled
            .iter()
            .filter(|rule| rule.is_for_anyone())
            .map(|rule| Arc::clone(rule.name()))
            .collect();
        let anonymous = (!open.is_empty()).then(|| Access::of(open));
        let unauthenticated = match &anonymous {
            Some(open) => Arc::clone(open),
            None if compiled.is_empty() => Access::everything(),
            None => Access::of(Vec::new()),
        };
        Ok(Self {
            issuers,
            anonymous,
            unauthenticated,
            open: names,
            rules: (!compiled.is_empty()).then_some(compiled),
            shared: Mutex::default(),
            identities: Identities::none(),
        })
    }

    /// The same policy, which names callers for records.
    #[must_use]
    pub fn naming(self, identities: Identities) -> Self {
        Self { identities, ..self }
    }

    /// The first rule of these names that allows the tool on the backend or, where none is named, on some.
    #[must_use]
    pub fn deciding(
        &self,
        names: &[Arc<str>],
        tool: &str,
        backend: Option<&str>,
    ) -> Option<Arc<str>> {
        let decides = |rule: &&Rule| names.contains(rule.name()) && rule.allows(tool, backend);
        self.rules.as_ref()?.iter().find(decides).map(|rule| Arc::clone(rule.name()))
    }

    /// What a caller without a token may use, where others bring one; `None` when no rule is for anyone, so that
    /// only callers with a token are let in.
    #[must_use]
    pub fn anonymous(&self) -> Option<Arc<Access>> {
        self.anonymous.clone()
    }

    /// What everyone may use where there is no authentication: what the rules for anyone allow, which may be
    /// nothing; without rules everything.
    #[must_use]
    pub fn unauthenticated(&self) -> Arc<Access> {
        Arc::clone(&self.unauthenticated)
    }

    /// Names of the rules that hold for a caller: of a judged one, or of one without a token. None where there are no
    /// rules, so that everything may be used.
    #[must_use]
    pub fn holding(&self, admitted: Option<&Admitted>) -> Option<Arc<[Arc<str>]>> {
        self.rules.as_ref()?;
        Some(Arc::clone(admitted.map_or(&self.open, |admitted| &admitted.rules)))
    }

    /// What a caller may use for whom another replica found that the rules of these names hold; none where there are
    /// no rules there. A name that no rule here has allows nothing. Where only one of us has rules, nothing is allowed:
    /// a change of them is under way, and the wider reading may be the wrong one.
    #[must_use]
    pub fn named(&self, names: Option<&[Arc<str>]>) -> Arc<Access> {
        match (&self.rules, names) {
            (None, None) => Access::everything(),
            (Some(rules), Some(names)) => {
                let is_named = |rule: &Rule| names.contains(rule.name());
                let held = rules.iter().enumerate().filter(|(_, rule)| is_named(rule));
                self.share(held.map(|(place, _)| place).collect(), rules).access
            }
            (None, Some(_)) | (Some(_), None) => Access::of(Vec::new()),
        }
    }

    /// Judges a caller whose token was verified: `issuer` is the place of its issuer in the configuration, and
    /// `claims` are all that the token says.
    #[must_use]
    pub fn judge(
        &self,
        principal: Principal,
        issuer: usize,
        claims: &Map<String, Value>,
    ) -> Admitted {
        let id = principal_id(&principal, claims);
        // Most settings have no conditions.
        let payload = LazyCell::new(|| Payload::of(claims));
        let mut admitted = Admitted {
            identity: Arc::new(self.identities.of(&principal)),
            principal: Arc::new(principal),
            id,
            verdict: Err(Denied::Issuer),
            rules: Arc::default(),
            failures: Vec::new(),
            almost: Vec::new(),
        };
        let Some(entry) = self.issuers.get(issuer) else { return admitted };
        if let Err(denied) = entry.admits(&admitted.principal, &payload) {
            admitted.verdict = Err(denied);
            return admitted;
        }
        let Allowed { access, rules } = self.allowed(&mut admitted, &payload);
        admitted.verdict = Ok(access);
        admitted.rules = rules;
        admitted
    }

    /// What the rules allow this caller.
    fn allowed(
        &self,
        admitted: &mut Admitted,
        payload: &LazyCell<Payload, impl FnOnce() -> Payload>,
    ) -> Allowed {
        let Some(rules) = &self.rules else {
            return Allowed { access: Access::everything(), rules: Arc::default() };
        };
        let mut held = Vec::new();
        for (place, rule) in rules.iter().enumerate() {
            match rule.fits(&admitted.principal, payload) {
                Fit::Holds => held.push(place),
                Fit::LacksScopes(missing) => {
                    let rule_name = Arc::clone(rule.name());
                    admitted.almost.push(Almost { rule: rule_name, grant: rule.grant(), missing });
                }
                Fit::Failed(failure) => admitted.failures.push(failure),
                Fit::Not => {}
            }
        }
        self.share(held, rules)
    }

    /// The access of all callers for whom these rules hold.
    fn share(&self, held: Vec<usize>, rules: &[Rule]) -> Allowed {
        let mut shared = self.shared.lock();
        if let Some(allowed) = shared.get(held.as_slice()) {
            return allowed.clone();
        }
        let of = || held.iter().filter_map(|place| rules.get(*place));
        let allowed = Allowed {
            access: Access::of(of().map(Rule::grant).collect()),
            rules: of().map(|rule| Arc::clone(rule.name())).collect(),
        };
        if shared.len() < SHARED_MAX {
            shared.insert(held.into(), allowed.clone());
        }
        allowed
    }
}

impl Entry {
    fn new(issuer: &Issuer) -> Self {
        Self {
            scopes_required: issuer.scopes_required.clone(),
            conditions: issuer.allow_conditions.iter().map(Condition::of).collect(),
        }
    }

    fn admits(
        &self,
        principal: &Principal,
        payload: &LazyCell<Payload, impl FnOnce() -> Payload>,
    ) -> Result<(), Denied> {
        let missing = missing(&self.scopes_required, principal);
        if !missing.is_empty() {
            return Err(Denied::Scopes(missing));
        }
        for condition in &self.conditions {
            let place = || Arc::clone(condition.place());
            match condition.holds(payload) {
                Ok(true) => {}
                Ok(false) => return Err(Denied::Condition { place: place() }),
                Err(source) => {
                    return Err(Denied::ConditionFailed(Failure { place: place(), source }));
                }
            }
        }
        Ok(())
    }
}

impl Admitted {
    /// The first rule that would allow the tool but for scopes, and the scopes that the caller lacks for it. `None` when no
    /// scope would help.
    #[must_use]
    pub fn missing_scopes(&self, tool: &str) -> Option<(&Arc<str>, &[String])> {
        let almost = self.almost.iter().find(|almost| almost.grant.tools.is_match(tool))?;
        Some((&almost.rule, &almost.missing))
    }
}

impl Denied {
    /// The place of the condition that does not hold.
    #[must_use]
    pub const fn place(&self) -> Option<&Arc<str>> {
        match self {
            Self::Condition { place } | Self::ConditionFailed(Failure { place, .. }) => Some(place),
            Self::Scopes(_) | Self::Issuer => None,
        }
    }

    /// The reason in one word of the log.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Scopes(_) => "insufficient_scope",
            Self::Condition { .. } => "condition",
            Self::ConditionFailed(_) => "condition_failed",
            Self::Issuer => "unknown_issuer",
        }
    }
}

/// Those of the scopes that the token does not hold.
fn missing(wanted: &[String], principal: &Principal) -> Vec<String> {
    wanted.iter().filter(|scope| !principal.scopes.contains(scope)).cloned().collect()
}

#[cfg(test)]
mod tests;
