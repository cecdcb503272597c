//! Hosts and origins as rules.

use std::net::Ipv6Addr;

use crate::config::OriginRule;

/// Longest host name, in bytes. Spec: RFC 1035 §2.3.4.
const HOST_BYTES_MAX: usize = 253;

/// Reads `name`, `name:port`, `address`, `[v6]`, `[v6]:port` or a bare v6 address; the host comes
/// back in lower case and without brackets.
pub(super) fn authority(text: &str) -> Option<(String, Option<u16>)> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some((address.to_string(), None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let host = address.parse::<Ipv6Addr>().ok()?.to_string();
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port_number(port)?))),
            None => after.is_empty().then_some((host, None)),
        };
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port_number(port)?)),
        None => (text, None),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let good = !name.is_empty()
        && name.len() <= HOST_BYTES_MAX
        && name.bytes().all(plain)
        && name.split('.').all(|label| !label.is_empty());
    good.then(|| (name.to_ascii_lowercase(), port))
}

/// Reads `scheme://host` or `scheme://host:port`.
pub(super) fn origin(text: &str) -> Option<OriginRule> {
    let (scheme, rest) = text.split_once("://")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(plain) {
        return None;
    }
    let (host, port) = authority(rest)?;
    Some(OriginRule::Exact { scheme: scheme.to_ascii_lowercase(), host, port })
}

fn port_number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_in_every_form() {
        for (text, host, port) in [
            ("Mcp.Example.com", "mcp.example.com", None),
            ("mcp.example.com:8443", "mcp.example.com", Some(8443)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[0:0::1]:80", "::1", Some(80)),
        ] {
            assert_eq!(authority(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "", ":80", "a:", "a:0", "a:70000", "a:+1", "a b", "*.a", "http://a", "a/b", "a..b",
            "[::1", "[::1]x", "[a]", "a:1:2", "é",
        ] {
            assert_eq!(authority(text), None, "{text}");
        }
    }

    #[test]
    fn an_origin_has_a_scheme_and_no_path() {
        let wanted = OriginRule::Exact {
            scheme: "https".into(),
            host: "a.example".into(),
            port: Some(8443),
        };
        assert_eq!(origin("HTTPS://A.example:8443"), Some(wanted));
        for text in ["a.example", "null", "https://", "https://a/", "https://a/b", "://a", "1x://a"]
        {
            assert_eq!(origin(text), None, "{text}");
        }
    }
}
