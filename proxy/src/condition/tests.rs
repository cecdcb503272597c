use proptest::prelude::*;
use serde_json::json;

use super::*;

fn condition(text: &str) -> Condition {
    let expression = Expression::read(text, "allow_conditions[0].expression");
    Condition::of(&expression.unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn holds(text: &str, claims: &serde_json::Value) -> Result<bool, ConditionFailed> {
    condition(text).holds(&Payload::of(claims.as_object().unwrap()))
}

#[test]
fn a_condition_is_true_or_false_of_the_claims() {
    let claims = json!({
        "sub": "ann", "exp": 1_900_000_000, "groups": ["a", "data-science@example.com"],
        "email": "ann@example.com", "email_verified": true, "level": -3, "ratio": 0.5,
        "large": u64::MAX, "realm_access": { "roles": ["admin"] }, "cognito:groups": ["x"],
        "nothing": null,
    });
    for (text, expected) in [
        ("payload.groups.exists(g, g in ['data-science@example.com', 'other'])", true),
        ("payload.groups.exists(g, g == 'A')", false),
        ("payload.email.endsWith('@example.com') && payload.email_verified", true),
        ("payload.email.endsWith('@evil.example')", false),
        ("has(payload.tenant) && payload.tenant == 'x'", false),
        ("'admin' in payload.realm_access.roles", true),
        ("payload['cognito:groups'].all(g, g == 'x')", true),
        ("payload.exp > 1899999999 && payload.level + 3 == 0", true),
        ("payload.ratio < 1.0 && payload.level < 0", true),
        ("payload.large > 1u", true),
        ("payload.nothing == null", true),
        ("payload.email.matches('^[a-z]+@example[.]com$')", true),
        ("size(payload.groups) == 2", true),
        ("payload.groups.filter(g, g.contains('@')).map(g, g.size()) == [24]", true),
        ("payload.groups.exists_one(g, g == 'a') && type(payload.sub) == string", true),
        ("payload.groups.all(g, payload.groups.exists(h, h == g))", true),
        ("optional.of(payload.sub).hasValue() && int('3') + payload.level == 0", true),
        ("double(payload.level) == -3.0 && string(payload.level) == '-3'", true),
        ("!payload.email_verified ? false : payload.exp % 2 == 0", true),
        ("{'ann': true}[payload.sub] && [1, 2][1] == 2 && -payload.level == 3", true),
        ("payload.?tenant.orValue('none') == 'none'", true),
        ("true", true),
    ] {
        assert_eq!(holds(text, &claims), Ok(expected), "{text}");
    }
}

#[test]
fn a_missing_claim_is_a_failure_and_not_false() {
    let failed = holds("payload.groups.exists(g, g == 'a')", &json!({ "sub": "ann" }));
    assert_eq!(failed, Err(ConditionFailed::NoSuchClaim { claim: Some("`groups`".into()) }));
    assert_eq!(failed.unwrap_err().to_string(), "the token has no claim `groups`");
    assert!(holds("!(payload.blocked)", &json!({})).is_err(), "nor is its negation true");
}

#[test]
fn a_claim_of_another_type_is_a_failure() {
    let failed = holds("payload.groups.exists(g, g == 'a')", &json!({ "groups": 1 }));
    assert!(failed.is_err(), "{failed:?}");
    let failed = holds("payload.level > 1", &json!({ "level": "high" }));
    assert!(matches!(failed, Err(ConditionFailed::WrongType { .. })), "{failed:?}");
    let failed = holds("payload.admin", &json!({ "admin": "yes" })).unwrap_err();
    assert_eq!(failed, ConditionFailed::NotBoolean { found: "string" });
}

#[test]
fn a_failure_shows_no_claims_value() {
    let claims = json!({ "email": "ann@canary.example", "level": "canary", "map": {} });
    for text in [
        "payload.map[payload.email] == 1",
        "payload.level > 1",
        "payload.level + 1 == 2",
        "payload.email.matches(payload.level + '(')",
        "int(payload.level) == 1",
        "payload[0] == 1",
    ] {
        let failed = holds(text, &claims).unwrap_err();
        let shown = format!("{failed} {failed:?}");
        assert!(!shown.contains("canary"), "{text}: {shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_claim_makes_evaluating_panic_or_true(level in any::<f64>(), text in ".{0,20}") {
        let claims = json!({ "level": level, "text": text, "list": [level, text] });
        for condition in ["payload.level == 'x'", "payload.text in ['\u{1}never']"] {
            prop_assert_ne!(holds(condition, &claims), Ok(true));
        }
        prop_assert_eq!(holds("payload.text in payload.list", &claims), Ok(true));
    }
}
