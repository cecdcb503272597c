//! Tokens that are let in, and what they are found to say.

use jsonwebtoken_jwks::{
    policy::{ClaimPath, ClaimRule, Policy, Required},
    refused::{Reason, Refused},
    verified::Verified,
    verifier::Issuer,
};
use serde_json::{Value, json};

use super::mint::{
    AUDIENCE, ISSUER, NOW, PAIRS, Pair, STRICT, all_keys, at, claims, header, issuer, now, policy,
    verifier, with, without,
};

/// What a policy makes of claims.
async fn read(policy: Policy, claims: &Value) -> Result<Verified, Refused> {
    let verifier = verifier(vec![issuer(policy, &all_keys())]);
    let accepted = verifier.verify(&PAIRS.rsa.token(&header(), claims), now()).await?;
    Ok(accepted.verified.clone())
}

async fn reason(policy: Policy, claims: &Value) -> (Reason, Option<&'static str>) {
    let refused = read(policy, claims).await.unwrap_err();
    (refused.reason, refused.claim)
}

#[tokio::test]
async fn every_algorithm_is_verified_with_its_key() {
    let rows: [(&str, &str, &Pair); 8] = [
        ("RS256", "rsa", &PAIRS.rsa),
        ("RS384", "rsa", &PAIRS.rsa),
        ("RS512", "rsa", &PAIRS.rsa),
        ("PS256", "rsa", &PAIRS.rsa),
        ("PS384", "rsa", &PAIRS.rsa),
        ("ES256", "p256", &PAIRS.p256),
        ("ES384", "p384", &PAIRS.p384),
        ("EdDSA", "edwards", &PAIRS.edwards),
    ];
    for (alg, kid, pair) in rows {
        for header in [json!({"alg": alg, "kid": kid}), json!({"alg": alg})] {
            let accepted = STRICT.verify(&pair.token(&header, &claims()), now()).await;
            assert_eq!(accepted.unwrap().verified.subject.as_deref(), Some("alice"), "{header}");
        }
    }
}

#[tokio::test]
async fn what_a_token_says_is_handed_over() {
    let claims = json!({
        "iss": ISSUER, "aud": ["other", AUDIENCE], "sub": "alice", "exp": NOW + 60, "nbf": NOW,
        "client_id": "app", "azp": "not this one", "scope": "a b  a", "scp": ["c", "b"],
        "groups": ["staff", "staff", "", "oncall"],
    });
    let token = PAIRS.rsa.token(&header(), &claims);
    let accepted = STRICT.verify(&token, now()).await.unwrap();
    let expected = Verified {
        issuer_index: 0,
        issuer: ISSUER.into(),
        subject: Some("alice".to_owned()),
        client_id: Some("app".to_owned()),
        scopes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        groups: ["staff", "oncall"].map(str::to_owned).to_vec(),
        expires: Some(at(NOW + 60)),
    };
    assert_eq!(accepted.verified, expected);
    assert_eq!(Value::Object(accepted.judgement.clone()), claims, "the judge sees the payload");
    let shown = format!("{:?}", accepted.verified);
    assert!(!shown.contains("alice") && !shown.contains("staff"), "{shown}");
}

#[tokio::test]
async fn spellings_that_providers_use_are_read() {
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"] {
        let token = PAIRS.rsa.token(&with(&header(), "typ", json!(typ)), &claims());
        assert!(STRICT.verify(&token, now()).await.is_ok(), "{typ}");
    }
    let token = PAIRS.rsa.token(&without(&header(), "typ"), &claims());
    assert!(STRICT.verify(&token, now()).await.is_ok(), "no typ");
    let rows = [with(&claims(), "azp", json!("app")), with(&claims(), "client_id", json!("app"))];
    for claims in rows {
        let verified = read(policy(), &claims).await.unwrap();
        assert_eq!(verified.client_id.as_deref(), Some("app"), "{claims}");
    }
    for scp in [json!("a b"), json!(["a", "b"])] {
        let verified = read(policy(), &with(&claims(), "scp", scp)).await.unwrap();
        assert_eq!(verified.scopes, ["a", "b"]);
    }
}

