//! Finding the token of a request. Spec: RFC 6750 §2.
//!
//! The `Authorization` header is the one place. A token in the URL would be in every log on its way, and
//! one in the body would have to be read before anybody is known.
//!
//! # Examples
//!
//! ```
//! use jsonwebtoken_jwks::bearer::{Misplaced, Place};
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert("authorization", "Bearer eyJ.eyJ.sig".parse()?);
//! assert_eq!(Place::Authorization.token(&headers, Some("page=2")), Ok(Some("eyJ.eyJ.sig")));
//! assert_eq!(Place::Authorization.token(&headers, Some("access_token=x")), Err(Misplaced::InQuery));
//! # Ok::<_, http::header::InvalidHeaderValue>(())
//! ```

use http::{HeaderMap, HeaderName, header};

/// Where the token stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer`.
    Authorization,
    /// A header of its own, in which a trusted proxy in front puts a token that it has verified.
    Forwarded(HeaderName),
}

/// A token that stands where none may, or not alone. Spec: RFC 6750 §3.1, `invalid_request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// The query has an `access_token`.
    #[error("a token stands in the query of the address; send it in the header alone")]
    InQuery,
    /// The header is there more than once, or its value holds more than one token.
    #[error("there is more than one token; send one")]
    Several,
    /// The header holds none, or bytes that stand in no token.
    #[error("the header has no token that can be read; send one or leave the header out")]
    Unreadable,
}

impl Place {
    /// The token; none when the request has no credentials of this kind.
    ///
    /// # Errors
    /// [`Misplaced`] when there are several, one is empty, or one stands in the query.
    pub fn token<'h>(
        &self,
        headers: &'h HeaderMap,
        query: Option<&str>,
    ) -> Result<Option<&'h str>, Misplaced> {
        if query.is_some_and(names_token) {
            return Err(Misplaced::InQuery);
        }
        match self {
            Self::Authorization => {
                let Some(value) = single(headers, &header::AUTHORIZATION)? else { return Ok(None) };
                bearer(value)
            }
            Self::Forwarded(name) => {
                let Some(value) = single(headers, name)? else { return Ok(None) };
                // Some proxies copy the scheme as well.
                match bearer(value) {
                    Ok(None) => Ok(Some(value)),
                    found => found,
                }
            }
        }
    }
}

/// The only value of a header.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Misplaced> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    // Which of two is meant is a guess that somebody else might make otherwise.
    if values.next().is_some() {
        return Err(Misplaced::Several);
    }
    let value = value.to_str().map_err(|_not_visible| Misplaced::Unreadable)?.trim();
    if value.is_empty() { Err(Misplaced::Unreadable) } else { Ok(Some(value)) }
}

/// The token after the scheme, whose case does not matter (RFC 9110 §11.1); none for another scheme.
fn bearer(value: &str) -> Result<Option<&str>, Misplaced> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        return Err(Misplaced::Unreadable);
    }
    // None of these can stand in a token: there are several, or something else follows it.
    if token.contains([' ', '\t', ',']) {
        return Err(Misplaced::Several);
    }
    Ok(Some(token))
}

/// Whether a query holds a token. Spec: RFC 6750 §2.3, which RFC 9700 §4.3.2 forbids.
fn names_token(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn found<'h>(
        headers: &'h HeaderMap,
        query: Option<&str>,
    ) -> Result<Option<&'h str>, Misplaced> {
        Place::Authorization.token(headers, query)
    }

    #[test]
    fn the_scheme_may_be_written_in_any_case() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let headers = headers(&[("authorization", &format!("{scheme} a.b.c"))]);
            assert_eq!(found(&headers, None), Ok(Some("a.b.c")), "{scheme}");
        }
    }

    #[test]
    fn another_scheme_or_none_is_no_token() {
        for value in ["Basic YTpi", "a.b.c", "Bearerx a.b.c"] {
            assert_eq!(found(&headers(&[("authorization", value)]), None), Ok(None), "{value}");
        }
        assert_eq!(found(&headers(&[]), None), Ok(None));
    }

    #[test]
    fn two_tokens_an_empty_one_or_one_in_the_query_are_refused() {
        let two = [("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")];
        assert_eq!(found(&headers(&two), None), Err(Misplaced::Several));
        for (value, why) in [
            ("Bearer", Misplaced::Unreadable),
            ("Bearer ", Misplaced::Unreadable),
            ("bearer   ", Misplaced::Unreadable),
            ("", Misplaced::Unreadable),
            ("Bearer a.b.\u{e9}", Misplaced::Unreadable),
            ("Bearer a.b.c d.e.f", Misplaced::Several),
            ("Bearer a.b.c\td.e.f", Misplaced::Several),
            ("Bearer a.b.c, Bearer d.e.f", Misplaced::Several),
        ] {
            let headers = headers(&[("authorization", value)]);
            assert_eq!(found(&headers, None), Err(why), "{value:?}");
        }
        let good = headers(&two[..1]);
        for query in ["access_token=x", "a=1&access_token=", "access%5Ftoken=x"] {
            assert_eq!(found(&good, Some(query)), Err(Misplaced::InQuery), "{query}");
        }
        assert_eq!(found(&good, Some("token=x&a=access_token")), Ok(Some("a.b.c")));
    }

    #[test]
    fn a_forwarded_token_stands_in_its_own_header_alone() {
        let place = Place::Forwarded(HeaderName::from_static("x-validated-jwt"));
        let both = headers(&[("authorization", "Bearer theirs"), ("x-validated-jwt", "a.b.c")]);
        assert_eq!(place.token(&both, None), Ok(Some("a.b.c")));
        let with_scheme = headers(&[("x-validated-jwt", "Bearer a.b.c")]);
        assert_eq!(place.token(&with_scheme, None), Ok(Some("a.b.c")));
        assert_eq!(place.token(&headers(&[("authorization", "Bearer theirs")]), None), Ok(None));
        let twice = headers(&[("x-validated-jwt", "a.b.c"), ("x-validated-jwt", "d.e.f")]);
        assert_eq!(place.token(&twice, None), Err(Misplaced::Several));
    }
}
