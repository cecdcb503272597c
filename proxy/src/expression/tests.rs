use proptest::{prop_assert, proptest};

use super::*;

#[test]
fn conditions_that_can_be_met_are_good() {
    for text in [
        "true",
        "payload.groups.exists(g, g == \"sre\")",
        "payload.groups.exists(g, g in [\"a\", \"b\"])",
        "has(payload.tenant) && payload.tenant.startsWith(\"a-\")",
        "payload.unheard_of.of.claim > 5",
        "\"cognito:groups\" in payload && \"sre\" in payload[\"cognito:groups\"]",
        "payload.exp - payload.iat <= 3600",
        "payload.scope.matches(\"(^| )metrics:read( |$)\")",
        "size(payload.groups) > 0 && type(payload.sub) == string",
        "payload.realm_access.roles.exists(r,\n  r == \"é\")",
        "payload.groups.filter(g, g.endsWith(\"x\")).map(g, size(g)).all(n, n > 1)",
        "payload.aud == \"x\" || \"x\" in payload.aud",
    ] {
        assert_eq!(compiled(text, Subject::Token).map(drop), Ok(()), "{text}");
    }
}

#[test]
fn what_cannot_be_a_condition_is_refused_with_its_place() {
    let at = |line, column| Spot { line, column };
    for (text, wanted) in [
        (" ", ExpressionError::Empty),
        ("payload.sub ==", ExpressionError::Unreadable(at(1, 15))),
        ("payload.sub == 'a", ExpressionError::Unreadable(at(1, 16))),
        ("payloud.sub == 'a'", ExpressionError::UnknownName(at(1, 1))),
        ("has(payload.x) &&\n  sre == 'a'", ExpressionError::UnknownName(at(2, 3))),
        ("has(payload.x) && payload.x.startWith('a')", ExpressionError::UnknownFunction(at(1, 38))),
        ("lower(payload.sub) == 'a'", ExpressionError::UnknownFunction(at(1, 6))),
        ("payload.sub", ExpressionError::NotTrueOrFalse),
        ("'true'", ExpressionError::NotTrueOrFalse),
        ("size(payload)", ExpressionError::NotTrueOrFalse),
        ("payload.sub > 5", ExpressionError::FailsOnSamples),
        ("has(payload.sub) && payload.sub.matches('[')", ExpressionError::FailsOnSamples),
        ("1 / 0 == 1", ExpressionError::FailsOnSamples),
        ("payload", ExpressionError::NotTrueOrFalse),
        ("[true]", ExpressionError::NotTrueOrFalse),
    ] {
        assert_eq!(compiled(text, Subject::Token).map(drop), Err(wanted), "{text}");
    }
    assert_eq!(
        compiled(&"(".repeat(5000), Subject::Token).map(drop),
        Err(ExpressionError::TooLong)
    );
}

#[test]
fn a_name_that_does_not_exist_is_found_where_no_sample_leads() {
    let variable = |column| ExpressionError::UnknownName(Spot { line: 1, column });
    let function = |column| ExpressionError::UnknownFunction(Spot { line: 1, column });
    for (text, wanted) in [
        ("groups.exists(g, g == 'a')", variable(1)),
        ("has(payload.rare) && payload.rare == ann", variable(38)),
        ("payload.rare == 1 || [1].exists(x, y == x)", variable(36)),
        // A macro's variable ends with the macro.
        ("has(payload.a) && payload.a.exists(g, g == 'x') && g == 'y'", variable(52)),
        ("payload.groups.exists(g, g == 'a') && g == 'a'", variable(39)),
        ("payload.rare == 1 && {'a': b}.a == 1", variable(28)),
        ("payload.rare == 1 && lower(payload.sub) == 'ann'", function(27)),
        ("payload.rare == 1 && startsWith('a', 'b')", function(32)),
        ("payload.rare == 1 && timestamp(payload.exp) < now", function(31)),
    ] {
        assert_eq!(compiled(text, Subject::Token).map(drop), Err(wanted), "{text}");
    }
}

#[test]
fn numbers_are_of_the_same_type_when_tried_and_when_evaluated() {
    let claims = json!({ "small": 5, "negative": -5, "large": u64::MAX, "ratio": 0.5 });
    let payload = Payload::of(claims.as_object().unwrap());
    for text in [
        "payload.small + 1 == 6",
        "payload.negative + 6 == 1",
        "payload.large > 1u",
        "payload.ratio * 2.0 == 1.0",
    ] {
        let expression = Expression::read(text, "here").unwrap_or_else(|error| panic!("{error}"));
        let found = expression.evaluate(&payload);
        assert!(matches!(found, Evaluated::Value(Value::Bool(true))), "{text}: {found:?}");
    }
}

#[test]
fn expressions_are_equal_by_text_and_place_and_show_both() {
    let read = |text: &str, place: &str| Expression::read(text, place).unwrap();
    assert_eq!(read("true", "a"), read("true", "a"));
    assert_ne!(read("true", "a"), read("true", "b"));
    assert_ne!(read("true", "a"), read("!false", "a"));
    let shown = format!("{:?}", read("true", "a"));
    assert_eq!(shown, "Expression { text: \"true\", place: \"a\" }");
}

/// Nested, or in a row, `n` times.
fn nested(n: usize) -> [String; 8] {
    [
        "(".repeat(n),
        format!("{}1{} == 1", "[".repeat(n), "]".repeat(n)),
        format!("{}true", "!".repeat(n)),
        format!("{}true", "true ? true : ".repeat(n)),
        format!("{}true", "true && ".repeat(n)),
        format!("1{} > 0", " + 1".repeat(n)),
        format!("payload{} == 1", ".a".repeat(n)),
        format!("{}true{}", "[1].all(a, ".repeat(n), ")".repeat(n)),
    ]
}

#[test]
fn what_nests_too_deeply_is_refused_and_the_rest_fits_a_threads_stack() {
    let payload = Payload::of(&Map::new());
    let mut good = 0;
    for n in [3, 5, 7, 8, 9, 32, 33, 40, 46, 96, 250, 1000, 2000] {
        for text in nested(n) {
            if let Ok(expression) = Expression::read(&text, "here") {
                drop(expression.evaluate(&payload));
                good += 1;
            }
        }
    }
    assert!(good >= 25, "{good}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z]{1,3}|payload|[.,:?()\\[\\]{}'\"&|=!<>+*/%-]| |[0-9]|\\\\|r|b|é|\n|true|exists|has){0,20}") {
        prop_assert!(text.is_empty() || compiled(&text, Subject::Token).map(drop) != Err(ExpressionError::TooLong));
    }
}
