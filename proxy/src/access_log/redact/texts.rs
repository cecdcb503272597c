//! Texts as bytes.

use std::{
    io::{Cursor, Write as _},
    net::IpAddr,
};

/// Longest address: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const ADDRESS_CHARS_MAX: usize = 45;

/// Appends a text as UTF-8 without escapes, at most `bytes_max` bytes of it; what is longer is cut at a character and
/// ends with `…`.
pub(in crate::access_log) fn put_plain(out: &mut Vec<u8>, text: &[u8], bytes_max: usize) {
    let (kept, cut) = crate::access_log::json::shortened(text, bytes_max);
    for chunk in kept.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    if cut {
        out.extend_from_slice("…".as_bytes());
    }
}

/// Gives the text of an address, which allocates nothing.
pub(super) fn with_address(address: IpAddr, take: impl FnOnce(&[u8])) {
    let mut text = Cursor::new([0; ADDRESS_CHARS_MAX]);
    // There is room for every address.
    write!(text, "{address}").unwrap_or_default();
    let length = usize::try_from(text.position()).unwrap_or_default();
    take(text.get_ref().get(..length).unwrap_or_default());
}
