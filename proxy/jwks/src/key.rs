//! The keys of one issuer.

use jsonwebtoken::jwk::{Jwk, JwkSet};

/// Keys that are accepted, and what was rejected.
#[derive(Debug, Clone)]
pub struct KeySet {
    keys: Vec<Key>,
    rejected: Vec<RejectedKey>,
}

/// A key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key(Jwk);

/// A key that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedKey {
    /// Its id.
    pub kid: Option<String>,
    /// Why.
    pub reason: RejectedReason,
}

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedReason {
    /// Symmetric.
    Symmetric,
}

impl Key {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if matches!(self.0.algorithm, jsonwebtoken::jwk::AlgorithmParameters::RSA(_)) {
            "RSA"
        } else {
            "EC"
        }
    }
}

impl RejectedReason {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        "symmetric"
    }
}

/// A document that is no key set.
#[derive(Debug, thiserror::Error)]
#[error("the document is no JSON Web Key Set")]
pub struct KeySetError(#[source] serde_json::Error);

impl KeySet {
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let set: JwkSet = serde_json::from_slice(json).map_err(KeySetError)?;
        let (mut keys, mut rejected) = (Vec::new(), Vec::new());
        for key in set.keys {
            if matches!(key.algorithm, jsonwebtoken::jwk::AlgorithmParameters::OctetKey(_)) {
                let reason = RejectedReason::Symmetric;
                rejected.push(RejectedKey { kid: key.common.key_id, reason });
            } else {
                keys.push(Key(key));
            }
        }
        Ok(Self { keys, rejected })
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What is not used.
    #[must_use]
    pub fn rejected(&self) -> &[RejectedKey] {
        &self.rejected
    }

    /// Whether the accepted keys are the same.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}
