//! What is told about a token.

use jsonwebtoken_jwks::refused::Reason;
use serde_json::json;

use super::mint::{AUDIENCE, NOW, PAIRS, STRICT, claims, good, header, now, with};

#[tokio::test]
async fn a_good_token_is_explained_line_by_line() {
    let token = good();
    let explained = STRICT.explain(&token, now());
    assert_eq!(explained.refused, None);
    let lines: Vec<_> = explained.lines.iter().map(|line| line.what.as_str()).collect();
    let expected = [
        "alg",
        "typ",
        "kid",
        "iss",
        "algorithm",
        "keys",
        "signature",
        "exp",
        "nbf",
        "iat",
        "lifetime",
        "aud",
        "sub",
    ];
    assert_eq!(lines, expected);
    assert!(explained.lines.iter().all(|line| line.refused.is_none() && line.mend().is_none()));
    let accepted = STRICT.verify(&token, now()).await.unwrap();
    assert_eq!(explained.verified.as_ref(), Some(&accepted.verified));
    let text = explained.to_string();
    assert!(text.contains(&format!("exp: {} (in 300 s)", NOW + 300)), "{text}");
    let signature = token.rsplit_once('.').unwrap().1;
    assert!(!text.contains(signature), "the signature is not shown");
}

#[test]
fn every_fault_is_told_and_the_first_is_the_reason() {
    let said = with(&claims(), "exp", json!(NOW - 100));
    let said = with(&said, "aud", json!("https://elsewhere.example"));
    let said = with(&said, "sub", json!(5));
    let explained = STRICT.explain(&PAIRS.stranger.token(&header(), &said), now());
    let refused: Vec<_> = explained
        .lines
        .iter()
        .filter_map(|line| Some((line.what.as_str(), line.refused?)))
        .collect();
    let expected = [
        ("signature", Reason::BadSignature),
        ("exp", Reason::Expired),
        ("aud", Reason::WrongAudience),
        ("sub", Reason::BadClaims),
    ];
    assert_eq!(refused, expected);
    assert_eq!(explained.refused.unwrap().reason, Reason::BadSignature);
    assert_eq!(explained.verified, None);
    let text = explained.to_string();
    for part in
        ["(100 s ago)", AUDIENCE, "https://elsewhere.example", "to mend it:", "wrong_audience"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn nothing_in_a_token_can_write_to_the_terminal_beside_its_line() {
    let evil = "a\n\u{1b}[2Jok\u{202e}\u{9b}x\"";
    let said = with(&claims(), "sub", json!([evil]));
    let head = with(&header(), "kid", json!("x".repeat(2000)));
    let explained = STRICT.explain(&PAIRS.rsa.token(&head, &said), now());
    let text = explained.to_string();
    for c in ['\u{1b}', '\u{202e}', '\u{9b}'] {
        assert!(!text.contains(c), "{text:?}");
    }
    assert!(explained.lines.iter().all(|line| !line.found.contains('\n')));
    assert!(!text.contains(&"x".repeat(200)), "long values are cut");
}

#[test]
fn each_reason_says_how_to_mend_it() {
    for reason in Reason::ALL {
        assert!(jsonwebtoken_jwks::explain::mend(*reason).len() > 20, "{reason:?}");
    }
}
