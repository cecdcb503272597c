//! One rule: whom it is about, and what it allows them.

use std::{cell::LazyCell, sync::Arc};

use globset::{Glob, GlobSet, GlobSetBuilder};
use mcp_core::{access::Grant, principal::Principal};

use super::{Failure, Fault, missing};
use crate::{
    condition::{Condition, Payload},
    config::{self, Who},
};

/// A rule, compiled.
#[derive(Debug)]
pub(super) struct Rule {
    name: Arc<str>,
    /// None: everyone, with a token or without.
    whom: Option<Whom>,
    grant: Arc<Grant>,
}

/// Callers for whom all of this holds.
#[derive(Debug)]
struct Whom {
    issuers: Vec<String>,
    subjects: Vec<String>,
    groups: Vec<String>,
    scopes: Vec<String>,
    condition: Option<Condition>,
}

/// Whether a rule holds for a caller.
pub(super) enum Fit {
    Holds,
    /// It would, with these scopes.
    LacksScopes(Vec<String>),
    /// Nobody knows, hence not.
    Failed(Failure),
    Not,
}

impl Rule {
    /// Compiles a rule; `None` when it has faults.
    pub(super) fn compile(rule: &config::Rule, faults: &mut Vec<Fault>) -> Option<Self> {
        let tools = globs(&rule.tools, &rule.name, faults);
        let backends = globs(&rule.backends, &rule.name, faults);
        let whom = match &rule.who {
            Who::Anyone => None,
            Who::Principal { issuers, subjects, groups, scopes, condition } => Some(Whom {
                issuers: issuers.clone(),
                subjects: subjects.clone(),
                groups: groups.clone(),
                scopes: scopes.clone(),
                condition: condition.as_ref().map(Condition::of),
            }),
        };
        let grant = Arc::new(Grant { tools: tools?, backends: backends? });
        Some(Self { name: Arc::clone(&rule.name), whom, grant })
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it allows the tool on the backend or, where none is named, on some.
    pub(super) fn allows(&self, tool: &str, backend: Option<&str>) -> bool {
        let Grant { tools, backends } = &*self.grant;
        tools.is_match(tool) && backend.is_none_or(|backend| backends.is_match(backend))
    }

    pub(super) fn grant(&self) -> Arc<Grant> {
        Arc::clone(&self.grant)
    }

    /// Whether it holds for callers without a token too.
    pub(super) const fn is_for_anyone(&self) -> bool {
        self.whom.is_none()
    }

    pub(super) fn fits(
        &self,
        principal: &Principal,
        payload: &LazyCell<Payload, impl FnOnce() -> Payload>,
    ) -> Fit {
        let Some(whom) = &self.whom else { return Fit::Holds };
        if !whom.names(principal) {
            return Fit::Not;
        }
        // Last, since it costs most and may fail for tokens that the rule is not about.
        match whom.condition.as_ref().map_or(Ok(true), |condition| condition.holds(payload)) {
            Ok(true) => {}
            Ok(false) => return Fit::Not,
            Err(source) => {
                let place = whom.condition.as_ref().map(|c| Arc::clone(c.place()));
                return Fit::Failed(Failure { place: place.unwrap_or_default(), source });
            }
        }
        let missing = missing(&whom.scopes, principal);
        if missing.is_empty() { Fit::Holds } else { Fit::LacksScopes(missing) }
    }
}

impl Whom {
    /// Whether it is about callers of this issuer, subject and groups. An empty list stands for any.
    fn names(&self, principal: &Principal) -> bool {
        let any = |wanted: &[String], has: &dyn Fn(&String) -> bool| {
            wanted.is_empty() || wanted.iter().any(has)
        };
        any(&self.issuers, &|issuer| **issuer == *principal.issuer)
            && any(&self.subjects, &|subject| **subject == *principal.subject)
            && any(&self.groups, &|group| principal.groups.contains(group))
    }
}

fn globs(patterns: &[String], rule: &Arc<str>, faults: &mut Vec<Fault>) -> Option<GlobSet> {
    let before = faults.len();
    let mut set = GlobSetBuilder::new();
    let mut fault = |glob: &str, source| {
        faults.push(Fault { rule: Arc::clone(rule), glob: glob.to_owned(), source });
    };
    for pattern in patterns {
        match Glob::new(pattern) {
            Ok(glob) => drop(set.add(glob)),
            Err(source) => fault(pattern, source),
        }
    }
    let built = set.build().map_err(|source| fault(&patterns.join(", "), source)).ok();
    built.filter(|_| faults.len() == before)
}
