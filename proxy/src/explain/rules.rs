//! What scopes, conditions and rules make of a good token.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use jsonwebtoken_jwks::verified::Verified;
use mcp_core::{access::Access, config::BackendName, principal::Principal, tools::TOOL_NAMES};
use serde_json::{Map, Value};

use crate::{
    condition::{Condition, Payload},
    config::{Config, Issuer, Rule, Verification, Who},
    enquiry::shown,
    policy::{Admitted, Denied, Policy},
};

/// All that decides about a good token.
pub(super) struct Judge {
    issuers: Vec<Issuer>,
    rules: Vec<Rule>,
    backends: Vec<BackendName>,
    policy: Policy,
}

/// What becomes of a good token.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) allowed: bool,
    pub(super) text: String,
}

impl Judge {
    pub(super) fn of(config: &Config, verification: &Verification, policy: Policy) -> Self {
        Self {
            issuers: verification.issuers.clone(),
            rules: config.authorization.rules.clone(),
            backends: config.backends.iter().map(|backend| backend.name.clone()).collect(),
            policy,
        }
    }

    pub(super) fn judged(&self, verified: &Verified, claims: &Map<String, Value>) -> Judged {
        let admitted = self.policy.judge(principal(verified), verified.issuer_index, claims);
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _infallible = self.write(&mut text, verified, claims, &admitted);
        Judged { allowed: admitted.verdict.is_ok(), text }
    }

    fn write(
        &self,
        out: &mut String,
        verified: &Verified,
        claims: &Map<String, Value>,
        admitted: &Admitted,
    ) -> fmt::Result {
        writeln!(out, "\nscopes   {}", list(&verified.scopes))?;
        writeln!(out, "groups   {}", list(&verified.groups))?;
        if let Some(issuer) = self.issuers.get(verified.issuer_index) {
            needed(out, issuer, verified)?;
            conditions(out, issuer, claims)?;
        }
        match &admitted.verdict {
            Err(denied) => writeln!(out, "\nThe caller is refused: {denied}."),
            Ok(access) => {
                self.write_rules(out, verified, claims, admitted)?;
                self.write_access(out, access)
            }
        }
    }

    fn write_rules(
        &self,
        out: &mut String,
        verified: &Verified,
        claims: &Map<String, Value>,
        admitted: &Admitted,
    ) -> fmt::Result {
        if self.rules.is_empty() {
            return writeln!(out, "\nThere are no rules, so whoever is let in may use everything.");
        }
        writeln!(out, "\nRules")?;
        let payload = Payload::of(claims);
        for rule in &self.rules {
            let holds = admitted.rules.contains(&rule.name);
            let word = if holds { "holds" } else { "no" };
            let (tools, backends) = (list(&rule.tools), list(&rule.backends));
            writeln!(out, "{word:8} {}: tools {tools}; backends {backends}", shown(&rule.name))?;
            if !holds {
                for because in unmet(&rule.who, verified, &payload) {
                    writeln!(out, "         because: {because}")?;
                }
            }
        }
        Ok(())
    }

    fn write_access(&self, out: &mut String, access: &Arc<Access>) -> fmt::Result {
        writeln!(out, "\nThe caller is let in and may use")?;
        let mut any = false;
        for tool in TOOL_NAMES {
            let of = |backend: &&BackendName| access.backend(tool, backend);
            let backends: Vec<_> =
                self.backends.iter().filter(of).map(|name| name.as_str().to_owned()).collect();
            if !backends.is_empty() {
                any = true;
                writeln!(out, "         {tool} on {}", backends.join(", "))?;
            }
        }
        if any { Ok(()) } else { writeln!(out, "         nothing: no rule that holds allows it") }
    }
}

/// The parts of a rule's `who` that do not hold for the token, in words.
fn unmet(who: &Who, verified: &Verified, payload: &Payload) -> Vec<String> {
    let Who::Principal { issuers, subjects, groups, scopes, condition } = who else {
        return Vec::new();
    };
    let mut unmet = Vec::new();
    if !issuers.is_empty() && !issuers.iter().any(|issuer| **issuer == *verified.issuer) {
        unmet.push(format!("the issuer is none of {}", list(issuers)));
    }
    let subject = verified.subject.as_deref().unwrap_or_default();
    if !subjects.is_empty() && !subjects.iter().any(|wanted| wanted == subject) {
        unmet.push(format!("the subject is none of {}", list(subjects)));
    }
    if !groups.is_empty() && !groups.iter().any(|group| verified.groups.contains(group)) {
        unmet.push(format!("the token holds none of the groups {}", list(groups)));
    }
    let missing = scopes.iter().filter(|scope| !verified.scopes.contains(scope));
    unmet.extend(missing.map(|scope| format!("the scope {} is missing", shown(scope))));
    if let Some(expression) = condition {
        match Condition::of(expression).holds(payload) {
            Ok(true) => {}
            Ok(false) => unmet.push(format!("the condition {} is false", shown(expression.text()))),
            Err(why) => {
                let text = shown(expression.text());
                unmet.push(format!("the condition {text} failed: {}", shown(&why.to_string())));
            }
        }
    }
    unmet
}

fn needed(out: &mut String, issuer: &Issuer, verified: &Verified) -> fmt::Result {
    let word = Denied::Scopes(Vec::new()).word();
    for scope in &issuer.scopes_required {
        let name = shown(scope);
        if verified.scopes.contains(scope) {
            writeln!(out, "ok       scope {name} (every token of this issuer must hold it)")?;
        } else {
            writeln!(out, "refused  scope {name} is missing [{word}]")?;
            writeln!(out, "         to mend it: ask the provider for a token with this scope")?;
        }
    }
    Ok(())
}

fn conditions(out: &mut String, issuer: &Issuer, claims: &Map<String, Value>) -> fmt::Result {
    if issuer.allow_conditions.is_empty() {
        return Ok(());
    }
    let payload = Payload::of(claims);
    for expression in &issuer.allow_conditions {
        let (place, text) = (&expression.place, shown(expression.text()));
        match Condition::of(expression).holds(&payload) {
            Ok(true) => writeln!(out, "ok       {place}: {text}")?,
            Ok(false) => writeln!(out, "refused  {place}: {text} [condition]")?,
            Err(why) => {
                writeln!(out, "refused  {place}: {text} [condition_failed]")?;
                writeln!(out, "         because: {}", shown(&why.to_string()))?;
            }
        }
    }
    Ok(())
}

/// `a, b`, or `none`.
fn list(texts: &[String]) -> String {
    if texts.is_empty() {
        return "none".to_owned();
    }
    shown(&texts.join(", "))
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
