//! A sealed line, as bytes.

use super::{MAC_CHARS, Mac};
use crate::access_log::json;

const SEQ: &[u8] = br#","seq":"#;
const MAC: &[u8] = br#","mac":""#;
const END: &[u8] = br#""}"#;
const END_OF_LINE: &[u8] = b"\"}\n";

/// Largest number that a line can have.
const SEQ_MAX: u64 = u64::MAX >> 1;

/// What follows the sealed part of a line.
const TAIL_BYTES: usize = MAC.len() + MAC_CHARS + END.len();

/// A sealed line taken apart.
#[derive(Debug, Clone, Copy)]
pub struct Sealed<'l> {
    /// What the seal covers: the line up to and excluding `,"mac":`.
    pub covered: &'l [u8],
    /// Its number.
    pub seq: u64,
    /// Its seal.
    pub mac: Mac,
}

impl<'l> Sealed<'l> {
    /// Takes a line apart, given without its line feed. None where it does not end as every sealed line does.
    #[must_use]
    pub fn of(line: &'l [u8]) -> Option<Self> {
        let (covered, tail) = line.split_at_checked(line.len().checked_sub(TAIL_BYTES)?)?;
        let mac = tail.strip_prefix(MAC)?.strip_suffix(END)?;
        let digits = covered.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (before, digits) = covered.split_at_checked(covered.len() - digits)?;
        if !before.ends_with(SEQ)
            || digits.is_empty()
            || (digits.len() > 1 && digits.starts_with(b"0"))
        {
            return None;
        }
        // Far more than can be written, and far from where adding one would fail.
        let seq = std::str::from_utf8(digits).ok()?.parse().ok().filter(|seq| *seq <= SEQ_MAX)?;
        Some(Self { covered, seq, mac: Mac::parse(mac)? })
    }
}

/// Appends the number to a line whose last byte was `}` and is taken off.
pub(super) fn write_seq(out: &mut Vec<u8>, seq: u64) {
    out.extend_from_slice(SEQ);
    json::number(out, seq);
}

/// Appends the seal and the end of the line.
pub(super) fn write_mac(out: &mut Vec<u8>, mac: Mac) {
    out.extend_from_slice(MAC);
    mac.write_to(out);
    out.extend_from_slice(END_OF_LINE);
}