#[tokio::test]
async fn headers_that_bring_keys_change_nothing() {
    for (name, value) in [
        ("jwk", PAIRS.stranger.jwk()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["AAAA"])),
        ("jku", json!(5)),
    ] {
        let header = with(&header(), name, value);
        let good = PAIRS.rsa.token(&header, &claims());
        assert!(STRICT.verify(&good, now()).await.is_ok(), "{header}");
        let forged = PAIRS.stranger.token(&header, &claims());
        let refused = STRICT.verify(&forged, now()).await.unwrap_err();
        assert_eq!(refused.reason, Reason::BadSignature, "{header}");
    }
}

#[tokio::test]
async fn dates_have_their_exact_edges() {
    let leeway = 30;
    let rows = [
        ("exp", json!(NOW - leeway + 1), None),
        ("exp", json!(NOW - leeway), Some(Reason::Expired)),
        ("exp", json!(1_799_999_970.5), None),
        ("nbf", json!(NOW + leeway), None),
        ("nbf", json!(NOW + leeway + 1), Some(Reason::NotYetValid)),
        ("nbf", json!(1_800_000_030.5), Some(Reason::NotYetValid)),
        ("iat", json!(NOW + leeway), None),
        ("iat", json!(NOW + leeway + 1), Some(Reason::IssuedInFuture)),
        ("exp", json!(NOW - 10 + 86_400), None),
        ("exp", json!(NOW - 10 + 86_401), Some(Reason::LifetimeTooLong)),
    ];
    for (name, value, expected) in rows {
        let outcome = read(policy(), &with(&claims(), name, value.clone())).await;
        assert_eq!(outcome.err().map(|refused| refused.reason), expected, "{name} {value}");
    }
}

#[tokio::test]
async fn a_lifetime_begins_with_iat_then_nbf_then_now() {
    let day = 86_400;
    let rows = [
        (json!({"iat": NOW - 100, "nbf": NOW - 5}), NOW - 100),
        (json!({"nbf": NOW - 5}), NOW - 5),
        (json!({}), NOW),
    ];
    for (dates, start) in rows {
        let mut claims = without(&claims(), "iat");
        claims.as_object_mut().unwrap().extend(dates.as_object().unwrap().clone());
        let lasting = with(&claims, "exp", json!(start + day));
        assert!(read(policy(), &lasting).await.is_ok(), "{lasting}");
        let longer = with(&claims, "exp", json!(start + day + 1));
        assert_eq!(reason(policy(), &longer).await, (Reason::LifetimeTooLong, Some("exp")));
    }
}

