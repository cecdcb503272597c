//! Headers that would choose how, or by what, a token is checked.

use aws_lc_rs::hmac;
use e2e::minter::{Key, Kind, encode, keys};
use serde_json::{Value, json};

use super::{Hostile, good_claims, hostile};

/// A token with these members of the header set or (by null) removed, and the signature of the P-256 key.
fn with(changes: Value) -> String {
    signed_by(&keys().p256, changes)
}

fn signed_by(key: &Key, changes: Value) -> String {
    let mut header = keys().p256.header();
    for (name, value) in changes.as_object().unwrap() {
        header[name] = value.clone();
    }
    header.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    key.sealed(&header.to_string(), &good_claims().to_string())
}

fn unsigned(algorithm: &str, signature: &str) -> String {
    let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": "p256" }).to_string();
    format!("{}.{}.{signature}", encode(header), encode(good_claims().to_string()))
}

/// A token whose HMAC was made with something public for a secret.
fn hmac_with(algorithm: &str, kid: &str, secret: &[u8]) -> String {
    let family = match algorithm {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA512,
    };
    let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid }).to_string();
    let input = format!("{}.{}", encode(header), encode(good_claims().to_string()));
    let tag = hmac::sign(&hmac::Key::new(family, secret), input.as_bytes());
    format!("{input}.{}", encode(tag))
}

pub(super) fn table() -> Vec<Hostile> {
    [algorithms(), kids(), references(), extensions(), types()].into_iter().flatten().collect()
}

fn algorithms() -> Vec<Hostile> {
    let not_allowed = |name, token| hostile(name, "algorithm_not_allowed", token);
    let jwk = keys().rsa.jwk().to_string();
    let modulus = keys().rsa.jwk()["n"].as_str().unwrap().to_owned();
    let rs = |algorithm: &str| {
        let header = json!({ "alg": algorithm, "kid": "rsa" }).to_string();
        keys().rsa.sealed_by(algorithm, &header, &good_claims().to_string())
    };
    vec![
        hostile("no `alg`", "unsigned", with(json!({ "alg": null }))),
        hostile("`none` without a signature", "unsigned", unsigned("none", "")),
        hostile("`none` with a signature", "unsigned", with(json!({ "alg": "none" }))),
        hostile("`NONE`", "unsigned", unsigned("NONE", "")),
        hostile("`nOnE` with a signature", "unsigned", unsigned("nOnE", "AAAA")),
        not_allowed("an empty `alg`", with(json!({ "alg": "" }))),
        hostile("a number for `alg`", "bad_header", with(json!({ "alg": 256 }))),
        hostile("a list for `alg`", "bad_header", with(json!({ "alg": ["ES256"] }))),
        not_allowed("`es256` in small letters", with(json!({ "alg": "es256" }))),
        not_allowed("a space after `alg`", with(json!({ "alg": "ES256 " }))),
        not_allowed(
            "HS256 with the public key for a secret",
            hmac_with("HS256", "rsa", jwk.as_bytes()),
        ),
        not_allowed(
            "HS384 with the modulus for a secret",
            hmac_with("HS384", "rsa", modulus.as_bytes()),
        ),
        not_allowed("HS512 with an empty secret", hmac_with("HS512", "rsa", b"")),
        not_allowed(
            "HS256 with the name of a shared secret",
            hmac_with("HS256", "oct", b"a shared secret of 32 bytes here"),
        ),
        not_allowed("PS256, which is not on the list", rs("PS256")),
        not_allowed("RS512, which is not on the list", rs("RS512")),
        not_allowed("RS256 with the name of an ECDSA key", with(json!({ "alg": "RS256" }))),
        not_allowed("ES256 with the name of an RSA key", with(json!({ "kid": "rsa" }))),
        not_allowed("ES384 with the name of a P-256 key", with(json!({ "alg": "ES384" }))),
        not_allowed("EdDSA with the name of a P-256 key", with(json!({ "alg": "EdDSA" }))),
        not_allowed("an algorithm that nobody knows", with(json!({ "alg": "ES256K" }))),
    ]
}

fn kids() -> Vec<Hostile> {
    vec![
        hostile("a key that is not in the set", "unknown_key", with(json!({ "kid": "another" }))),
        hostile("an empty `kid`", "unknown_key", with(json!({ "kid": "" }))),
        hostile("`kid` in capitals", "unknown_key", with(json!({ "kid": "P256" }))),
        hostile("a path for `kid`", "unknown_key", with(json!({ "kid": "../../../dev/null" }))),
        hostile("an injection for `kid`", "unknown_key", with(json!({ "kid": "p256' OR '1'='1" }))),
        hostile("a long `kid`", "unknown_key", with(json!({ "kid": "k".repeat(4096) }))),
        hostile("a number for `kid`", "bad_header", with(json!({ "kid": 1 }))),
        hostile("a list for `kid`", "bad_header", with(json!({ "kid": ["p256"] }))),
    ]
}

/// A header may name or carry a key. It is the attacker's own.
fn references() -> Vec<Hostile> {
    let own = Key::new(Kind::P256, "p256");
    let foreign = Key::new(Kind::P256, "foreign");
    let url = "http://127.0.0.1:9/jwks.json";
    vec![
        hostile("an embedded key", "bad_signature", signed_by(&own, json!({ "jwk": own.jwk() }))),
        hostile(
            "an embedded key with a name of its own",
            "unknown_key",
            signed_by(&foreign, json!({ "jwk": foreign.jwk(), "kid": "foreign" })),
        ),
        hostile("a key set elsewhere", "bad_signature", signed_by(&own, json!({ "jku": url }))),
        hostile("a certificate elsewhere", "bad_signature", signed_by(&own, json!({ "x5u": url }))),
        hostile(
            "a certificate inside",
            "bad_signature",
            signed_by(&own, json!({ "x5c": ["MIIB"] })),
        ),
    ]
}

fn extensions() -> Vec<Hostile> {
    let critical = |name, changes| hostile(name, "critical_header", with(changes));
    vec![
        critical("`crit` of what we know", json!({ "crit": ["exp"], "exp": 1 })),
        critical("`crit` of what nobody knows", json!({ "crit": ["x"], "x": true })),
        critical("an empty `crit`", json!({ "crit": [] })),
        critical("`crit` that is no list", json!({ "crit": "b64" })),
        critical("`b64: false`, said to be critical", json!({ "crit": ["b64"], "b64": false })),
        critical("`b64: false` alone", json!({ "b64": false })),
    ]
}

fn types() -> Vec<Hostile> {
    let wrong = |name, typ: &str| hostile(name, "wrong_type", with(json!({ "typ": typ })));
    vec![
        wrong("a logout token", "logout+jwt"),
        wrong("a proof of possession", "dpop+jwt"),
        wrong("a security event", "secevent+jwt"),
        wrong("an encrypted type", "JWE"),
        wrong("an empty type", ""),
        wrong("a type that begins as it should", "JWT2"),
        hostile("a number for `typ`", "bad_header", with(json!({ "typ": 1 }))),
    ]
}
