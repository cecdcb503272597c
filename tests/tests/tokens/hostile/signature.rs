//! Signatures that do not fit.

use e2e::minter::{Key, Kind, encode, keys};
use serde_json::json;

use super::{Hostile, good_claims, hostile};

/// A token of a key with what `change` makes of its signature.
fn changed(key: &Key, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let (input, signature) = signed(key);
    format!("{input}.{}", encode(change(signature)))
}

fn signed(key: &Key) -> (String, Vec<u8>) {
    let input =
        format!("{}.{}", encode(key.header().to_string()), encode(good_claims().to_string()));
    let signature = key.sign(key.algorithm(), &input);
    (input, signature)
}

/// A token whose header names `named` and whose signature is another key's.
fn forged(named: &Key, forger: &Key) -> String {
    forger.sealed(&named.header().to_string(), &good_claims().to_string())
}

/// An ECDSA signature as X.509 has it: a sequence of two integers.
fn der(fixed: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        let sign = if digits[0] >= 0x80 { vec![0] } else { Vec::new() };
        let value = [&sign, digits].concat();
        [&[2, u8::try_from(value.len()).unwrap()], value.as_slice()].concat()
    };
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(both.len()).unwrap()], both.as_slice()].concat()
}

/// The order of P-256: no signature may hold it.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

pub(super) fn table() -> Vec<Hostile> {
    [of_any_key(), of_ecdsa(), of_rsa(), moved()].into_iter().flatten().collect()
}

fn of_any_key() -> Vec<Hostile> {
    let mut rows = Vec::new();
    let names = [
        [
            "no signature (RSA)",
            "one bit of it (RSA)",
            "too short (RSA)",
            "too long (RSA)",
            "zeros (RSA)",
        ],
        [
            "no signature (P-256)",
            "one bit of it (P-256)",
            "too short (P-256)",
            "too long (P-256)",
            "zeros (P-256)",
        ],
        [
            "no signature (P-384)",
            "one bit of it (P-384)",
            "too short (P-384)",
            "too long (P-384)",
            "zeros (P-384)",
        ],
        [
            "no signature (Ed)",
            "one bit of it (Ed)",
            "too short (Ed)",
            "too long (Ed)",
            "zeros (Ed)",
        ],
    ];
    for (key, names) in keys().all().into_iter().zip(names) {
        let tokens = [
            changed(key, |_| Vec::new()),
            changed(key, |mut signature| {
                signature[17] ^= 1;
                signature
            }),
            changed(key, |mut signature| {
                signature.pop();
                signature
            }),
            changed(key, |signature| [signature, vec![0]].concat()),
            changed(key, |signature| vec![0; signature.len()]),
        ];
        rows.extend(
            names
                .into_iter()
                .zip(tokens)
                .map(|(name, token)| hostile(name, "bad_signature", token)),
        );
    }
    rows
}

fn of_ecdsa() -> Vec<Hostile> {
    let bad = |name, token| hostile(name, "bad_signature", token);
    let key = &keys().p256;
    vec![
        bad("ECDSA in DER", changed(key, |signature| der(&signature))),
        bad("zero r", changed(key, |signature| [&[0; 32], &signature[32..]].concat())),
        bad("zero s", changed(key, |signature| [&signature[..32], &[0; 32]].concat())),
        bad("r and s are the order of the curve", changed(key, |_| [ORDER, ORDER].concat())),
        bad("a signature on P-384 for ES256", forged(key, &keys().p384)),
        bad("another key of the same kind", forged(key, &Key::new(Kind::P256, "p256"))),
        bad("a key of the curve of Bitcoin", forged(key, &Key::new(Kind::Secp256k1, "p256"))),
    ]
}

fn of_rsa() -> Vec<Hostile> {
    let bad = |name, token| hostile(name, "bad_signature", token);
    let key = &keys().rsa;
    let (header, claims) = (key.header().to_string(), good_claims().to_string());
    vec![
        bad("PSS for RS256", key.sealed_by("PS256", &header, &claims)),
        bad("SHA-512 for RS256", key.sealed_by("RS512", &header, &claims)),
        bad("another RSA key", forged(key, &Key::new(Kind::Rsa, "rsa"))),
        bad("all bits set", changed(key, |signature| vec![0xff; signature.len()])),
        bad("another Ed25519 key", forged(&keys().ed25519, &Key::new(Kind::Ed25519, "ed25519"))),
    ]
}

/// Signatures of other texts.
fn moved() -> Vec<Hostile> {
    let key = &keys().p256;
    let (input, signature) = signed(key);
    let (header, _) = input.split_once('.').unwrap();
    let mut claims = good_claims();
    claims["sub"] = json!("mallory");
    let other_claims = format!("{header}.{}.{}", encode(claims.to_string()), encode(&signature));
    let other_header = json!({ "alg": "ES256", "kid": "p256", "typ": "JWT" }).to_string();
    let (_, payload) = input.split_once('.').unwrap();
    let other_header = format!("{}.{payload}.{}", encode(other_header), encode(signature));
    vec![
        hostile("the payload was changed", "bad_signature", other_claims),
        hostile("the header was changed", "bad_signature", other_header),
    ]
}
