//! Keys that must not be used, in a set whose other keys are: the set lives on without them.

use std::{fs, sync::LazyLock};

use e2e::{
    minter::{Key, Kind, encode, keys},
    paths::temporary_folder,
    tls::openssl,
};
use serde_json::{Value, json};

use super::{Hostile, good_claims, hostile};

/// A key of the set, with a token that only this key could have signed.
struct Unusable {
    name: &'static str,
    jwk: Value,
    token: String,
}

/// Made once: the server's set and the table of tokens speak of the same keys.
static UNUSABLE: LazyLock<Vec<Unusable>> = LazyLock::new(|| {
    let mut all = vec![weak_rsa()];
    all.extend(of_other_uses());
    all.extend(of_other_kinds());
    all.extend(malformed());
    all.extend(twice());
    all
});

/// The keys, as the set lists them.
pub(super) fn unusable() -> Vec<Value> {
    let secret = encode("a shared secret of 32 bytes here");
    let shared = json!({ "kty": "oct", "kid": "oct", "alg": "HS256", "k": secret });
    UNUSABLE.iter().map(|key| key.jwk.clone()).chain([shared]).collect()
}

pub(super) fn table() -> Vec<Hostile> {
    UNUSABLE.iter().map(|key| hostile(key.name, "unknown_key", key.token.clone())).collect()
}

/// A key whose entry in the set is changed.
fn changed(name: &'static str, of: Kind, kid: &str, changes: Value) -> Unusable {
    let key = Key::new(of, kid);
    let mut jwk = key.jwk();
    for (member, value) in changes.as_object().unwrap() {
        jwk[member] = value.clone();
    }
    Unusable { name, jwk, token: key.token(&good_claims()) }
}

fn of_other_uses() -> Vec<Unusable> {
    vec![
        changed("a key for encryption", Kind::P256, "enc", json!({ "use": "enc" })),
        changed("a key of an unknown use", Kind::P256, "use", json!({ "use": "other" })),
        changed(
            "a key that may only encrypt",
            Kind::P256,
            "ops",
            json!({ "key_ops": ["encrypt"] }),
        ),
        changed("a key of another algorithm", Kind::P256, "alg", json!({ "alg": "ES384" })),
        changed("a public key for HMAC", Kind::P256, "hmac", json!({ "alg": "HS256" })),
    ]
}

fn of_other_kinds() -> Vec<Unusable> {
    // ES256 in the header: their own algorithms are none that exist here.
    let known = |name, kind, kid| {
        let key = Key::new(kind, kid);
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }).to_string();
        let token = key.sealed(&header, &good_claims().to_string());
        Unusable { name, jwk: key.jwk(), token }
    };
    vec![
        known("a key on P-521", Kind::P521, "p521"),
        known("a key on the curve of Bitcoin", Kind::Secp256k1, "secp256k1"),
        changed(
            "a key on a curve that is not its own",
            Kind::P256,
            "curve",
            json!({ "crv": "P-384" }),
        ),
        changed("a key of an unknown type", Kind::P256, "type", json!({ "kty": "AKP" })),
        changed("a key without a type", Kind::P256, "no-type", json!({ "kty": null })),
    ]
}

fn malformed() -> Vec<Unusable> {
    let x = keys().p256.jwk()["x"].clone();
    let rsa = |name, kid: &str, changes| {
        // Another RSA key would take its time to make.
        let mut jwk = keys().rsa.jwk();
        jwk["kid"] = json!(kid);
        for (member, value) in Value::as_object(&changes).unwrap() {
            jwk[member] = value.clone();
        }
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid }).to_string();
        Unusable { name, jwk, token: keys().rsa.sealed(&header, &good_claims().to_string()) }
    };
    vec![
        rsa("an even exponent", "even", json!({ "e": "BA" })),
        rsa("an exponent of one", "one", json!({ "e": "AQ" })),
        rsa("an exponent of nothing", "no-e", json!({ "e": "" })),
        rsa("a modulus that is no base64", "modulus", json!({ "n": "not base64!" })),
        rsa("no modulus", "no-n", json!({ "n": null })),
        changed("half a point", Kind::P256, "half", json!({ "y": null })),
        changed("a point that is not on the curve", Kind::P256, "off", json!({ "x": x })),
        changed("a short Ed25519 key", Kind::Ed25519, "short", json!({ "x": encode([7; 31]) })),
        changed("a `kid` that is no text", Kind::P256, "number", json!({ "kid": 7 })),
    ]
}

/// Nobody can tell which of two keys with one name is meant.
fn twice() -> Vec<Unusable> {
    vec![
        changed("the first of two keys with one name", Kind::P256, "twice", json!({})),
        changed("the second of two keys with one name", Kind::P256, "twice", json!({})),
    ]
}

/// RSA of 1024 bits, which the library of the minter does not make.
fn weak_rsa() -> Unusable {
    let folder = temporary_folder();
    let folder = folder.path();
    openssl(folder, &["genrsa", "-out", "weak.key", "1024"]);
    let modulus = openssl(folder, &["rsa", "-in", "weak.key", "-noout", "-modulus"]);
    let modulus = String::from_utf8(modulus).unwrap();
    let digits = modulus.trim().strip_prefix("Modulus=").unwrap();
    let bytes: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap())
        .collect();
    let jwk = json!({ "kty": "RSA", "kid": "weak", "alg": "RS256", "use": "sig", "n": encode(bytes), "e": "AQAB" });
    let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": "weak" }).to_string();
    let input = format!("{}.{}", encode(header), encode(good_claims().to_string()));
    fs::write(folder.join("input"), &input).unwrap();
    let signature = openssl(folder, &["dgst", "-sha256", "-sign", "weak.key", "input"]);
    Unusable { name: "RSA of 1024 bits", jwk, token: format!("{input}.{}", encode(signature)) }
}
