//! The keys of a JWKS document, each judged alone: one bad key never costs the others.

use std::{collections::HashMap, fmt};

use aws_lc_rs::digest;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;

mod material;

/// Longest document read, in bytes. Real ones are 1 to 20 KiB; with certificate chains, 60.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// Most keys of a document, usable or not. A document with more is refused as a whole: it is not what an
/// identity provider publishes, and to pick some of them would be a guess.
pub const KEYS_MAX: usize = 64;
/// Smallest RSA modulus, in bits. Spec: RFC 7518 §3.3.
pub const RSA_BITS_MIN: usize = 2048;
/// Largest RSA modulus, in bits: what the library below checks signatures with.
pub const RSA_BITS_MAX: usize = 8192;

/// The keys of one document.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    rejected: Vec<RejectedKey>,
}

/// A public key for checking signatures.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    kind: Kind,
    /// Those that the key's type has, or the one that its `alg` names.
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
    /// Digest of type and public members.
    fingerprint: [u8; 32],
}

/// Types of keys that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// A key of the document that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedKey {
    /// Its `kid`, where it is text.
    pub kid: Option<String>,
    /// Why.
    pub reason: RejectedReason,
}

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectedReason {
    /// Not an object, or a member that is missing or of the wrong form.
    Malformed,
    /// A `kty` that is not RSA, EC or OKP.
    UnknownType,
    /// `kty` is `oct`: whoever can check with it can also sign.
    Symmetric,
    /// A curve other than P-256, P-384 and Ed25519.
    UnknownCurve,
    /// It holds its private half, which is therefore known to everyone.
    Private,
    /// `use` is not `sig`.
    NotForSignatures,
    /// `key_ops` does not hold `verify`.
    NotForVerifying,
    /// An `alg` that does not exist here, or does not go with the key's type.
    AlgorithmUnsupported,
    /// An RSA modulus shorter than [`RSA_BITS_MIN`].
    RsaTooShort,
    /// An RSA modulus longer than [`RSA_BITS_MAX`].
    RsaTooLong,
    /// An RSA exponent that is even, less than 3, or longer than 33 bits.
    BadExponent,
    /// A point that is not on its curve.
    NotOnCurve,
    /// Another usable key has the same `kid`, so that a token names neither.
    DuplicateKid,
}

/// A document that is no key set.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Longer than [`DOCUMENT_BYTES_MAX`].
    #[error("the key set is longer than {DOCUMENT_BYTES_MAX} bytes")]
    TooLong,
    /// Not JSON.
    #[error("the key set is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// Not an object with an array `keys`.
    #[error("the key set is not an object with an array named keys")]
    NotAKeySet,
    /// More than [`KEYS_MAX`] keys.
    #[error("the key set has {0} keys, more than {KEYS_MAX}")]
    TooManyKeys(usize),
}

impl KeySet {
    /// Reads a JWKS document. Spec: RFC 7517 §5.
    ///
    /// A set without one usable key is a set all the same; what was wrong with each is in
    /// [`KeySet::rejected`].
    ///
    /// # Errors
    /// [`KeySetError`] when the document as a whole is no key set.
    ///
    /// # Examples
    ///
    /// ```
    /// use jsonwebtoken_jwks::key::{KeySet, RejectedReason};
    ///
    /// let set = KeySet::parse(
    ///     br#"{"keys": [
    ///         {"kty": "OKP", "crv": "Ed25519", "kid": "a",
    ///          "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    ///         {"kty": "oct", "kid": "b", "k": "c2VjcmV0"}
    ///     ]}"#,
    /// )?;
    /// assert_eq!(set.keys()[0].kind(), "Ed25519");
    /// assert_eq!(set.rejected()[0].reason, RejectedReason::Symmetric);
    /// # Ok::<_, jsonwebtoken_jwks::key::KeySetError>(())
    /// ```
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > DOCUMENT_BYTES_MAX {
            return Err(KeySetError::TooLong);
        }
        let mut document: Value = serde_json::from_slice(json).map_err(KeySetError::NotJson)?;
        let Some(Value::Array(members)) = document.get_mut("keys").map(Value::take) else {
            return Err(KeySetError::NotAKeySet);
        };
        if members.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys(members.len()));
        }
        let mut set = Self::default();
        for member in &members {
            match Key::from_jwk(member) {
                Ok(key) => set.keys.push(key),
                Err(reason) => set.reject(text(member.get("kid")), reason),
            }
        }
        set.drop_duplicates();
        Ok(set)
    }

    /// The usable keys, in the order of the document.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The others, each with its reason.
    #[must_use]
    pub fn rejected(&self) -> &[RejectedKey] {
        &self.rejected
    }

    /// Whether the other set has the same usable keys, in whatever order.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        let sorted = |set: &Self| {
            let mut keys: Vec<_> = set
                .keys
                .iter()
                .map(|key| (key.fingerprint, key.kid.clone(), key.algorithms.clone()))
                .collect();
            keys.sort_unstable();
            keys
        };
        sorted(self) == sorted(other)
    }

    fn reject(&mut self, kid: Option<String>, reason: RejectedReason) {
        tracing::debug!(key.id = kid.as_deref(), key.reason = reason.word(), "key skipped");
        self.rejected.push(RejectedKey { kid, reason });
    }

    /// Drops every usable key whose `kid` another one has too: the token would not say which is meant.
    fn drop_duplicates(&mut self) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for kid in self.keys.iter().filter_map(Key::kid) {
            *seen.entry(kid).or_default() += 1;
        }
        let alone = |key: &Key| key.kid().is_none_or(|kid| seen.get(kid) == Some(&1));
        let (keys, doubles): (Vec<_>, Vec<_>) = self.keys.clone().into_iter().partition(alone);
        self.keys = keys;
        for double in doubles {
            self.reject(double.kid, RejectedReason::DuplicateKid);
        }
    }
}