#[tokio::test]
async fn each_registered_claim_can_be_relaxed_by_name_alone() {
    let relaxed = |change: fn(&mut Required)| {
        let mut policy = policy();
        change(&mut policy.required);
        policy
    };
    let rows: [(&'static str, Policy); 4] = [
        ("exp", relaxed(|required| required.expiry = false)),
        ("iss", relaxed(|required| required.issuer = false)),
        ("aud", relaxed(|required| required.audience = false)),
        ("sub", relaxed(|required| required.subject = false)),
    ];
    for (name, lenient) in rows {
        let lacking = without(&claims(), name);
        assert_eq!(reason(policy(), &lacking).await, (Reason::MissingClaim, Some(name)));
        let verified = read(lenient.clone(), &lacking).await.unwrap();
        assert_eq!(&*verified.issuer, ISSUER);
        for wrong in [json!("other"), json!({"a": 1})] {
            let claims = with(&claims(), name, wrong.clone());
            let accepted = read(lenient.clone(), &claims).await.is_ok();
            assert_eq!(accepted, name == "sub" && wrong.is_string(), "{name} {wrong}");
        }
    }
}

#[tokio::test]
async fn without_audiences_of_ours_any_passes_only_where_none_is_required() {
    let mut open = Policy { audiences: vec![], ..policy() };
    assert_eq!(reason(open.clone(), &claims()).await, (Reason::WrongAudience, Some("aud")));
    open.required.audience = false;
    assert!(read(open.clone(), &claims()).await.is_ok());
    let nonsense = with(&claims(), "aud", json!([1]));
    assert_eq!(reason(open, &nonsense).await, (Reason::BadClaims, Some("aud")));
}

fn path(path: &str) -> ClaimPath {
    ClaimPath::parse(path).unwrap()
}

#[tokio::test]
async fn groups_are_where_the_policy_says() {
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 60,
        "groups": ["plain"],
        "realm_access": {"roles": ["keycloak"]},
        "cognito:groups": ["cognito"],
        "https://example.com/roles": "namespaced",
        "a.b": "whole", "a": {"b": "stepped"},
    });
    let rows: [(&[&str], &[&str]); 7] = [
        (&[], &["plain"]),
        (&["realm_access.roles"], &["keycloak"]),
        (&["cognito:groups"], &["cognito"]),
        (&["https://example.com/roles"], &["namespaced"]),
        (&["a.b"], &["whole"]),
        (&["absent", "realm_access.absent", "groups.plain"], &[]),
        (&["groups", "realm_access.roles", "groups"], &["plain", "keycloak"]),
    ];
    for (paths, expected) in rows {
        let policy = Policy { groups: paths.iter().map(|one| path(one)).collect(), ..policy() };
        assert_eq!(read(policy, &claims).await.unwrap().groups, expected, "{paths:?}");
    }
}

#[tokio::test]
async fn further_claims_must_have_one_of_their_values() {
    let rule = |at: &str, any_of: &[&str]| {
        let any_of = any_of.iter().map(|one| (*one).to_owned()).collect();
        Policy { claims: vec![ClaimRule { path: path(at), any_of }], ..policy() }
    };
    let nested = with(&claims(), "org", json!({"id": ["x", "y"], "level": 5}));
    assert!(read(rule("token_use", &["access"]), &nested).await.is_ok());
    assert!(read(rule("token_use", &["id", "access"]), &nested).await.is_ok());
    assert!(read(rule("org.id", &["y"]), &nested).await.is_ok());
    let wrong = (Reason::WrongClaim, None);
    assert_eq!(reason(rule("token_use", &["id"]), &nested).await, wrong);
    assert_eq!(reason(rule("token_use", &["acc"]), &nested).await, wrong);
    assert_eq!(reason(rule("org.id", &["z"]), &nested).await, wrong);
    assert_eq!(reason(rule("org.level", &["5"]), &nested).await, wrong, "a number is no text");
    let missing = (Reason::MissingClaim, None);
    assert_eq!(reason(rule("org.absent", &["z"]), &nested).await, missing);
}

#[tokio::test]
async fn each_issuer_has_its_own_keys_and_policy() {
    let second = Policy {
        issuer: "https://second.example".to_owned(),
        audiences: vec!["second".to_owned()],
        ..policy()
    };
    let verifier = verifier(vec![
        issuer(policy(), &[PAIRS.rsa.named("k")]),
        issuer(second, &[PAIRS.stranger.named("k")]),
    ]);
    let header = with(&header(), "kid", json!("k"));
    let second = with(&claims(), "iss", json!("https://second.example"));
    let second = with(&second, "aud", json!("second"));
    let outcome = |pair: &'static Pair, claims: &Value| {
        let token = pair.token(&header, claims);
        let verifier = &verifier;
        async move {
            let outcome = verifier.verify(&token, now()).await;
            outcome.map(|accepted| accepted.verified.issuer_index).map_err(|refused| refused.reason)
        }
    };
    assert_eq!(outcome(&PAIRS.rsa, &claims()).await, Ok(0));
    assert_eq!(outcome(&PAIRS.stranger, &second).await, Ok(1));
    assert_eq!(outcome(&PAIRS.stranger, &claims()).await, Err(Reason::BadSignature));
    assert_eq!(outcome(&PAIRS.rsa, &second).await, Err(Reason::BadSignature));
    let foreign = with(&second, "aud", json!(AUDIENCE));
    assert_eq!(outcome(&PAIRS.stranger, &foreign).await, Err(Reason::WrongAudience));
    assert_eq!(outcome(&PAIRS.rsa, &without(&claims(), "iss")).await, Err(Reason::MissingClaim));
}

