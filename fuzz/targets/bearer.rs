//! The head of a request: its query on the first line, then one to three `Authorization` fields, one a line.
//!
//! Nothing may panic. A token is found only where there is one field and no `access_token`, it is the rest of that
//! field after the scheme, and it holds nothing that separates tokens.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use jsonwebtoken_jwks::bearer::{Misplaced, Place};
use libfuzzer_sys::fuzz_target;

const FORWARDED: HeaderName = HeaderName::from_static("x-verified-token");

/// What separates tokens, or stands around them.
const NOT_IN_A_TOKEN: [char; 3] = [' ', '\t', ','];

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let query = (!query.is_empty()).then_some(&*query);
    let mut headers = HeaderMap::new();
    for value in lines.take(3) {
        // What no server lets through as a header is not for us to judge.
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        headers.append(AUTHORIZATION, value.clone());
        headers.append(FORWARDED, value);
    }
    let found = Place::Authorization.token(&headers, query);
    let forwarded = Place::Forwarded(FORWARDED).token(&headers, query);
    if let Ok(Some(token)) = found {
        sound(&headers, token);
        assert_eq!(forwarded, Ok(Some(token)), "the scheme may stand in the other header too");
    }
    // The other header may hold the bare token, and differs in nothing else.
    if let Err(why) = found {
        assert_eq!(forwarded, Err(why));
    }
    let in_query = query.is_some_and(|query| query.split('&').any(names_token));
    if in_query || found == Err(Misplaced::InQuery) {
        assert_eq!(found, Err(Misplaced::InQuery));
        let good = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer a"))]);
        assert_eq!(Place::Authorization.token(&good, query), Err(Misplaced::InQuery));
    } else if headers.get_all(AUTHORIZATION).iter().count() > 1 {
        assert_eq!(found, Err(Misplaced::Several));
    }
});

/// What holds for every token that was found.
fn sound(headers: &HeaderMap, token: &str) {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next().expect("a token stands in a field").to_str().expect("visible ASCII");
    assert!(fields.next().is_none(), "which of two is a guess");
    assert!(!token.is_empty() && !token.contains(NOT_IN_A_TOKEN));
    let scheme = field.trim().strip_suffix(token).expect("the rest of the field");
    assert!(scheme.ends_with(' ') && scheme.trim().eq_ignore_ascii_case("bearer"));
}

/// Whether a part of a query is a token, written without escapes.
fn names_token(part: &str) -> bool {
    part == "access_token" || part.starts_with("access_token=")
}
