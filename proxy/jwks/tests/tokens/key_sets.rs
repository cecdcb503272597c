//! Key sets: what is used, what is skipped and why, and what is no set at all.

use jsonwebtoken_jwks::{
    algorithm::Algorithm,
    key::{KeySet, KeySetError, RejectedReason, RejectedReason as Why},
    refused::Reason,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::mint::{
    PAIRS, all_keys, claims, decoded, document, encoded, issuer, key_set, now, policy, verifier,
    with, without,
};

/// An RSA key of that many bits; nobody has its private half.
fn rsa_of(bits: usize, exponent: &[u8]) -> Value {
    let mut modulus = vec![0xa5; bits / 8];
    *modulus.last_mut().unwrap() = 0xa7;
    json!({"kty": "RSA", "n": encoded(&modulus), "e": encoded(exponent)})
}

type Row = (&'static str, Value, RejectedReason);

/// What keys say of themselves.
fn hostile_members() -> Vec<Row> {
    let (rsa, p256, edwards) = (PAIRS.rsa.jwk(), PAIRS.p256.jwk(), PAIRS.edwards.jwk());
    let zero = encoded(&[0; 32]);
    vec![
        ("text", json!("key"), Why::Malformed),
        ("null", Value::Null, Why::Malformed),
        ("empty", json!({}), Why::Malformed),
        ("no kty", without(&rsa, "kty"), Why::Malformed),
        ("kty is a number", with(&rsa, "kty", json!(5)), Why::Malformed),
        ("kty in lower case", with(&rsa, "kty", json!("rsa")), Why::UnknownType),
        ("post-quantum", json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}), Why::UnknownType),
        ("oct", json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}), Why::Symmetric),
        ("oct for RS256", json!({"kty": "oct", "k": "c2VjcmV0", "alg": "RS256"}), Why::Symmetric),
        ("private RSA", with(&rsa, "d", json!("AQAB")), Why::Private),
        ("private prime", with(&rsa, "p", json!("AQAB")), Why::Private),
        ("private EC", with(&p256, "d", json!(null)), Why::Private),
        ("private Ed25519", with(&edwards, "d", json!(zero)), Why::Private),
        ("for encryption", with(&rsa, "use", json!("enc")), Why::NotForSignatures),
        ("use in capitals", with(&rsa, "use", json!("SIG")), Why::NotForSignatures),
        ("use is an array", with(&rsa, "use", json!(["sig"])), Why::Malformed),
        ("only signs", with(&rsa, "key_ops", json!(["sign"])), Why::NotForVerifying),
        ("no operation", with(&rsa, "key_ops", json!([])), Why::NotForVerifying),
        ("key_ops is text", with(&rsa, "key_ops", json!("verify")), Why::Malformed),
        ("kid is a number", with(&rsa, "kid", json!(5)), Why::Malformed),
        ("alg of HMAC", with(&rsa, "alg", json!("HS256")), Why::AlgorithmUnsupported),
        ("alg of encryption", with(&rsa, "alg", json!("RSA-OAEP")), Why::AlgorithmUnsupported),
        ("alg none", with(&rsa, "alg", json!("none")), Why::AlgorithmUnsupported),
        ("alg of another type", with(&rsa, "alg", json!("ES256")), Why::AlgorithmUnsupported),
        ("alg of another curve", with(&p256, "alg", json!("ES384")), Why::AlgorithmUnsupported),
        ("alg is a number", with(&rsa, "alg", json!(5)), Why::Malformed),
    ]
}

