//! JSON written straight into a byte buffer.

use std::io::Write as _;

use super::short;

/// What stands at the end of a text that was cut.
const CUT: &[u8] = "…".as_bytes();

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` as a JSON string, quotes included.
///
/// At most `bytes_max` bytes of it: what is longer is cut at a character and ends with `…`. Bytes
/// that are not UTF-8 become U+FFFD.
pub(super) fn text(out: &mut Vec<u8>, text: &[u8], bytes_max: usize) {
    out.push(b'"');
    escaped(out, text, bytes_max);
    out.push(b'"');
}

/// Like [`text`], without the quotes.
pub(super) fn escaped(out: &mut Vec<u8>, text: &[u8], bytes_max: usize) {
    let (kept, cut) = shortened(text, bytes_max);
    if are_plain(kept) {
        short::append(out, kept);
    } else {
        for chunk in kept.utf8_chunks() {
            for character in chunk.valid().chars() {
                character_escaped(out, character);
            }
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    if cut {
        out.extend_from_slice(CUT);
    }
}

/// Appends `value` in decimal.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    match u32::try_from(value) {
        Ok(value @ 0..10) => out.push(b'0' | u8::try_from(value).unwrap_or_default()),
        Ok(value @ 10..100_000_000) => number_of_eight(out, value),
        // Rare. Writing into a `Vec` cannot fail.
        _ => write!(out, "{value}").unwrap_or_default(),
    }
}

/// Appends a number below 10⁸, not zero: all eight digits are worked out side by side in one word, then the zeros that
/// lead are shifted out. A record has half a dozen numbers, and branches by their length are what they would cost.
fn number_of_eight(out: &mut Vec<u8>, value: u32) {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    // The first digit stands in the lowest byte. Each step splits every part in two: four digits, two, one.
    // x / 100 = x · 10486 / 2²⁰ for x < 10⁴, and x / 10 = x · 103 / 2¹⁰ for x < 100, rounded down.
    let fours = u64::from(value / 10_000) | (u64::from(value % 10_000) << 32);
    let high = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = high | ((fours - high * 100) << 16);
    let high = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = high | ((twos - high * 10) << 8);
    // Not all are zero.
    let leading = ones.trailing_zeros() / 8;
    let digits = (ones | ZEROS) >> (leading * 8);
    let end = out.len() + 8 - usize::try_from(leading).unwrap_or_default();
    out.extend_from_slice(&digits.to_le_bytes());
    out.truncate(end);
}

/// Appends the three last digits of `value`.
pub(super) fn thousandths(out: &mut Vec<u8>, value: u64) {
    let digit = |value: u64| b'0' + u8::try_from(value % 10).unwrap_or_default();
    out.extend_from_slice(&[digit(value / 100), digit(value / 10), digit(value)]);
}

/// The part of `text` that fits, and whether something was cut.
pub(super) fn shortened(text: &[u8], bytes_max: usize) -> (&[u8], bool) {
    let Some(mut kept) = text.get(..bytes_max).filter(|_| text.len() > bytes_max) else {
        return (text, false);
    };
    // Do not cut within a character: step back over its continuation bytes, of which UTF-8 has at
    // most three. In other bytes there is nothing to save.
    let next_is = |kept: &[u8]| text.get(kept.len()).is_some_and(|byte| byte & 0xc0 == 0x80);
    for _ in 0..3 {
        match kept.split_last() {
            Some((_, shorter)) if next_is(kept) => kept = shorter,
            _ => break,
        }
    }
    (kept, true)
}

/// Whether `text` is not longer than `bytes_max` and stands for itself in a JSON string.
pub(super) fn is_plain(text: &[u8], bytes_max: usize) -> bool {
    text.len() <= bytes_max && are_plain(text)
}

/// Whether bytes stand for themselves in a JSON string.
fn are_plain(bytes: &[u8]) -> bool {
    // Without an early end, so that it compiles to a few wide instructions.
    let escaped = |byte: u8| {
        let marks = u8::from(byte == b'"') | u8::from(byte == b'\\');
        marks | u8::from(byte < b' ') | u8::from(byte > b'~')
    };
    short::all(bytes, escaped) == 0
}

fn character_escaped(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        // C0, DEL and C1. JSON asks for the first only; the others could steer the terminal of
        // whoever reads the log. All are below U+00A0.
        control if control.is_control() => {
            let code = u32::from(control);
            out.extend_from_slice(br"\u00");
            out.extend([hex(code >> 4), hex(code)]);
        }
        // Marks that reverse the direction of text, or end a line for some readers.
        mark @ ('\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            let code = u32::from(mark);
            out.extend_from_slice(br"\u");
            out.extend([hex(code >> 12), hex(code >> 8), hex(code >> 4), hex(code)]);
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// The digit of the lowest four bits.
fn hex(bits: u32) -> u8 {
    usize::try_from(bits & 15).ok().and_then(|place| HEX.get(place)).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_back(bytes: &[u8], bytes_max: usize) -> String {
        let mut out = Vec::new();
        text(&mut out, bytes, bytes_max);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(read_back(b"abcd", 4), "abcd");
        assert_eq!(read_back(b"abcde", 4), "abcd…");
        assert_eq!(read_back("abcé".as_bytes(), 4), "abc…");
        assert_eq!(read_back("a🦀b".as_bytes(), 4), "a…");
        assert_eq!(read_back("a🦀b".as_bytes(), 5), "a🦀…");
        assert_eq!(read_back(b"a", 0), "…");
    }

    #[test]
    fn nothing_written_can_steer_a_terminal() {
        let mut out = Vec::new();
        text(&mut out, "\u{1b}[2J\u{7f}\u{9b}\u{202e}\n\u{2028}".as_bytes(), 100);
        let shown = String::from_utf8(out).unwrap();
        assert_eq!(shown, r#""\u001b[2J\u007f\u009b\u202e\n\u2028""#);
    }

    #[test]
    fn numbers_are_written_as_rust_writes_them() {
        let lengths = (0..20).map(|digits| 10_u64.pow(digits));
        let all = (0..=10_000).chain(lengths.flat_map(|length| [length - 1, length, length + 1]));
        for value in all.chain([u64::MAX]) {
            let mut out = b"n".to_vec();
            number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), format!("n{value}"));
        }
        let mut out = Vec::new();
        thousandths(&mut out, 7);
        thousandths(&mut out, 1234);
        assert_eq!(out, b"007234");
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_rust_writes_it(value in any::<u64>(), shift in 0_u32..64) {
            let mut out = Vec::new();
            number(&mut out, value >> shift);
            prop_assert_eq!(String::from_utf8(out).unwrap(), (value >> shift).to_string());
        }

        #[test]
        fn any_bytes_come_back_as_their_lossy_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(read_back(&bytes, 200), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_text_comes_back_whole_or_cut(line in "\\PC{0,60}", bytes_max in 0_usize..100) {
            let back = read_back(line.as_bytes(), bytes_max);
            if line.len() <= bytes_max {
                prop_assert_eq!(back, line);
            } else {
                let kept = back.strip_suffix('…').unwrap();
                prop_assert!(line.starts_with(kept) && kept.len() <= bytes_max);
                prop_assert!(kept.len() + 3 >= bytes_max, "cut more than one character");
            }
        }
    }
}
