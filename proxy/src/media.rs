//! What a client sends and what it can read, by its headers.

use http::{HeaderMap, header};
use mcp_core::server::Accepts;

use crate::refusal::Refusal;

/// The forms of answer that `Accept` allows. None given, or `*/*`, allows all.
///
/// Quality values count only as allowing or not: the order of preference is ours.
///
/// Spec: RFC 9110 §12.5.1.
#[must_use]
pub fn accepts(headers: &HeaderMap) -> Accepts {
    let mut accepts = Accepts { json: false, sse: false };
    let mut given = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.as_bytes().split(|byte| *byte == b',') {
            given = given || !range.trim_ascii().is_empty();
            note(range, &mut accepts);
        }
    }
    if given { accepts } else { Accepts { json: true, sse: true } }
}

fn note(range: &[u8], accepts: &mut Accepts) {
    let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let media = parts.next().unwrap_or_default();
    if parts.any(is_zero_quality) {
        return;
    }
    let is = |name: &[u8]| media.eq_ignore_ascii_case(name);
    accepts.json |= is(b"application/json") || is(b"*/*") || is(b"application/*");
    accepts.sse |= is(b"text/event-stream") || is(b"*/*") || is(b"text/*");
}

fn is_zero_quality(parameter: &[u8]) -> bool {
    let Some(value) = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))
    else {
        return false;
    };
    !value.is_empty() && value.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

/// Checks that a body is said to be JSON, and is not compressed.
///
/// # Errors
/// [`Refusal`] when it is not.
pub fn check_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return Err(Refusal::ContentType);
    };
    let media = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    if !media.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        return Err(Refusal::ContentType);
    }
    let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    Err(Refusal::ContentEncoding)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs =
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn accept_is_read_forgivingly() {
        let read = |value: &'static str| {
            let accepts = accepts(&headers(&[(header::ACCEPT, value)]));
            (accepts.json, accepts.sse)
        };
        assert_eq!(read("application/json, text/event-stream"), (true, true));
        assert_eq!(read("text/event-stream;q=0.9 ,APPLICATION/JSON;charset=utf-8"), (true, true));
        assert_eq!(read("*/*"), (true, true));
        assert_eq!(read("application/json"), (true, false));
        assert_eq!(read("text/*"), (false, true));
        assert_eq!(read("text/html"), (false, false));
        assert_eq!(read("application/json;q=0, text/event-stream;q=0.0"), (false, false));
        assert_eq!(read(""), (true, true));
        let none = accepts(&HeaderMap::new());
        assert!(none.json && none.sse);
    }

    #[test]
    fn a_body_must_be_said_to_be_json_and_plain() {
        let json = (header::CONTENT_TYPE, "application/json");
        assert_eq!(check_content(&headers(std::slice::from_ref(&json))), Ok(()));
        let with_charset = (header::CONTENT_TYPE, "Application/JSON; charset=utf-8");
        assert_eq!(check_content(&headers(&[with_charset])), Ok(()));
        let other = (header::CONTENT_TYPE, "application/jsonp");
        assert_eq!(check_content(&headers(&[other])), Err(Refusal::ContentType));
        assert_eq!(check_content(&HeaderMap::new()), Err(Refusal::ContentType));
        let gzip = (header::CONTENT_ENCODING, "gzip");
        assert_eq!(check_content(&headers(&[json, gzip])), Err(Refusal::ContentEncoding));
    }
}
