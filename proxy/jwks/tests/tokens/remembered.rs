//! Tokens that were verified before.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use jsonwebtoken_jwks::{
    refused::Reason,
    verifier::{Issuer, Verifier},
};
use serde_json::json;

use super::mint::{
    NOW, PAIRS, all_keys, at, claims, good, header, issuer, now, policy, verifier, with, without,
};

#[tokio::test]
async fn a_good_token_is_judged_once_and_then_remembered() {
    let judged = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&judged);
    let verifier = Verifier::new(vec![issuer(policy(), &all_keys())], 64, move |_, _| {
        count.fetch_add(1, Ordering::Relaxed)
    });
    let token = good();
    assert!(verifier.cached(&token, now()).is_none());
    let first = verifier.verify(&token, now()).await.unwrap();
    let second = verifier.verify(&token, now()).await.unwrap();
    let third = verifier.cached(&token, now()).unwrap();
    assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &third));
    assert_eq!(judged.load(Ordering::Relaxed), 1);
    assert!(verifier.cached(&format!("{token} "), now()).is_none());
}

#[tokio::test]
async fn nothing_is_remembered_past_its_end() {
    let verifier = verifier(vec![issuer(policy(), &all_keys())]);
    let token = good();
    verifier.verify(&token, now()).await.unwrap();
    // `exp` is 300 s away and the leeway 30 s.
    assert!(verifier.cached(&token, at(NOW + 329)).is_some());
    assert!(verifier.cached(&token, at(NOW + 330)).is_none());
    let refused = verifier.verify(&token, at(NOW + 330)).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Expired);
    assert_eq!(verifier.cached_len(), 0);
}

#[tokio::test]
async fn a_token_without_an_end_is_remembered_where_that_is_allowed() {
    let mut policy = policy();
    policy.required.expiry = false;
    let verifier = verifier(vec![Issuer { policy, keys: None }]);
    let token = PAIRS.rsa.token(&header(), &without(&claims(), "exp"));
    verifier.verify(&token, now()).await.unwrap();
    assert!(verifier.cached(&token, at(NOW * 2)).is_some());
}

#[tokio::test]
async fn no_more_tokens_are_remembered_than_allowed() {
    let verifier = Verifier::new(vec![Issuer { policy: policy(), keys: None }], 10, |_, _| ());
    for number in 0..100 {
        let claims = with(&claims(), "sub", json!(number.to_string()));
        verifier.verify(&PAIRS.edwards.token(&header(), &claims), now()).await.unwrap();
    }
    assert!(verifier.cached_len() <= 10, "{}", verifier.cached_len());
}

#[tokio::test]
async fn an_overlong_token_is_not_even_looked_up() {
    let verifier = verifier(vec![issuer(policy(), &all_keys())]);
    assert!(verifier.cached(&"a".repeat(1 << 20), now()).is_none());
}
