//! Keys and tokens of an issuer made by hand: good ones, and the parts of bad ones.
//!
//! Signed by the cryptographic library itself, so that no fault of the library that verifies can hide here.

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING,
        ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The issuer of good tokens.
pub const ISSUER: &str = "https://issuer.example";
/// The audience of good tokens: the public address of the server under test.
pub const AUDIENCE: &str = "https://mcp.example/mcp";

/// The kinds of keys that are made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RSA of 2048 bits.
    Rsa,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521, which nobody needs to accept.
    P521,
    /// ECDSA on the curve of Bitcoin, as above.
    Secp256k1,
    /// Ed25519.
    Ed25519,
}

/// A key with its name.
#[derive(Debug)]
pub struct Key {
    /// Its `kid`.
    pub kid: String,
    kind: Kind,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The keys of [`ISSUER`].
#[derive(Debug)]
pub struct Keys {
    /// RSA of 2048 bits.
    pub rsa: Key,
    /// P-256.
    pub p256: Key,
    /// P-384.
    pub p384: Key,
    /// Ed25519.
    pub ed25519: Key,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rsa: Key::new(Kind::Rsa, "rsa"),
    p256: Key::new(Kind::P256, "p256"),
    p384: Key::new(Kind::P384, "p384"),
    ed25519: Key::new(Kind::Ed25519, "ed25519"),
});

/// The keys of [`ISSUER`], made once: RSA takes its time.
#[must_use]
pub fn keys() -> &'static Keys {
    &KEYS
}

impl Keys {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&Key; 4] {
        [&self.rsa, &self.p256, &self.p384, &self.ed25519]
    }
}

impl Key {
    /// Makes one.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn new(kind: Kind, name: &str) -> Self {
        let ecdsa =
            |curve| Pair::Ecdsa(EcdsaKeyPair::generate(curve).expect("a key can be generated"));
        let pair = match kind {
            Kind::Rsa => {
                Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key can be generated"))
            }
            Kind::P256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Kind::P384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Kind::P521 => ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING),
            Kind::Secp256k1 => ecdsa(&ECDSA_P256K1_SHA256_FIXED_SIGNING),
            Kind::Ed25519 => {
                Pair::Ed25519(Ed25519KeyPair::generate().expect("a key can be generated"))
            }
        };
        Self { kid: name.to_owned(), kind, pair }
    }

    /// The usual algorithm of such a key.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.kind {
            Kind::Rsa => "RS256",
            Kind::P256 => "ES256",
            Kind::P384 => "ES384",
            Kind::P521 => "ES512",
            Kind::Secp256k1 => "ES256K",
            Kind::Ed25519 => "EdDSA",
        }
    }

    /// The public key, as a JWKS lists it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
            Pair::Ecdsa(pair) => {
                // The point, uncompressed: a byte that says so, then both coordinates.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": self.curve(), "x": encode(x), "y": encode(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key()) })
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm());
        jwk
    }

    fn curve(&self) -> &'static str {
        match self.kind {
            Kind::P256 => "P-256",
            Kind::P384 => "P-384",
            Kind::P521 => "P-521",
            Kind::Secp256k1 => "secp256k1",
            Kind::Rsa | Kind::Ed25519 => "",
        }
    }

    /// Signs by `algorithm`, which matters for RSA only: other keys have just one.
    ///
    /// # Panics
    /// On an algorithm that there is not.
    #[must_use]
    pub fn sign(&self, algorithm: &str, input: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed =
                    pair.sign(padding(algorithm), &random, input.as_bytes(), &mut signature);
                signed.expect("the key can sign");
                signature
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&random, input.as_bytes());
                signature.expect("the key can sign").as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
        }
    }

    /// The header of a good token.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({ "alg": self.algorithm(), "typ": "at+jwt", "kid": self.kid })
    }

    /// A token with this payload and a good header.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.sealed(&self.header().to_string(), &claims.to_string())
    }

    /// A token with this header and payload, byte for byte, and a signature that fits whatever they say.
    #[must_use]
    pub fn sealed(&self, header: &str, claims: &str) -> String {
        self.sealed_by(self.algorithm(), header, claims)
    }

    /// As [`Key::sealed`], by another algorithm.
    #[must_use]
    pub fn sealed_by(&self, algorithm: &str, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(algorithm, &input);
        format!("{input}.{}", encode(signature))
    }
}

fn padding(algorithm: &str) -> &'static dyn RsaEncoding {
    match algorithm {
        "RS256" => &RSA_PKCS1_SHA256,
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        other => panic!("RSA has no {other}"),
    }
}

/// Modulus and exponent of an `RSAPublicKey` of 2048 bits in DER.
///
/// Its parts have a fixed place: a sequence (4 bytes), an integer's header (4) and sign byte (1), 256 bytes
/// of modulus, another integer's header (2), the exponent.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    (&der[9..265], &der[267..])
}

/// The key set document of these keys.
#[must_use]
pub fn jwks(keys: &[&Key]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

/// Claims of a good token of this subject: valid for ten minutes, scope `metrics:read`, group `readers`.
#[must_use]
pub fn claims(subject: &str) -> Value {
    let now = now();
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "client_id": "e2e",
        "iat": now,
        "exp": now + 600,
        "scope": "metrics:read",
        "groups": ["readers"],
    })
}

/// Claims of a good token, some of them set or (by null) removed.
///
/// # Panics
/// When `changes` is no object.
#[must_use]
pub fn claims_with(changes: &Value) -> Value {
    let mut claims = claims("alice");
    for (name, value) in changes.as_object().expect("claims are an object") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("claims are an object").retain(|_, value| !value.is_null());
    claims
}

/// A good token of this subject.
#[must_use]
pub fn token(subject: &str) -> String {
    keys().p256.token(&claims(subject))
}

/// A token that is good but for these claims, set or (by null) removed.
#[must_use]
pub fn token_with(changes: Value) -> String {
    keys().p256.token(&claims_with(&changes))
}

/// Seconds since 1970.
///
/// # Panics
/// When the clock stands before.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    i64::try_from(since.as_secs()).expect("this is not the far future")
}

/// Base64url without padding.
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
