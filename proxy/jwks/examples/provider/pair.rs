//! A small identity provider: one key pair, and tokens signed with it.

use std::error::Error;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// One key pair, made now and gone with the process.
pub(crate) struct Provider {
    pair: Ed25519KeyPair,
    kid: &'static str,
}

impl Provider {
    pub(crate) fn new(kid: &'static str) -> Result<Self, Box<dyn Error>> {
        Ok(Self { pair: Ed25519KeyPair::generate()?, kid })
    }

    /// What it would serve at its `jwks_uri`.
    pub(crate) fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig", "x": x});
        json!({ "keys": [key] }).to_string()
    }

    /// An access token.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.kid});
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}
