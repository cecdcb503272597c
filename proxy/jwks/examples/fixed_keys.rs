//! Verifies a token with keys that are at hand: `cargo run -p jsonwebtoken-jwks --example fixed_keys`.

use std::{
    error::Error,
    io::{self, Write as _},
    time::{Duration, SystemTime},
};

use jsonwebtoken_jwks::{
    algorithm::Algorithm,
    jwks::Jwks,
    key::KeySet,
    policy::{Policy, Required},
    verifier::{Issuer, Verifier},
};
use serde_json::json;

use self::pair::Provider;

#[path = "provider/pair.rs"]
mod pair;

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "https://api.example.com";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = Provider::new("2026-11")?;
    let policy = Policy {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: vec![Algorithm::EdDsa, Algorithm::Rs256],
        leeway: Duration::from_secs(30),
        lifetime_max: Duration::from_hours(1),
        required: Required::default(),
        claims: vec![],
        groups: vec![],
    };
    let keys = KeySet::parse(provider.jwks().as_bytes())?;
    let issuer = Issuer { policy, keys: Some(Jwks::fixed(keys)) };
    // What is made of a token is remembered with it: here, whether it may write.
    let verifier = Verifier::new(vec![issuer], 10_000, |verified, _claims| {
        verified.scopes.iter().any(|scope| scope == "write")
    });

    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "scope": "read write",
        "iat": seconds, "exp": seconds + 300,
    });
    let token = provider.token(&claims);
    let mut out = io::stdout().lock();

    let accepted = verifier.verify(&token, now).await?;
    writeln!(out, "subject: {:?}", accepted.verified.subject)?;
    writeln!(out, "may write: {}", accepted.judgement)?;
    writeln!(out, "remembered: {}", verifier.cached(&token, now).is_some())?;

    let later = now + Duration::from_secs(331);
    match verifier.verify(&token, later).await {
        Ok(_) => writeln!(out, "331 s later: accepted")?,
        Err(refused) => writeln!(out, "331 s later: {}", refused.reason.word())?,
    }
    let forged = Provider::new("2026-11")?.token(&claims);
    match verifier.verify(&forged, now).await {
        Ok(_) => writeln!(out, "signed by somebody else: accepted")?,
        Err(refused) => writeln!(out, "signed by somebody else: {}", refused.reason.word())?,
    }
    Ok(())
}
