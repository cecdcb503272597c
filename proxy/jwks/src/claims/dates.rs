//! `exp`, `nbf`, `iat`, and how long a token lives.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Claims, about};
use crate::{
    explain::{Ledger, Told},
    policy::Policy,
    refused::{Reason, Refused},
};

/// Checks the dates; the result is `exp`.
pub(super) fn check<L: Ledger>(
    claims: &Claims,
    policy: &Policy,
    now: SystemTime,
    ledger: &mut L,
) -> Result<Option<SystemTime>, Refused> {
    let told = |name: &'static str, wanted: &str| {
        let wanted = format!("{wanted}, give or take {} s", policy.leeway.as_secs());
        let mut told = Told::value(claims.get(name), wanted);
        if let Ok(Some(date)) = date(claims, name) {
            told.found.push_str(&distance(date, now));
        }
        told
    };
    let expires = ledger.take("exp", expiry(claims, policy, now), || told("exp", "after now"))?;
    let begins = ledger.take("nbf", begun(claims, policy, now, Start::NotBefore), || {
        told("nbf", "absent or before now")
    })?;
    let issued = ledger.take("iat", begun(claims, policy, now, Start::IssuedAt), || {
        told("iat", "absent or before now")
    })?;
    if let Some(expires) = expires {
        let start = issued.or(begins).unwrap_or(now);
        let lifetime = expires.duration_since(start).unwrap_or_default();
        let outcome = if lifetime > policy.lifetime_max {
            Err(about("exp", Reason::LifetimeTooLong))
        } else {
            Ok(())
        };
        ledger.take("lifetime", outcome, || {
            let wanted = format!("at most {} s", policy.lifetime_max.as_secs());
            Told::new(format!("{} s", lifetime.as_secs()), wanted)
        })?;
    }
    Ok(expires)
}

/// The claims that say from when on a token is valid.
#[derive(Clone, Copy)]
enum Start {
    NotBefore,
    IssuedAt,
}

/// From `exp` on, a token is refused. Spec: RFC 7519 §4.1.4.
fn expiry(
    claims: &Claims,
    policy: &Policy,
    now: SystemTime,
) -> Result<Option<SystemTime>, Refused> {
    let Some(expires) = date(claims, "exp")? else {
        return if policy.required.expiry {
            Err(about("exp", Reason::MissingClaim))
        } else {
            Ok(None)
        };
    };
    // Where the sum is beyond the clock's range, `now` is not.
    match expires.checked_add(policy.leeway) {
        Some(end) if now >= end => Err(about("exp", Reason::Expired)),
        Some(_) | None => Ok(Some(expires)),
    }
}

fn begun(
    claims: &Claims,
    policy: &Policy,
    now: SystemTime,
    start: Start,
) -> Result<Option<SystemTime>, Refused> {
    let (name, reason) = match start {
        Start::NotBefore => ("nbf", Reason::NotYetValid),
        Start::IssuedAt => ("iat", Reason::IssuedInFuture),
    };
    let date = date(claims, name)?;
    let ahead = date.and_then(|date| date.duration_since(now).ok());
    if ahead.is_some_and(|ahead| ahead > policy.leeway) {
        return Err(about(name, reason));
    }
    Ok(date)
}

/// A number of seconds since 1970, with or without a fraction; not text, not negative, and not beyond what the
/// clock can hold. Spec: RFC 7519 §2, `NumericDate`.
fn date(claims: &Claims, name: &'static str) -> Result<Option<SystemTime>, Refused> {
    let number = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(about(name, Reason::BadClaims)),
    };
    let since_epoch = match (number.as_u64(), number.as_f64()) {
        (Some(seconds), _) => Some(Duration::from_secs(seconds)),
        (None, Some(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
        (None, None) => None,
    };
    since_epoch
        .and_then(|duration| SystemTime::UNIX_EPOCH.checked_add(duration))
        .map(Some)
        .ok_or_else(|| about(name, Reason::BadClaims))
}

fn distance(date: SystemTime, now: SystemTime) -> String {
    match date.duration_since(now) {
        Ok(ahead) => format!(" (in {} s)", ahead.as_secs()),
        Err(behind) => format!(" ({} s ago)", behind.duration().as_secs()),
    }
}
