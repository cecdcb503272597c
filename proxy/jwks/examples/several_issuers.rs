//! Two issuers, each with its own keys and policy, and why tokens are refused:
//! `cargo run -p jsonwebtoken-jwks --example several_issuers`.

use std::{
    error::Error,
    io::{self, Write as _},
    time::{Duration, SystemTime},
};

use jsonwebtoken_jwks::{
    algorithm::Algorithm,
    jwks::Jwks,
    key::KeySet,
    policy::{ClaimPath, ClaimRule, Policy, Required},
    verifier::{Issuer, Verifier},
};
use serde_json::json;

use self::pair::Provider;

#[path = "provider/pair.rs"]
mod pair;

const STAFF: &str = "https://sso.example.com/realms/staff";
const MACHINES: &str = "https://machines.example.com";

fn main() -> Result<(), Box<dyn Error>> {
    let (staff, machines) = (Provider::new("a")?, Provider::new("a")?);
    let staff_policy = Policy {
        issuer: STAFF.to_owned(),
        audiences: vec!["https://api.example.com".to_owned()],
        algorithms: vec![Algorithm::EdDsa],
        leeway: Duration::from_secs(30),
        lifetime_max: Duration::from_hours(1),
        required: Required::default(),
        claims: vec![],
        groups: vec![ClaimPath::parse("realm_access.roles")?],
    };
    let machine_policy = Policy {
        issuer: MACHINES.to_owned(),
        audiences: vec!["api".to_owned()],
        claims: vec![ClaimRule {
            path: ClaimPath::parse("token_use")?,
            any_of: vec!["access".to_owned()],
        }],
        groups: vec![],
        ..staff_policy.clone()
    };
    let issuer = |policy, provider: &Provider| {
        let keys = KeySet::parse(provider.jwks().as_bytes())?;
        Ok::<_, Box<dyn Error>>(Issuer { policy, keys: Some(Jwks::fixed(keys)) })
    };
    let issuers = vec![issuer(staff_policy, &staff)?, issuer(machine_policy, &machines)?];
    let verifier = Verifier::new(issuers, 10_000, |_verified, _claims| ());

    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let alice = json!({
        "iss": STAFF, "aud": "https://api.example.com", "sub": "alice",
        "realm_access": {"roles": ["oncall"]}, "iat": seconds, "exp": seconds + 300,
    });
    let backup = json!({
        "iss": MACHINES, "aud": "https://api.example.com", "sub": "backup", "token_use": "id",
        "iat": seconds - 4000, "exp": seconds - 400,
    });
    let rows = [
        ("alice's token", staff.token(&alice)),
        ("alice's claims, signed by the other issuer", machines.token(&alice)),
        ("a machine's token with three faults", machines.token(&backup)),
    ];
    let mut out = io::stdout().lock();
    for (name, token) in rows {
        let explanation = verifier.explain(&token, now);
        writeln!(out, "== {name}\n{explanation}\n")?;
    }
    Ok(())
}