impl Key {
    /// Its `kid`.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Its type: `RSA`, `P-256`, `P-384` or `Ed25519`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Rsa => "RSA",
            Kind::P256 => "P-256",
            Kind::P384 => "P-384",
            Kind::Ed25519 => "Ed25519",
        }
    }

    /// The algorithms that it may be used with.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Whether it may be used with this algorithm.
    #[must_use]
    pub fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether `signature`, in base64url, is this key's for `signed`, with an algorithm that it allows.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, signed: &str, signature: &str) -> bool {
        let known = library_algorithm(algorithm);
        self.allows(algorithm)
            && jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.decoding, known)
                .unwrap_or(false)
    }

    /// Judges one member of `keys`.
    fn from_jwk(jwk: &Value) -> Result<Self, RejectedReason> {
        let Value::Object(jwk) = jwk else { return Err(RejectedReason::Malformed) };
        let kty = text(jwk.get("kty")).ok_or(RejectedReason::Malformed)?;
        if kty == "oct" {
            return Err(RejectedReason::Symmetric);
        }
        check_purpose(jwk)?;
        let kid = match jwk.get("kid") {
            None => None,
            Some(kid) => Some(text(Some(kid)).ok_or(RejectedReason::Malformed)?),
        };
        let material = material::Material::of(&kty, jwk)?;
        let algorithms = narrowed(material.kind, jwk.get("alg"))?;
        let fingerprint = fingerprint(material.kind, &material.public);
        Ok(Self { kid, kind: material.kind, algorithms, decoding: material.decoding, fingerprint })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("kind", &self.kind)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl Kind {
    const fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Rsa => &[
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ],
            Self::P256 => &[Algorithm::Es256],
            Self::P384 => &[Algorithm::Es384],
            Self::Ed25519 => &[Algorithm::EdDsa],
        }
    }
}

impl RejectedReason {
    /// The reason in one word of the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownType => "unknown_type",
            Self::Symmetric => "symmetric",
            Self::UnknownCurve => "unknown_curve",
            Self::Private => "private",
            Self::NotForSignatures => "not_for_signatures",
            Self::NotForVerifying => "not_for_verifying",
            Self::AlgorithmUnsupported => "algorithm_unsupported",
            Self::RsaTooShort => "rsa_too_short",
            Self::RsaTooLong => "rsa_too_long",
            Self::BadExponent => "bad_exponent",
            Self::NotOnCurve => "not_on_curve",
            Self::DuplicateKid => "duplicate_kid",
        }
    }
}

/// Private members, and what the key may be used for. Spec: RFC 7517 §4.2, §4.3.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), RejectedReason> {
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
        return Err(RejectedReason::Private);
    }
    match jwk.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(Value::String(_)) => return Err(RejectedReason::NotForSignatures),
        Some(_) => return Err(RejectedReason::Malformed),
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(uses)) if uses.iter().any(|one| one == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(RejectedReason::NotForVerifying),
        Some(_) => Err(RejectedReason::Malformed),
    }
}

/// The algorithms of the type, or the one of them that the key's `alg` names.
fn narrowed(kind: Kind, alg: Option<&Value>) -> Result<Vec<Algorithm>, RejectedReason> {
    let Some(alg) = alg else { return Ok(kind.algorithms().to_vec()) };
    let name = alg.as_str().ok_or(RejectedReason::Malformed)?;
    let algorithm = Algorithm::named(name).ok_or(RejectedReason::AlgorithmUnsupported)?;
    if kind.algorithms().contains(&algorithm) {
        Ok(vec![algorithm])
    } else {
        Err(RejectedReason::AlgorithmUnsupported)
    }
}

fn fingerprint(kind: Kind, public: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[match kind {
        Kind::Rsa => 1,
        Kind::P256 => 2,
        Kind::P384 => 3,
        Kind::Ed25519 => 4,
    }]);
    context.update(public);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

const fn library_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}