#[tokio::test]
async fn where_a_proxy_checks_signatures_only_claims_are_checked() {
    let verifier = verifier(vec![Issuer { policy: policy(), keys: None }]);
    let unsigned_tail = |token: &str| token.rsplit_once('.').unwrap().0.to_owned() + ".";
    let forged = PAIRS.stranger.token(&header(), &claims());
    assert!(verifier.verify(&forged, now()).await.is_ok());
    assert!(verifier.verify(&unsigned_tail(&forged), now()).await.is_ok());
    let symmetric = PAIRS.stranger.token(&json!({"alg": "HS256"}), &claims());
    assert!(
        verifier.verify(&symmetric, now()).await.is_ok(),
        "whose algorithm is not ours to judge"
    );
    let rows = [
        (json!({"alg": "none"}), claims(), Reason::Unsigned),
        (json!({"alg": "RS256", "crit": ["x"]}), claims(), Reason::CriticalHeader),
        (header(), with(&claims(), "exp", json!(NOW - 60)), Reason::Expired),
        (header(), with(&claims(), "iss", json!("other")), Reason::UnknownIssuer),
        (header(), with(&claims(), "aud", json!("other")), Reason::WrongAudience),
    ];
    for (header, claims, reason) in rows {
        let token = PAIRS.stranger.token(&header, &claims);
        assert_eq!(verifier.verify(&token, now()).await.unwrap_err().reason, reason, "{header}");
    }
}

#[tokio::test]
async fn keys_without_a_name_are_tried_by_algorithm() {
    let keys = [PAIRS.stranger.jwk(), PAIRS.p256.jwk(), PAIRS.rsa.jwk()];
    let verifier = verifier(vec![issuer(policy(), &keys)]);
    for header in [json!({"alg": "RS256"}), json!({"alg": "RS256", "kid": "whatever"})] {
        assert!(verifier.verify(&PAIRS.rsa.token(&header, &claims()), now()).await.is_ok());
    }
    let rows = [
        (json!({"alg": "ES256"}), &PAIRS.rsa, Reason::BadSignature),
        (json!({"alg": "EdDSA"}), &PAIRS.edwards, Reason::UnknownKey),
        (json!({"alg": "ES256", "kid": "whatever"}), &PAIRS.rsa, Reason::UnknownKey),
    ];
    for (header, pair, reason) in rows {
        let refused = verifier.verify(&pair.token(&header, &claims()), now()).await.unwrap_err();
        assert_eq!(refused.reason, reason, "{header}");
    }
}

#[tokio::test]
async fn at_most_eight_keys_are_tried_on_a_token_that_names_none() {
    let token = PAIRS.edwards.token(&json!({"alg": "EdDSA"}), &claims());
    for (strangers, accepted) in [(7, true), (8, false)] {
        let mut keys: Vec<_> = (0..strangers).map(|_| Pair::edwards().jwk()).collect();
        keys.extend([PAIRS.rsa.jwk(), PAIRS.edwards.jwk()]);
        let verifier = verifier(vec![issuer(policy(), &keys)]);
        assert_eq!(verifier.verify(&token, now()).await.is_ok(), accepted, "{strangers}");
    }
}
