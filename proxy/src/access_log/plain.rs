//! Times and addresses as text, written straight into a byte buffer.

use std::{
    cell::Cell,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use super::{json, short::Short};

/// Each octet of an address, and a dot.
static OCTETS: [Short<4>; 256] = octets();

#[expect(clippy::indexing_slicing, reason = "this runs when it is compiled")]
const fn octets() -> [Short<4>; 256] {
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let mut octets = [Short::of(&[]); 256];
    let mut octet = 0;
    while octet < octets.len() {
        let (hundreds, tens) = (DIGITS[octet / 100], DIGITS[octet / 10 % 10]);
        let ones = DIGITS[octet % 10];
        octets[octet] = match octet {
            0..10 => Short::of(&[ones, "."]),
            10..100 => Short::of(&[tens, ones, "."]),
            _ => Short::of(&[hundreds, tens, ones, "."]),
        };
        octet += 1;
    }
    octets
}

/// Appends an address.
pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets() {
                if let Some(shown) = OCTETS.get(usize::from(octet)) {
                    shown.append_to(out);
                }
            }
            out.pop();
        }
        // Rarer, and its short form is not worth writing anew. Writing into a `Vec` cannot fail.
        IpAddr::V6(address) => write!(out, "{address}").unwrap_or_default(),
    }
}

/// Appends an address and its port.
pub(super) fn socket(out: &mut Vec<u8>, socket: SocketAddr) {
    if socket.is_ipv4() {
        address(out, socket.ip());
        port(out, socket.port());
    } else {
        write!(out, "{socket}").unwrap_or_default();
    }
}

/// Appends the port after an address.
pub(super) fn port(out: &mut Vec<u8>, port: u16) {
    out.push(b':');
    json::number(out, u64::from(port));
}

/// Appends a length of time in milliseconds, with microseconds as its fraction.
pub(super) fn milliseconds(out: &mut Vec<u8>, span: Duration) {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    json::number(out, micros / 1000);
    out.push(b'.');
    json::thousandths(out, micros % 1000);
}

/// A length of time in nanoseconds.
pub(super) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment up to its second in RFC 3339 form, `2026-11-20T19:08:34`.
type ToSecond = [u8; 19];

const EPOCH: ToSecond = *b"1970-01-01T00:00:00";

/// A second, and how it is written.
#[derive(Debug, Clone, Copy)]
struct Second {
    number: u64,
    text: ToSecond,
}

thread_local! {
    /// The second that this thread wrote last: the calendar is worked out once a second.
    static LAST_SECOND: Cell<Second> =
        const { Cell::new(Second { number: 0, text: EPOCH }) };
}

/// Appends `time` in UTC with milliseconds. Spec: RFC 3339 §5.6.
pub(super) fn time(out: &mut Vec<u8>, time: SystemTime) {
    // A clock before 1970 is broken; the epoch says so more plainly than a made-up date.
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut second = LAST_SECOND.get();
    if second.number != since_epoch.as_secs() {
        second = Second::of(since_epoch.as_secs());
        LAST_SECOND.set(second);
    }
    out.extend_from_slice(&second.text);
    out.push(b'.');
    json::thousandths(out, u64::from(since_epoch.subsec_millis()));
    out.push(b'Z');
}

impl Second {
    fn of(number: u64) -> Self {
        let timestamp = i64::try_from(number)
            .ok()
            .and_then(|number| jiff::Timestamp::from_second(number).ok())
            .unwrap_or_default();
        let shown = timestamp.to_string();
        let text = shown.as_bytes().first_chunk().copied();
        Self { number, text: text.unwrap_or(EPOCH) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_are_written_as_rust_writes_them() {
        for ip in [IpAddr::from(Ipv4Addr::new(10, 0, 200, 7)), Ipv6Addr::LOCALHOST.into()] {
            assert_eq!(written(|out| address(out, ip)), ip.to_string());
            let peer = SocketAddr::from((ip, 8080));
            assert_eq!(written(|out| socket(out, peer)), peer.to_string());
        }
    }

    #[test]
    fn times_are_right_over_days_years_and_broken_clocks() {
        let shown = |at| written(|out| time(out, at));
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(shown(at(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(at(951_868_799_999)), "2000-02-29T23:59:59.999Z");
        assert_eq!(shown(at(951_868_800_000)), "2000-03-01T00:00:00.000Z");
        assert_eq!(shown(at(951_868_800_000)), "2000-03-01T00:00:00.000Z", "from the cache");
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(shown(before), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn lengths_of_time_have_microseconds() {
        assert_eq!(written(|out| milliseconds(out, Duration::from_micros(12_034))), "12.034");
        assert_eq!(nanoseconds(Duration::from_micros(12_034)), 12_034_000);
    }
}
