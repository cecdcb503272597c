//! The name of a principal in tables.

use aws_lc_rs::digest::{Context, SHA256};
use mcp_core::principal::{Principal, PrincipalId};
use serde_json::{Map, Value};

/// Claims that differ from one token to the next of the same person.
const OF_ONE_TOKEN: [&str; 14] = [
    "exp",
    "iat",
    "nbf",
    "jti",
    "auth_time",
    "nonce",
    "scope",
    "scp",
    "sid",
    "session_state",
    "at_hash",
    "uti",
    "aio",
    "rh",
];

/// The name of a principal in tables: the first half of the SHA-256 of its issuer and subject, each after its
/// length, so that no two pairs read the same. Where tokens need no subject, those without one are told apart by
/// all that they say but what differs from one token to the next of the same person.
pub(super) fn principal_id(principal: &Principal, claims: &Map<String, Value>) -> PrincipalId {
    let (issuer, subject) = (&principal.issuer, &principal.subject);
    if !subject.is_empty() {
        return principal_of(issuer, subject);
    }
    let of_person = claims.iter().filter(|(name, _)| !OF_ONE_TOKEN.contains(&name.as_str()));
    let claims: Vec<_> = of_person.map(|(name, value)| [name.clone(), value.to_string()]).collect();
    let claims = claims.iter().flatten().map(String::as_str);
    digest(&[&**issuer, ""].into_iter().chain(claims).collect::<Vec<_>>())
}

/// The name in tables of the principal with that issuer and subject.
#[must_use]
pub fn principal_of(issuer: &str, subject: &str) -> PrincipalId {
    digest(&[issuer, subject])
}

fn digest(parts: &[&str]) -> PrincipalId {
    let mut context = Context::new(&SHA256);
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    PrincipalId(id)
}
