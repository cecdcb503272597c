//! The address that a request came from, as far as it can be believed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The header in which proxies say whose request they bring.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Most entries looked at. Nobody has so many proxies of their own in a row.
const HOPS_MAX: usize = 32;

/// The client's address: the peer's, unless the peer is a trusted proxy. Then the list in `X-Forwarded-For` is
/// walked from its right end, where the nearest proxy wrote, past further trusted proxies: the first address
/// that is none of them is the client's. What stands left of it anybody may have written, and is not read.
///
/// A list that cannot be read up to there counts as none, and so does one of more than 32 trusted proxies. The header
/// `Forwarded` is not read: proxies append to `X-Forwarded-For` but often pass a client's `Forwarded` on, so
/// that believing both would let a client choose its address.
#[must_use]
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    forwarded(headers, trusted).unwrap_or(peer)
}

/// Whom an address stands for: in IPv6 a network of 64 bits, as one machine has as many addresses as
/// it likes.
#[must_use]
pub fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Whether the address belongs to one of our own proxies.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

fn forwarded(headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    // Several field lines are one list, joined in their order. Spec: RFC 9110 §5.3.
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut farthest = None;
    for (hop, entry) in entries.enumerate() {
        let address = address(entry).filter(|_| hop < HOPS_MAX)?;
        if !is_trusted(address, trusted) {
            return Some(address);
        }
        farthest = Some(address);
    }
    // Only proxies: the farthest of them asked by itself.
    farthest
}

/// An address as proxies write it: `192.0.2.1`, `192.0.2.1:1234`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:1234`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = text
        .parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| bare().map(IpAddr::V6))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    fn networks() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]
    }

    fn of(peer: &str, lines: &[&str]) -> IpAddr {
        client(ip(peer), &headers(lines), &networks())
    }

    #[test]
    fn the_word_of_a_peer_that_is_not_trusted_is_not_taken() {
        assert_eq!(of("192.0.2.9", &["198.51.100.1"]), ip("192.0.2.9"));
        assert_eq!(of("192.0.2.9", &["10.0.0.1"]), ip("192.0.2.9"));
        assert_eq!(of("::ffff:192.0.2.9", &[]), ip("192.0.2.9"));
    }

    #[test]
    fn a_trusted_proxy_names_the_client_at_the_right_end() {
        assert_eq!(of("10.0.0.1", &["198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(of("10.0.0.1", &["203.0.113.5, 198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(of("::ffff:10.0.0.1", &["198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(of("fd00::1", &["2001:db8::7"]), ip("2001:db8::7"));
    }

    #[test]
    fn further_trusted_proxies_are_walked_past_over_all_field_lines() {
        assert_eq!(
            of("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.3", "10.0.0.2"]),
            ip("198.51.100.1")
        );
        assert_eq!(of("10.0.0.1", &["10.0.0.3,10.0.0.2"]), ip("10.0.0.3"), "only proxies");
        assert_eq!(of("10.0.0.1", &[]), ip("10.0.0.1"));
    }

    #[test]
    fn addresses_are_read_in_every_form_that_proxies_write() {
        for (text, address) in [
            ("198.51.100.1:1234", "198.51.100.1"),
            ("[2001:db8::1]:1234", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("\t 2001:db8::1 ", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(of("10.0.0.1", &[text]), ip(address), "{text}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_counts_as_none() {
        for bad in [
            "",
            "unknown",
            "_hidden",
            "198.51.100",
            "198.51.100.1 198.51.100.2",
            "198.51.100.1,",
            "\"198.51.100.1\"",
            "for=198.51.100.1",
            "fe80::1%eth0",
            "[198.51.100.1]",
            "[2001:db8::1",
            "198.51.100.1, x, 10.0.0.2",
        ] {
            assert_eq!(of("10.0.0.1", &[bad]), ip("10.0.0.1"), "{bad:?}");
        }
        assert_eq!(of("10.0.0.1", &["x, 198.51.100.1"]), ip("198.51.100.1"), "left of the client");
        let long = vec!["10.0.0.2"; 40].join(",");
        assert_eq!(of("10.0.0.1", &[&format!("198.51.100.1,{long}")]), ip("10.0.0.1"));
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_holder() {
        assert_eq!(holder(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(holder(ip("192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(holder(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    proptest! {
        #[test]
        fn a_forged_list_of_an_untrusted_peer_never_matters(
            peer in any::<IpAddr>(),
            lines in proptest::collection::vec("[0-9a-f:., \\[\\]x]{0,40}", 0..5),
        ) {
            prop_assume!(!is_trusted(peer, &networks()));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            prop_assert_eq!(client(peer, &headers(&lines), &networks()), peer.to_canonical());
        }

        /// Whatever a client sends, the proxy appends where it came from.
        #[test]
        fn what_a_client_writes_before_its_own_address_never_matters(
            from in any::<IpAddr>(),
            lines in proptest::collection::vec("[0-9a-f:., \\[\\]x]{0,40}", 0..5),
            joined in any::<bool>(),
        ) {
            prop_assume!(!is_trusted(from, &networks()));
            let mut lines = lines;
            match lines.last_mut() {
                Some(last) if joined => *last = format!("{last}, {from}"),
                _ => lines.push(from.to_string()),
            }
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let found = client(ip("10.1.2.3"), &headers(&lines), &networks());
            prop_assert_eq!(found, from.to_canonical());
        }
    }
}
