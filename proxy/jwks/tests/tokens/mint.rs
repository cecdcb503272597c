//! Keys made for the test, and tokens signed with them.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken_jwks::{
    algorithm::Algorithm,
    jwks::Jwks,
    key::KeySet,
    policy::{Policy, Required},
    verified::Verified,
    verifier::{Issuer, Verifier},
};
use serde_json::{Map, Value, json};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://id.example.com/realms/shop";
pub(super) const AUDIENCE: &str = "https://mcp.example.com/mcp";

/// A key pair.
pub(super) enum Pair {
    Rsa(RsaKeyPair),
    Elliptic(EcdsaKeyPair, &'static str),
    Edwards(Ed25519KeyPair),
}

/// One key pair of each type, and one more that nobody knows.
pub(super) struct Pairs {
    pub(super) rsa: Pair,
    pub(super) p256: Pair,
    pub(super) p384: Pair,
    pub(super) edwards: Pair,
    pub(super) stranger: Pair,
}

pub(super) static PAIRS: LazyLock<Pairs> = LazyLock::new(|| Pairs {
    rsa: Pair::rsa(),
    p256: Pair::p256(),
    p384: Pair::p384(),
    edwards: Pair::edwards(),
    stranger: Pair::rsa(),
});

impl Pair {
    pub(super) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(super) fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::Elliptic(pair, "P-256")
    }

    pub(super) fn p384() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self::Elliptic(pair, "P-384")
    }

    pub(super) fn edwards() -> Self {
        Self::Edwards(Ed25519KeyPair::generate().unwrap())
    }

    /// The public half as a JWK without `kid`, `use` and `alg`.
    pub(super) fn jwk(&self) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": encoded(&public.n), "e": encoded(&public.e)})
            }
            Self::Elliptic(pair, curve) => {
                let (x, y) = {
                    let point = &pair.public_key().as_ref()[1..];
                    point.split_at(point.len() / 2)
                };
                json!({"kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y)})
            }
            Self::Edwards(pair) => {
                let x = encoded(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
        }
    }

    pub(super) fn named(&self, kid: &str) -> Value {
        with(&self.jwk(), "kid", json!(kid))
    }

    /// The public half as DER, which HMAC confusion takes for a secret.
    pub(super) fn public_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Elliptic(pair, _) => pair.public_key().as_ref().to_vec(),
            Self::Edwards(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// Signs with the algorithm where the key has several, else with the key's own.
    pub(super) fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Elliptic(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Edwards(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of these texts, whatever they are.
    pub(super) fn token_of(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encoded(header.as_bytes()), encoded(payload.as_bytes()));
        let alg = serde_json::from_str::<Value>(header)
            .ok()
            .and_then(|header| header["alg"].as_str().map(str::to_owned))
            .unwrap_or_default();
        let signature = self.sign(&alg, signed.as_bytes());
        format!("{signed}.{}", encoded(&signature))
    }

    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A header of the key named `rsa`.
pub(super) fn header() -> Value {
    json!({"alg": "RS256", "typ": "at+jwt", "kid": "rsa"})
}

/// Claims that are let in.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 300, "iat": NOW - 10,
        "token_use": "access",
    })
}

pub(super) fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

pub(super) fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(name);
    object
}

/// A good token.
pub(super) fn good() -> String {
    PAIRS.rsa.token(&header(), &claims())
}

pub(super) fn now() -> SystemTime {
    at(NOW)
}

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn policy() -> Policy {
    Policy {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: Algorithm::ALL.into_iter().filter(|one| *one != Algorithm::Ps512).collect(),
        leeway: Duration::from_secs(30),
        lifetime_max: Duration::from_hours(24),
        required: Required::default(),
        claims: vec![],
        groups: vec![],
    }
}

/// A JWKS document.
pub(super) fn document(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

pub(super) fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(&document(keys)).unwrap()
}

/// The issuer's keys: one of each type.
pub(super) fn all_keys() -> Vec<Value> {
    vec![
        PAIRS.rsa.named("rsa"),
        PAIRS.p256.named("p256"),
        PAIRS.p384.named("p384"),
        PAIRS.edwards.named("edwards"),
    ]
}

pub(super) fn issuer(policy: Policy, keys: &[Value]) -> Issuer {
    Issuer { policy, keys: Some(Jwks::fixed(key_set(keys))) }
}

/// A verifier whose judgement is the payload.
pub(super) fn verifier(issuers: Vec<Issuer>) -> Verifier<Map<String, Value>> {
    Verifier::new(issuers, 64, |_: &Verified, claims| claims.clone())
}

/// The verifier that most tests use.
pub(super) static STRICT: LazyLock<Arc<Verifier<Map<String, Value>>>> =
    LazyLock::new(|| Arc::new(verifier(vec![issuer(policy(), &all_keys())])));
