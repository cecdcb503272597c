//! What a request must look like before anybody reads its meaning.
//!
//! Everything here is something that Pingora lets through and that two parsers in a row could read
//! differently, which is how requests are smuggled.

use bytes::Bytes;
use http::{HeaderMap, Uri, Version, header, request::Parts};

use crate::{
    config::{HostRule, OriginRule},
    refusal::Refusal,
};

/// Checks the framing headers.
///
/// `raw_header` gives the header as it came: Pingora removes Content-Length when Transfer-Encoding is
/// there, so that only the bytes tell. It is asked only when Transfer-Encoding is there.
///
/// Spec: RFC 9112 §6.1, §6.3; RFC 9110 §8.6.
///
/// # Errors
/// [`Refusal`] when the body's end could be read in two ways, or the connection is to become another.
pub fn check_framing(
    headers: &HeaderMap,
    raw_header: impl FnOnce() -> Bytes,
) -> Result<(), Refusal> {
    if headers.contains_key(header::UPGRADE) {
        return Err(Refusal::Upgrade);
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        if encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::TransferEncoding);
        }
        if headers.contains_key(header::CONTENT_LENGTH) || names_content_length(&raw_header()) {
            return Err(Refusal::TwoLengths);
        }
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None)
            if !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit) =>
        {
            Ok(())
        }
        (Some(_), _) => Err(Refusal::ContentLength),
    }
}

fn names_content_length(raw_header: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    raw_header.split(|byte| *byte == b'\n').any(|line| {
        line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
            && line.get(NAME.len()).is_some_and(|next| matches!(next, b':' | b' ' | b'\t'))
    })
}

/// The host that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a> {
    /// Name or address, IPv6 without brackets.
    pub name: &'a str,
    /// Port, if named.
    pub port: Option<u16>,
}

impl<'a> Host<'a> {
    /// Names have no case. Spec: RFC 9110 §4.2.3.
    fn is(self, other: Self) -> bool {
        self.name.eq_ignore_ascii_case(other.name) && self.port == other.port
    }

    /// Reads `name`, `name:port` or `[address]:port`. Borrowed: this runs for every request.
    fn parse(text: &'a str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, rest) = rest.split_once(']')?;
                let ipv6 = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
                if !name.bytes().all(ipv6) {
                    return None;
                }
                (name, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
        if name.is_empty() || !name.bytes().all(good) {
            return None;
        }
        let port = port.map(str::parse).transpose().ok()?;
        Some(Self { name, port })
    }
}

/// Checks target and `Host`, and returns the host that the request is for.
///
/// Spec: RFC 9112 §3.2; RFC 9113 §8.3.1.
///
/// # Errors
/// [`Refusal`] when the target is no path, or it is not clear which host is meant.
pub fn check_target<'a>(parts: &'a Parts, raw_path: &[u8]) -> Result<Host<'a>, Refusal> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let from_header = match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(Host::parse);
            Some(host.ok_or(Refusal::HostMissing)?)
        }
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Refusal::HostMissing),
    };
    if parts.version == Version::HTTP_2 {
        // HTTP/2 names the host in the target, and may repeat it in a header.
        let target = parts.uri.authority().map(http::uri::Authority::as_str);
        return match (from_header, target.map(Host::parse)) {
            (None, Some(Some(target))) => Ok(target),
            (Some(host), None) => Ok(host),
            (Some(host), Some(Some(target))) if target.is(host) => Ok(host),
            (Some(_), Some(_)) => Err(Refusal::Target),
            (None, _) => Err(Refusal::HostMissing),
        };
    }
    let host = from_header.ok_or(Refusal::HostMissing)?;
    // The absolute form is for proxies; a client may use it as long as it means us.
    let means_us = || absolute_host(raw_path).is_some_and(|target| target.is(host));
    if raw_path.starts_with(b"/") || means_us() { Ok(host) } else { Err(Refusal::Target) }
}

/// The host that a target in absolute form names. Read from its bytes: Pingora keeps of such a target
/// only the path.
fn absolute_host(target: &[u8]) -> Option<Host<'_>> {
    let target = std::str::from_utf8(target).ok()?;
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"))?;
    Host::parse(rest.split(['/', '?']).next()?)
}

/// Whether a rule allows the host.
#[must_use]
pub fn host_is_allowed(rules: &[HostRule], named: Host<'_>) -> bool {
    rules.iter().any(|rule| match rule {
        HostRule::Any => true,
        HostRule::Exact { host, port } => {
            named.name.eq_ignore_ascii_case(host)
                && port.is_none_or(|port| named.port.unwrap_or(80) == port)
        }
    })
}

/// Whether a rule allows the request's `Origin`. A request without one is not of a browser.
///
/// Spec: MCP 2025-11-25, Streamable HTTP, security warning; RFC 6454 §7.
///
/// # Errors
/// [`Refusal::OriginForbidden`] when none does.
pub fn check_origin(rules: &[OriginRule], headers: &HeaderMap) -> Result<(), Refusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return Ok(()),
        (Some(origin), None) => origin,
        (Some(_), Some(_)) => return Err(Refusal::OriginForbidden),
    };
    if rules.contains(&OriginRule::Any) {
        return Ok(());
    }
    let parsed = Uri::try_from(origin.as_bytes()).ok();
    let allowed = parsed.is_some_and(|uri| {
        let (Some(named_scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return false;
        };
        rules.iter().any(|rule| match rule {
            OriginRule::Any => true,
            OriginRule::Exact { scheme, host, port } => {
                let default = if scheme == "https" { 443 } else { 80 };
                scheme.eq_ignore_ascii_case(named_scheme)
                    && strip_brackets(authority.host()).eq_ignore_ascii_case(host)
                    && port.is_none_or(|port| authority.port_u16().unwrap_or(default) == port)
            }
        })
    });
    if allowed { Ok(()) } else { Err(Refusal::OriginForbidden) }
}

fn strip_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests;
