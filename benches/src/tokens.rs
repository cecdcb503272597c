//! Tokens that the guarded server takes, and the keys to check them with.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use e2e::minter::{AUDIENCE, ISSUER, Key, Kind, claims, jwks, now};
use jsonwebtoken_jwks::{
    algorithm::Algorithm,
    policy::{Policy, Required},
};
use serde_json::{Value, json};

/// Longer than any run.
const LIFETIME_SECONDS: i64 = 6 * 3600;

/// What tokens must say: what a file with nothing but the issuer and our name in it wants.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        leeway: Duration::from_secs(30),
        lifetime_max: Duration::from_hours(24),
        required: Required::default(),
        claims: Vec::new(),
        groups: Vec::new(),
    }
}

/// Makes tokens.
#[derive(Debug)]
pub struct Minter {
    rsa: Key,
    p256: Key,
    minted: AtomicU64,
}

/// By what a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// RSA of 2048 bits, as most providers have it.
    Rs256,
    /// P-256.
    Es256,
}

impl Minter {
    /// Makes its keys.
    #[must_use]
    pub fn new() -> Self {
        let (rsa, p256) = (Key::new(Kind::Rsa, "rsa"), Key::new(Kind::P256, "p256"));
        Self { rsa, p256, minted: AtomicU64::new(0) }
    }

    /// Its key set.
    #[must_use]
    pub fn jwks(&self) -> String {
        jwks(&[&self.rsa, &self.p256]).to_string()
    }

    /// A token that there was not yet.
    #[must_use]
    pub fn mint(&self, signed: Signed) -> String {
        let number = self.minted.fetch_add(1, Ordering::Relaxed);
        let mut claims = claims("auth0|64b1c2d3e4f5a6b7c8d9e0f1");
        let further = json!({
            "exp": now() + LIFETIME_SECONDS,
            "jti": format!("{number:032}"),
            "email": "somebody@example.com",
        });
        if let (Value::Object(claims), Value::Object(further)) = (&mut claims, further) {
            claims.extend(further);
        }
        match signed {
            Signed::Rs256 => self.rsa.token(&claims),
            Signed::Es256 => self.p256.token(&claims),
        }
    }
}

impl Default for Minter {
    fn default() -> Self {
        Self::new()
    }
}
