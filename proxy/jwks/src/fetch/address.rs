//! Which addresses may be asked.
//!
//! Private networks may: providers run inside clusters. What nobody runs a provider on, and what
//! gives away a machine's own credentials, may not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// 169.254.0.0/16 and `fe80::/10`, where clouds keep the credentials of the machine.
    LinkLocal,
    /// Another address at which a cloud tells a machine its credentials.
    CloudMetadata,
    /// 0.0.0.0/8 and `::`.
    Unspecified,
    /// 224.0.0.0/4 and `ff00::/8`.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
}

impl Forbidden {
    /// What the address is, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::LinkLocal => "a link-local address",
            Self::CloudMetadata => "a cloud's metadata service",
            Self::Unspecified => "no address of a host",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
        }
    }

    /// Why this address is not asked, if it is not.
    ///
    /// An IPv6 address that carries an IPv4 one is judged by both.
    #[must_use]
    pub fn judge(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => Self::judge_v4(v4),
            IpAddr::V6(v6) => Self::judge_v6(v6)
                .or_else(|| carried(v6).and_then(Self::judge_v4))
                .or_else(|| Self::judge_local_nat64(v6)),
        }
    }

    /// What a network's own NAT64 makes of an address in `64:ff9b:1::/48` (RFC 8215).
    ///
    /// The address does not tell where the prefix ends, and so where the IPv4 address stands, so all
    /// places count. At those where none stands there are mostly zeros, which therefore mean
    /// nothing unless they are all there is.
    fn judge_local_nat64(address: Ipv6Addr) -> Option<Self> {
        let [0x64, 0xff9b, 1, ..] = address.segments() else { return None };
        // RFC 6052 §2.2: prefixes of 48, 56, 64 and 96 bits; the ninth byte is never used.
        let octets = address.octets();
        let places = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
        let places = places.map(|place| place.map(|at| octets.get(at).copied().unwrap_or(0)));
        let mut verdicts = places.map(|place| Self::judge_v4(place.into())).into_iter();
        let nothing = Some(Self::Unspecified);
        verdicts
            .clone()
            .flatten()
            .find(|verdict| Some(*verdict) != nothing)
            .or_else(|| verdicts.all(|verdict| verdict == nothing).then_some(Self::Unspecified))
    }

    fn judge_v4(address: Ipv4Addr) -> Option<Self> {
        match address.octets() {
            [169, 254, _, _] => Some(Self::LinkLocal),
            // Alibaba Cloud; Oracle Cloud; the host of every Azure machine.
            [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => {
                Some(Self::CloudMetadata)
            }
            [0, _, _, _] => Some(Self::Unspecified),
            [255, 255, 255, 255] => Some(Self::Broadcast),
            _other if address.is_multicast() => Some(Self::Multicast),
            _other => None,
        }
    }

    fn judge_v6(address: Ipv6Addr) -> Option<Self> {
        match address.segments() {
            [0xfe80..=0xfebf, ..] => Some(Self::LinkLocal),
            // Amazon's local services, all of them; Google Cloud; Oracle Cloud; Scaleway.
            [0xfd00, 0x0ec2, ..]
            | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
            | [0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
            | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042] => Some(Self::CloudMetadata),
            [0, 0, 0, 0, 0, 0, 0, 0] => Some(Self::Unspecified),
            _other if address.is_multicast() => Some(Self::Multicast),
            _other => None,
        }
    }
}

/// The IPv4 address inside an IPv6 one: mapped and compatible (RFC 4291 §2.5.5), translated (SIIT,
/// RFC 7915 §3), NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056 §2).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // The loopback address, of which 0.0.0.1 would be read.
        [0, 0, 0, 0, 0, 0, 0, 1] => None,
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _other => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_that_no_provider_has_are_forbidden() {
        for (address, why) in [
            ("169.254.169.254", Forbidden::LinkLocal),
            ("169.254.170.2", Forbidden::LinkLocal),
            ("fe80::1", Forbidden::LinkLocal),
            ("febf::1", Forbidden::LinkLocal),
            ("fd00:ec2::254", Forbidden::CloudMetadata),
            ("fd00:ec2::23", Forbidden::CloudMetadata),
            ("fd20:ce::254", Forbidden::CloudMetadata),
            ("100.100.100.200", Forbidden::CloudMetadata),
            ("192.0.0.192", Forbidden::CloudMetadata),
            ("168.63.129.16", Forbidden::CloudMetadata),
            ("0.0.0.0", Forbidden::Unspecified),
            ("0.1.2.3", Forbidden::Unspecified),
            ("::", Forbidden::Unspecified),
            ("224.0.0.1", Forbidden::Multicast),
            ("239.255.255.255", Forbidden::Multicast),
            ("ff02::1", Forbidden::Multicast),
            ("255.255.255.255", Forbidden::Broadcast),
            ("::ffff:169.254.169.254", Forbidden::LinkLocal),
            ("::ffff:0.0.0.0", Forbidden::Unspecified),
            ("::169.254.169.254", Forbidden::LinkLocal),
            ("64:ff9b::a9fe:a9fe", Forbidden::LinkLocal),
            ("2002:a9fe:a9fe::1", Forbidden::LinkLocal),
            ("2002:6464:64c8::", Forbidden::CloudMetadata),
            ("fd00:c1::a9fe:a9fe", Forbidden::CloudMetadata),
            ("fd00:42::42", Forbidden::CloudMetadata),
            ("::ffff:0:169.254.169.254", Forbidden::LinkLocal),
            ("::ffff:0:100.100.100.200", Forbidden::CloudMetadata),
            ("64:ff9b:1::169.254.169.254", Forbidden::LinkLocal),
            ("64:ff9b:1:7:8:9:169.254.169.254", Forbidden::LinkLocal),
            ("64:ff9b:1:a9fe:a9:fe00::", Forbidden::LinkLocal),
            ("64:ff9b:1:ca9:fe:a9fe::", Forbidden::LinkLocal),
            ("64:ff9b:1:cc:a9:fea9:fe00:0", Forbidden::LinkLocal),
            ("64:ff9b:1::192.0.0.192", Forbidden::CloudMetadata),
            ("64:ff9b:1::", Forbidden::Unspecified),
        ] {
            assert_eq!(Forbidden::judge(address.parse().unwrap()), Some(why), "{address}");
        }
    }

    #[test]
    fn public_private_and_loopback_addresses_may_be_asked() {
        for address in [
            "1.1.1.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.253.1.1",
            "223.255.255.255",
            "::1",
            "fd12::1",
            "2001:db8::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "fd00:c1::1",
            "fd00:42::1",
            "::ffff:0:10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "64:ff9b:1:a00:0:100::",
            "64:ff9b:2::169.254.169.254",
        ] {
            assert_eq!(Forbidden::judge(address.parse().unwrap()), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_judged_alike_in_every_form_that_carries_it(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let [a, b, c, d] = v4.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let plain = Forbidden::judge(v4.into());
            for v6 in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            ] {
                prop_assert_eq!(Forbidden::judge(v6.into()), plain);
            }
        }

        #[test]
        fn nothing_link_local_passes(low: u16, host: u128) {
            let [c, d] = low.to_be_bytes();
            prop_assert!(Forbidden::judge(Ipv4Addr::new(169, 254, c, d).into()).is_some());
            let v6 = Ipv6Addr::from_bits((host >> 10) | (0xfe80_u128 << 112));
            prop_assert!(Forbidden::judge(v6.into()).is_some());
        }
    }
}
