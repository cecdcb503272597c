//! E-mail addresses, also with the `%40` of a URL.

use super::{Found, at};

/// Longest part before the `@`. Spec: RFC 5321 §4.5.3.1.1.
const LOCAL_MAX: usize = 64;

pub(super) fn find(text: &[u8], from: usize) -> Option<Found> {
    let mut place = from;
    loop {
        let rest = text.get(place..)?;
        let sign = place + rest.iter().position(|byte| matches!(byte, b'@' | b'%'))?;
        place = sign + 1;
        let sign_end = match at(text, sign) {
            b'%' if text.get(sign..)?.starts_with(b"%40") => sign + 3,
            b'%' => continue,
            _ => sign + 1,
        };
        let before = text.get(from..sign)?.iter().rev().take(LOCAL_MAX);
        let local = before.take_while(|byte| is_local(**byte)).count();
        let Some(end) = domain(text, sign_end) else { continue };
        if local > 0 {
            return Some(Found { start: sign - local, end, mark: "[email]" });
        }
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

/// The end of a domain of two labels or more, the last of letters alone.
fn domain(text: &[u8], from: usize) -> Option<usize> {
    const DOMAIN_MAX: usize = 255;
    let rest = text.get(from..)?;
    let long = rest.iter().take(DOMAIN_MAX);
    let long = long.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')).count();
    let mut name = rest.get(..long)?;
    while let Some((b'.' | b'-', shorter)) = name.split_last() {
        name = shorter;
    }
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let last = name.get(dot + 1..)?;
    let sound = dot > 0 && last.len() >= 2 && last.iter().all(u8::is_ascii_alphabetic);
    sound.then_some(from + name.len())
}