/// What keys are made of.
fn hostile_material() -> Vec<Row> {
    let (rsa, p256, edwards) = (PAIRS.rsa.jwk(), PAIRS.p256.jwk(), PAIRS.edwards.jwk());
    let modulus = decoded(rsa["n"].as_str().unwrap());
    let mut even = modulus.clone();
    *even.last_mut().unwrap() &= 0xfe;
    let mut off = decoded(p256["y"].as_str().unwrap());
    off[31] ^= 1;
    let padded = format!("{}==", p256["x"].as_str().unwrap());
    let zero = encoded(&[0; 32]);
    vec![
        ("RSA without modulus", without(&rsa, "n"), Why::Malformed),
        ("RSA without exponent", without(&rsa, "e"), Why::Malformed),
        ("RSA of 512 bits", rsa_of(512, &[1, 0, 1]), Why::RsaTooShort),
        ("RSA of 1024 bits", rsa_of(1024, &[1, 0, 1]), Why::RsaTooShort),
        ("RSA of 2040 bits", rsa_of(2040, &[1, 0, 1]), Why::RsaTooShort),
        ("RSA of 16384 bits", rsa_of(16384, &[1, 0, 1]), Why::RsaTooLong),
        (
            "RSA that begins with zero",
            {
                let long = [&[0], modulus.as_slice()].concat();
                with(&rsa, "n", json!(encoded(&long)))
            },
            Why::Malformed,
        ),
        ("RSA of zeros", with(&rsa, "n", json!(encoded(&[0; 256]))), Why::Malformed),
        ("RSA with nothing", with(&rsa, "n", json!("")), Why::Malformed),
        ("RSA that is even", with(&rsa, "n", json!(encoded(&even))), Why::Malformed),
        ("exponent 0", with(&rsa, "e", json!("AA")), Why::Malformed),
        ("exponent 1", with(&rsa, "e", json!("AQ")), Why::BadExponent),
        ("exponent 2", with(&rsa, "e", json!("Ag")), Why::BadExponent),
        ("even exponent", with(&rsa, "e", json!(encoded(&[1, 0, 0]))), Why::BadExponent),
        ("huge exponent", with(&rsa, "e", json!(encoded(&[1; 32]))), Why::BadExponent),
        ("exponent is a number", with(&rsa, "e", json!(65537)), Why::Malformed),
        ("exponent with a zero before", with(&rsa, "e", json!("AAEAAQ")), Why::Malformed),
        ("padded exponent", with(&rsa, "e", json!("AQAB====")), Why::Malformed),
        ("EC without curve", without(&p256, "crv"), Why::Malformed),
        ("EC without y", without(&p256, "y"), Why::Malformed),
        ("EC off its curve", with(&p256, "y", json!(encoded(&off))), Why::NotOnCurve),
        ("EC at zero", with(&with(&p256, "x", json!(zero)), "y", json!(zero)), Why::NotOnCurve),
        ("EC on another curve", with(&p256, "crv", json!("P-384")), Why::Malformed),
        ("EC with a short x", with(&p256, "x", json!("AQAB")), Why::Malformed),
        ("EC with padding", with(&p256, "x", json!(padded)), Why::Malformed),
        ("P-521", with(&p256, "crv", json!("P-521")), Why::UnknownCurve),
        ("secp256k1", with(&p256, "crv", json!("secp256k1")), Why::UnknownCurve),
        ("X25519", with(&edwards, "crv", json!("X25519")), Why::UnknownCurve),
        ("Ed448", with(&edwards, "crv", json!("Ed448")), Why::UnknownCurve),
        ("Ed25519 as EC", with(&edwards, "kty", json!("EC")), Why::UnknownCurve),
        ("P-256 as OKP", with(&p256, "kty", json!("OKP")), Why::UnknownCurve),
        ("Ed25519 too long", with(&edwards, "x", json!(encoded(&[1; 33]))), Why::Malformed),
    ]
}

#[test]
fn a_bad_key_is_skipped_for_its_reason_and_costs_the_others_nothing() {
    for (name, key, reason) in hostile_members().into_iter().chain(hostile_material()) {
        let set = key_set(&[PAIRS.rsa.named("before"), key, PAIRS.p256.named("after")]);
        let kids: Vec<_> = set.keys().iter().map(|key| key.kid().unwrap()).collect();
        assert_eq!(kids, ["before", "after"], "{name}");
        let reasons: Vec<_> = set.rejected().iter().map(|key| key.reason).collect();
        assert_eq!(reasons, [reason], "{name}");
    }
}

#[tokio::test]
async fn a_token_of_a_skipped_key_is_of_an_unknown_key() {
    for (change, value) in [("use", json!("enc")), ("key_ops", json!(["sign"])), ("d", json!("AA"))]
    {
        let key = with(&PAIRS.rsa.named("rsa"), change, value);
        let verifier = verifier(vec![issuer(policy(), &[key, PAIRS.p256.named("p256")])]);
        let token = PAIRS.rsa.token(&json!({"alg": "RS256", "kid": "rsa"}), &claims());
        let refused = verifier.verify(&token, now()).await.unwrap_err();
        assert_eq!(refused.reason, Reason::UnknownKey, "{change}");
    }
}

#[test]
fn each_type_of_key_is_used_with_its_algorithms() {
    let set = key_set(&all_keys());
    let kinds: Vec<_> = set.keys().iter().map(|key| (key.kind(), key.algorithms().len())).collect();
    assert_eq!(kinds, [("RSA", 6), ("P-256", 1), ("P-384", 1), ("Ed25519", 1)]);
    let narrow = key_set(&[with(&PAIRS.rsa.jwk(), "alg", json!("PS256"))]);
    assert_eq!(narrow.keys()[0].algorithms(), [Algorithm::Ps256]);
    for bits in [2048, 3072, 4096, 8192] {
        assert_eq!(key_set(&[rsa_of(bits, &[1, 0, 1])]).keys().len(), 1, "{bits}");
    }
    assert_eq!(key_set(&[rsa_of(2048, &[3])]).keys().len(), 1, "exponent 3");
    let told = with(&PAIRS.rsa.jwk(), "use", json!("sig"));
    let told = with(&told, "key_ops", json!(["verify", "other"]));
    let told = with(&told, "x5c", json!(["not looked at"]));
    assert_eq!(key_set(&[told]).keys().len(), 1);
}

