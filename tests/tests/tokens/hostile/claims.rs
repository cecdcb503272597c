//! Well signed tokens that are not for us, not now, or not what they should be.

use e2e::minter::{AUDIENCE, ISSUER, keys, now};
use serde_json::{Value, json};

use super::{Hostile, claims_with, hostile, with};

pub(super) fn table() -> Vec<Hostile> {
    [issuers(), audiences(), subjects(), expiries(), other_times(), required()]
        .into_iter()
        .flatten()
        .collect()
}

/// A token with the text of a claim as it stands: JSON that `Value` cannot hold.
fn with_text(claim: &str, text: &str) -> String {
    let claims = claims_with(&json!({ claim: "TEXT" })).to_string();
    keys().p256.sealed(&keys().p256.header().to_string(), &claims.replace("\"TEXT\"", text))
}

fn issuers() -> Vec<Hostile> {
    let unknown =
        |name, issuer: &str| hostile(name, "unknown_issuer", with(json!({ "iss": issuer })));
    vec![
        unknown("another issuer", "https://other.example"),
        unknown("a slash after the issuer", &format!("{ISSUER}/")),
        unknown("the issuer in capitals", &ISSUER.to_uppercase()),
        unknown("a longer issuer", &format!("{ISSUER}.evil.example")),
        unknown("the issuer without its scheme", "issuer.example"),
        unknown("a space before the issuer", &format!(" {ISSUER}")),
        unknown("an empty issuer", ""),
        hostile("a list of issuers", "bad_claims", with(json!({ "iss": [ISSUER] }))),
        hostile("a number for the issuer", "bad_claims", with(json!({ "iss": 5 }))),
        hostile("no issuer", "missing_claim", with(json!({ "iss": null }))),
    ]
}

fn audiences() -> Vec<Hostile> {
    let wrong =
        |name, audience: Value| hostile(name, "wrong_audience", with(json!({ "aud": audience })));
    let bad = |name, audience: Value| hostile(name, "bad_claims", with(json!({ "aud": audience })));
    vec![
        wrong("another audience", json!("https://other.example/mcp")),
        wrong("a list without us", json!(["a", "b"])),
        wrong("an empty list", json!([])),
        wrong("an empty audience", json!("")),
        wrong("a part of our name", json!("https://mcp.example")),
        wrong("more than our name", json!(format!("{AUDIENCE}2"))),
        wrong("a slash after our name", json!(format!("{AUDIENCE}/"))),
        wrong("our name in capitals", json!(AUDIENCE.to_uppercase())),
        wrong("our name without TLS", json!(AUDIENCE.replace("https", "http"))),
        wrong("our name with a port", json!("https://mcp.example:443/mcp")),
        wrong("names in one text", json!(format!("{AUDIENCE} other"))),
        bad("a number for the audience", json!(5)),
        bad("an object for the audience", json!({ AUDIENCE: true })),
        bad("a list with more than names", json!([AUDIENCE, 5])),
        hostile("no audience", "missing_claim", with(json!({ "aud": null }))),
    ]
}

fn subjects() -> Vec<Hostile> {
    vec![
        hostile("no subject", "missing_claim", with(json!({ "sub": null }))),
        hostile("a number for the subject", "bad_claims", with(json!({ "sub": 1000 }))),
        hostile("a list for the subject", "bad_claims", with(json!({ "sub": ["alice"] }))),
        hostile("null for the subject", "bad_claims", with_text("sub", "null")),
    ]
}

fn expiries() -> Vec<Hostile> {
    let expired = |name, exp: Value| hostile(name, "expired", with(json!({ "exp": exp })));
    let bad = |name, text: &str| hostile(name, "bad_claims", with_text("exp", text));
    let long = |name, exp: Value| hostile(name, "lifetime_too_long", with(json!({ "exp": exp })));
    vec![
        expired("expired an hour ago", json!(now() - 3600)),
        expired("expired just beyond the leeway", json!(now() - 32)),
        expired(
            "expired with fractions",
            json!(f64::from(i32::try_from(now() - 3600).unwrap()) + 0.5),
        ),
        expired("expired in 1970", json!(0)),
        bad("`exp` as text", &format!("\"{}\"", now() + 600)),
        bad("`exp` is true", "true"),
        bad("`exp` is null", "null"),
        bad("`exp` in a list", &format!("[{}]", now() + 600)),
        bad("`exp` beyond all numbers", "1e400"),
        bad("`exp` beyond all times", "18446744073709551615"),
        bad("`exp` is not a number", "NaN"),
        bad("`exp` is infinite", "Infinity"),
        bad("`exp` in hexadecimal", "0x7fffffff"),
        bad("`exp` with a leading zero", "01893456000"),
        hostile("no `exp`", "missing_claim", with(json!({ "exp": null }))),
        long("valid for a day", json!(now() + 86_400)),
        long("valid for a thousand years", json!(now() + 31_556_952_000)),
    ]
}

fn other_times() -> Vec<Hostile> {
    let soon = now() + 300;
    vec![
        hostile("negative `exp`", "bad_claims", with(json!({ "exp": -1 }))),
        hostile("not yet valid", "not_yet_valid", with(json!({ "nbf": soon }))),
        hostile("never valid", "bad_claims", with(json!({ "nbf": u64::MAX }))),
        hostile("`nbf` as text", "bad_claims", with(json!({ "nbf": "0" }))),
        hostile("`nbf` beyond all numbers", "bad_claims", with_text("nbf", "-1e400")),
        hostile("issued in the future", "issued_in_future", with(json!({ "iat": soon }))),
        hostile("`iat` as text", "bad_claims", with(json!({ "iat": "0" }))),
        hostile("`iat` in an object", "bad_claims", with(json!({ "iat": { "now": soon } }))),
        hostile(
            "issued long ago for long",
            "lifetime_too_long",
            with(json!({ "iat": now() - 86_400 })),
        ),
    ]
}

fn required() -> Vec<Hostile> {
    let wrong =
        |name, value: Value| hostile(name, "wrong_claim", with(json!({ "token_use": value })));
    vec![
        wrong("an ID token", json!("id")),
        wrong("a required value in capitals", json!("ACCESS")),
        wrong("a number for a required value", json!(1)),
        wrong("a list without the required value", json!(["id", "refresh"])),
        hostile("no required value", "missing_claim", with(json!({ "token_use": null }))),
    ]
}
