//! A token's claims against a policy.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::{
    explain::{Ledger, Told},
    policy::{ClaimPath, ClaimRule, Policy},
    refused::{Reason, Refused},
};

mod dates;

/// Most scopes, and most groups, of a token. As many fit into 8 KiB only when they are short.
const NAMES_MAX: usize = 512;

type Claims = Map<String, Value>;

/// What claims say.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) subject: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) expires: Option<SystemTime>,
}

/// Checks all but `iss`, which chose the policy.
///
/// # Errors
/// The first claim that is not as the policy says.
pub(crate) fn check<L: Ledger>(
    claims: &Claims,
    policy: &Policy,
    now: SystemTime,
    ledger: &mut L,
) -> Result<Said, Refused> {
    let expires = dates::check(claims, policy, now, ledger)?;
    ledger.take("aud", audience(claims.get("aud"), policy), || {
        let wanted = format!("one of {}", listed(&policy.audiences));
        Told::value(claims.get("aud"), wanted)
    })?;
    let subject = ledger.take("sub", subject(claims, policy), || {
        Told::value(claims.get("sub"), "text that is not empty")
    })?;
    for rule in &policy.claims {
        let found = find(claims, &rule.path);
        ledger.take(rule.path.as_str(), obeys(found, rule), || {
            Told::value(found, format!("one of {}", listed(&rule.any_of)))
        })?;
    }
    let client_id = match (client(claims, "client_id", ledger)?, client(claims, "azp", ledger)?) {
        (Some(client_id), _) => Some(client_id),
        (None, azp) => azp,
    };
    Ok(Said {
        subject,
        client_id,
        scopes: scopes(claims, ledger)?,
        groups: groups(claims, policy, ledger)?,
        expires,
    })
}

/// Compared byte by byte: no trailing slash, no case is forgiven. Spec: RFC 7519 §4.1.3, RFC 8707 §2.
fn audience(found: Option<&Value>, policy: &Policy) -> Result<(), Refused> {
    let Some(found) = found else {
        return if policy.required.audience {
            Err(about("aud", Reason::MissingClaim))
        } else {
            Ok(())
        };
    };
    let named = texts(found).ok_or_else(|| about("aud", Reason::BadClaims))?;
    let anything = !policy.required.audience && policy.audiences.is_empty();
    if anything || named.iter().any(|name| policy.audiences.iter().any(|ours| ours == name)) {
        Ok(())
    } else {
        Err(about("aud", Reason::WrongAudience))
    }
}

/// Empty text names nobody, so it is no subject.
fn subject(claims: &Claims, policy: &Policy) -> Result<Option<String>, Refused> {
    let subject = text(claims, "sub")?.filter(|subject| !subject.is_empty());
    if subject.is_none() && policy.required.subject {
        return Err(about("sub", Reason::MissingClaim));
    }
    Ok(subject)
}

fn obeys(found: Option<&Value>, rule: &ClaimRule) -> Result<(), Refused> {
    let Some(found) = found else { return Err(Reason::MissingClaim.into()) };
    let allowed = |value: &Value| rule.any_of.iter().any(|allowed| value == allowed.as_str());
    let obeyed = found.as_array().map_or_else(|| allowed(found), |all| all.iter().any(allowed));
    if obeyed { Ok(()) } else { Err(Reason::WrongClaim.into()) }
}

fn client<L: Ledger>(
    claims: &Claims,
    name: &'static str,
    ledger: &mut L,
) -> Result<Option<String>, Refused> {
    let client = text(claims, name);
    if claims.contains_key(name) {
        return ledger.take(name, client, || Told::value(claims.get(name), "text"));
    }
    Ok(None)
}

/// Scopes in either of the two customs: `scope` is text in which spaces part them (RFC 9068 §2.2.3, RFC 8693
/// §4.2), `scp` such text (Entra ID) or an array (Okta).
fn scopes<L: Ledger>(claims: &Claims, ledger: &mut L) -> Result<Vec<String>, Refused> {
    let mut scopes = Vec::new();
    for (name, arrays) in [("scope", false), ("scp", true)] {
        let Some(found) = claims.get(name) else { continue };
        let named = match (found, arrays) {
            (Value::String(spaced), _) => Some(spaced.split(' ').collect()),
            (array, true) => texts(array),
            (_, false) => None,
        };
        let joined = join(&mut scopes, named, name);
        ledger.take(name, joined, || Told::value(Some(found), "text, parted by spaces"))?;
    }
    Ok(scopes)
}

fn groups<L: Ledger>(
    claims: &Claims,
    policy: &Policy,
    ledger: &mut L,
) -> Result<Vec<String>, Refused> {
    let usual = [ClaimPath("groups".to_owned())];
    let paths = if policy.groups.is_empty() { &usual } else { policy.groups.as_slice() };
    let mut groups = Vec::new();
    for path in paths {
        let Some(found) = find(claims, path) else { continue };
        let joined = join(&mut groups, texts(found), "groups");
        let told = || Told::value(Some(found), "text or an array of text");
        ledger.take(path.as_str(), joined, told)?;
    }
    Ok(groups)
}

/// Adds names that are not there yet; none are a claim of the wrong type.
fn join(
    names: &mut Vec<String>,
    more: Option<Vec<&str>>,
    claim: &'static str,
) -> Result<(), Refused> {
    for name in more.ok_or_else(|| about(claim, Reason::BadClaims))? {
        if name.is_empty() || names.iter().any(|there| there == name) {
            continue;
        }
        if names.len() == NAMES_MAX {
            return Err(about(claim, Reason::BadClaims));
        }
        names.push(name.to_owned());
    }
    Ok(())
}

/// Text, or every element of an array of text.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn text(claims: &Claims, name: &'static str) -> Result<Option<String>, Refused> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(about(name, Reason::BadClaims)),
    }
}

/// The claim at a path: by its whole name, or else step by step.
fn find<'c>(claims: &'c Claims, path: &ClaimPath) -> Option<&'c Value> {
    if let Some(value) = claims.get(path.as_str()) {
        return Some(value);
    }
    let mut steps = path.as_str().split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.as_object()?.get(step))
}

/// A refusal that is about this claim.
pub(crate) const fn about(claim: &'static str, reason: Reason) -> Refused {
    Refused { reason, claim: Some(claim), retry_after: None::<Duration> }
}

fn listed(values: &[String]) -> String {
    if values.is_empty() { "none: nothing is configured".to_owned() } else { values.join(", ") }
}