#[tokio::test]
async fn the_alg_of_a_key_narrows_what_it_verifies() {
    let key = with(&PAIRS.rsa.named("rsa"), "alg", json!("RS256"));
    let verifier = verifier(vec![issuer(policy(), &[key])]);
    for (alg, expected) in [("RS256", None), ("PS256", Some(Reason::AlgorithmNotAllowed))] {
        let token = PAIRS.rsa.token(&json!({"alg": alg, "kid": "rsa"}), &claims());
        let outcome = verifier.verify(&token, now()).await;
        assert_eq!(outcome.err().map(|refused| refused.reason), expected, "{alg}");
    }
}

#[test]
fn a_key_verifies_with_no_algorithm_but_its_own() {
    let set = key_set(&[with(&PAIRS.rsa.jwk(), "alg", json!("RS256"))]);
    let signature = |alg: &str| encoded(&PAIRS.rsa.sign(alg, b"text"));
    assert!(set.keys()[0].verifies(Algorithm::Rs256, "text", &signature("RS256")));
    assert!(!set.keys()[0].verifies(Algorithm::Ps256, "text", &signature("PS256")));
    assert!(!set.keys()[0].verifies(Algorithm::Rs256, "other", &signature("RS256")));
}

#[test]
fn usable_keys_of_one_kid_are_all_dropped() {
    let set = key_set(&[
        PAIRS.rsa.named("twice"),
        PAIRS.p256.named("once"),
        PAIRS.p384.named("twice"),
        PAIRS.edwards.jwk(),
        PAIRS.stranger.jwk(),
        with(&PAIRS.p256.named("once"), "use", json!("enc")),
    ]);
    let kids: Vec<_> = set.keys().iter().map(|key| key.kid()).collect();
    assert_eq!(kids, [Some("once"), None, None], "a key that is skipped anyway does not count");
    let rejected: Vec<_> =
        set.rejected().iter().map(|key| (key.kid.as_deref(), key.reason.word())).collect();
    let once = (Some("once"), "not_for_signatures");
    assert_eq!(
        rejected,
        [once, (Some("twice"), "duplicate_kid"), (Some("twice"), "duplicate_kid")]
    );
}

#[test]
fn a_document_that_is_no_set_is_refused() {
    for wrong in ["", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":null}", "{\"Keys\":[]}"] {
        let error = KeySet::parse(wrong.as_bytes()).unwrap_err();
        let expected = matches!(error, KeySetError::NotAKeySet | KeySetError::NotJson(_));
        assert!(expected, "{wrong}: {error}");
    }
    for wrong in ["<html>", "{\"keys\":[]} x", "{\"keys\":[", "{\"keys\":[1e999]}"] {
        let error = KeySet::parse(wrong.as_bytes()).unwrap_err();
        assert!(matches!(error, KeySetError::NotJson(_)), "{wrong}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(KeySet::parse(deep.as_bytes()), Err(KeySetError::NotJson(_))));
    let long = format!("{{\"keys\":[]{}}}", " ".repeat(256 << 10));
    assert!(matches!(KeySet::parse(long.as_bytes()), Err(KeySetError::TooLong)));
}

#[test]
fn a_set_has_at_most_64_keys() {
    let keys = |count: usize| document(&vec![json!({"kty": "oct"}); count]);
    assert_eq!(KeySet::parse(&keys(64)).unwrap().rejected().len(), 64);
    let error = KeySet::parse(&keys(65)).unwrap_err();
    assert_eq!(error.to_string(), "the key set has 65 keys, more than 64");
}

#[test]
fn sets_are_the_same_if_their_usable_keys_are() {
    let all = all_keys();
    let set = key_set(&all);
    let reversed: Vec<_> = all.iter().rev().cloned().collect();
    assert!(set.same_keys(&key_set(&reversed)), "the order does not matter");
    let skipped = [all.as_slice(), &[json!({"kty": "oct"})]].concat();
    assert!(set.same_keys(&key_set(&skipped)), "what is skipped does not matter");
    assert!(!set.same_keys(&key_set(&all[1..])), "one less");
    let renamed = [&all[1..], &[PAIRS.rsa.named("other")]].concat();
    assert!(!set.same_keys(&key_set(&renamed)), "another name");
    let replaced = [&all[1..], &[PAIRS.stranger.named("rsa")]].concat();
    assert!(!set.same_keys(&key_set(&replaced)), "another key of the same name");
    let narrowed = [&all[1..], &[with(&all[0], "alg", json!("RS256"))]].concat();
    assert!(!set.same_keys(&key_set(&narrowed)), "fewer algorithms");
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", key_set(&[PAIRS.p256.named("p256")]));
    let x = PAIRS.p256.jwk()["x"].as_str().unwrap().to_owned();
    assert!(shown.contains("p256") && !shown.contains(&x), "{shown}");
}

proptest! {
    #[test]
    fn a_document_with_other_bytes_is_read_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut document = document(&[PAIRS.p256.named("p256"), PAIRS.edwards.named("edwards")]);
        for (place, byte) in edits {
            let place = place.index(document.len());
            document[place] = byte;
        }
        if let Ok(set) = KeySet::parse(&document) {
            prop_assert!(set.keys().len() + set.rejected().len() <= 2);
            prop_assert!(set.same_keys(&set.clone()));
        }
    }
}
