//! Hosts and origins as rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

/// Why a text does not say where a replica is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreachable {
    /// It is no host with its port.
    Malformed,
    /// It has no port.
    NoPort,
    /// Its port is 0, which stands for any.
    AnyPort,
    /// Its address is not that of one machine.
    Nowhere,
}

/// Reads where a replica is reached, as `name:port`, `address:port` or `[v6]:port`. It comes back in the one form in
/// which such texts are compared: lower case, addresses at their shortest.
pub(super) fn replica(text: &str) -> Result<String, Unreachable> {
    if text.rsplit_once(':').is_some_and(|(host, port)| {
        !port.is_empty() && port.bytes().all(|b| b == b'0') && authority(host).is_some()
    }) && text.parse::<Ipv6Addr>().is_err()
    {
        return Err(Unreachable::AnyPort);
    }
    let (host, port) = authority(text).ok_or(Unreachable::Malformed)?;
    let port = port.ok_or(Unreachable::NoPort)?;
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() || ip == Ipv4Addr::BROADCAST => {
            Err(Unreachable::Nowhere)
        }
        Ok(ip) => Ok(SocketAddr::new(ip, port).to_string()),
        Err(_name) if is_name(&host) => Ok(format!("{host}:{port}")),
        Err(_name) => Err(Unreachable::Malformed),
    }
}

/// Whether it is a name that can be looked up. One that ends with a number is an address with an error in it.
/// Spec: RFC 1123 §2.1.
pub(super) fn is_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    let good = authority(text) == Some((text.to_ascii_lowercase(), None));
    good && text.parse::<Ipv6Addr>().is_err() && !last.bytes().all(|b| b.is_ascii_digit())
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
    #[test]
    fn where_a_replica_is_reached_has_one_form() {
        for (text, wanted) in [
            ("10.0.0.1:8081", "10.0.0.1:8081"),
            ("Promgate-0.Example.com:8081", "promgate-0.example.com:8081"),
            ("_a.b:1", "_a.b:1"),
            ("[FD00:0::1]:8081", "[fd00::1]:8081"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.1:1"),
            ("[::1]:65535", "[::1]:65535"),
        ] {
            assert_eq!(replica(text).as_deref(), Ok(wanted), "{text}");
            assert_eq!(replica(wanted).as_deref(), Ok(wanted));
        }
    }

    #[test]
    fn where_no_replica_can_be_reached_is_refused() {
        use Unreachable::{AnyPort, Malformed, NoPort, Nowhere};
        for (text, wanted) in [
            ("10.0.0.1", NoPort),
            ("a.example", NoPort),
            ("::1", NoPort),
            ("fd00::0", NoPort),
            ("[::1]", NoPort),
            ("a:0", AnyPort),
            ("[::1]:00", AnyPort),
            ("0.0.0.0:8081", Nowhere),
            ("[::]:8081", Nowhere),
            ("[::ffff:0.0.0.0]:8081", Nowhere),
            ("255.255.255.255:1", Nowhere),
            ("224.0.0.1:1", Nowhere),
            ("", Malformed),
            (":8081", Malformed),
            (":0", Malformed),
            ("a:", Malformed),
            ("a:70000", Malformed),
            ("10.0.0.300:1", Malformed),
            ("1:1", Malformed),
            ("http://a:1", Malformed),
            ("a:1/", Malformed),
            ("a b:1", Malformed),
        ] {
            assert_eq!(replica(text), Err(wanted), "{text}");
        }
    }
}
