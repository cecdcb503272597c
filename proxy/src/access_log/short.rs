//! Short texts, appended without a call for each.
//!
//! An access record is made of some hundred pieces, most of which are shorter than what a call costs that copies them.
//! So a piece is copied by one or two moves of a fixed size, which the compiler writes out.

use super::Field;

/// Appends `text`, of whatever length; the shorter, the cheaper.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is there to spare the call")]
pub(super) fn append(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        0 => {}
        1..=3 => {
            for byte in text {
                out.push(*byte);
            }
        }
        4..=7 => ends::<4>(out, text),
        8..=15 => ends::<8>(out, text),
        16..=31 => ends::<16>(out, text),
        32..=64 => ends::<32>(out, text),
        _ => out.extend_from_slice(text),
    }
}

/// Appends a text of `N` to `2 * N` bytes: its first and its last `N`, which overlap where it is shorter than both.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is there to spare the call")]
fn ends<const N: usize>(out: &mut Vec<u8>, text: &[u8]) {
    let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else {
        return out.extend_from_slice(text);
    };
    let end = out.len() + text.len();
    out.extend_from_slice(first);
    out.truncate(end - N);
    out.extend_from_slice(last);
}

/// Joins what `see` says of each byte, of some of them twice.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is there to spare the call")]
pub(super) fn all(text: &[u8], see: impl Fn(u8) -> u8) -> u8 {
    let join = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all | see(*byte));
    match text.len() {
        4..=7 => ends_of::<4>(text, join),
        8..=15 => ends_of::<8>(text, join),
        16..=31 => ends_of::<16>(text, join),
        32..=64 => ends_of::<32>(text, join),
        _ => join(text),
    }
}

/// The same of a text of `N` to `2 * N` bytes, in which no loop is left.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is there to spare the call")]
fn ends_of<const N: usize>(text: &[u8], join: impl Fn(&[u8]) -> u8) -> u8 {
    match (text.first_chunk::<N>(), text.last_chunk::<N>()) {
        (Some(first), Some(last)) => join(first) | join(last),
        _ => join(text),
    }
}

/// Whether two texts are the same.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is there to spare the call")]
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && match one.len() {
            2..=3 => same_ends::<2>(one, other),
            4..=7 => same_ends::<4>(one, other),
            8..=16 => same_ends::<8>(one, other),
            _ => one == other,
        }
}

/// The same for texts of `N` to `2 * N` bytes.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is there to spare the call")]
fn same_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk::<N>()
        && one.last_chunk::<N>() == other.last_chunk::<N>()
}

/// A text that is known when the program is compiled, in a room of fixed size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Short<const ROOM: usize> {
    room: [u8; ROOM],
    /// In a byte, so that tables of them are small.
    length: u8,
}

impl<const ROOM: usize> Short<ROOM> {
    /// The parts in a row. One that has no room is a fault of whoever compiles it.
    #[expect(clippy::indexing_slicing, reason = "this runs when it is compiled")]
    pub(super) const fn of(parts: &[&str]) -> Self {
        let (mut room, mut length, mut place_of_next) = ([0; ROOM], 0, 0);
        let mut part = 0;
        while part < parts.len() {
            let bytes = parts[part].as_bytes();
            let mut place = 0;
            while place < bytes.len() {
                room[place_of_next] = bytes[place];
                place_of_next += 1;
                length += 1;
                place += 1;
            }
            part += 1;
        }
        Self { room, length }
    }

    fn text(&self) -> &[u8] {
        self.room.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Appends it.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        let end = out.len() + usize::from(self.length);
        out.extend_from_slice(&self.room);
        out.truncate(end);
    }
}

/// What stands before the value of each field: `,"name":`, or `,"name":"` before a text.
#[derive(Debug)]
pub(super) struct Keys<const ROOM: usize>([Short<ROOM>; Field::COUNT]);

impl<const ROOM: usize> Keys<ROOM> {
    /// By these names, in the order of [`Field::ALL`], and what follows each.
    #[expect(clippy::indexing_slicing, reason = "this runs when it is compiled")]
    pub(super) const fn of(names: &[&str; Field::COUNT], end: &str) -> Self {
        let mut keys = [Short::of(&[]); Field::COUNT];
        let mut place = 0;
        while place < Field::COUNT {
            keys[place] = Short::of(&[",\"", names[place], end]);
            place += 1;
        }
        Self(keys)
    }

    /// That of a field.
    pub(super) fn text(&self, field: Field) -> &[u8] {
        self.0.get(field.index()).map(Short::text).unwrap_or_default()
    }

    /// Appends that of a field.
    pub(super) fn append_to(&self, out: &mut Vec<u8>, field: Field) {
        if let Some(key) = self.0.get(field.index()) {
            key.append_to(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_appended_whole() {
        let text: Vec<u8> = (0..200).collect();
        for length in 0..=text.len() {
            let text = &text[..length];
            let mut out = b"before".to_vec();
            append(&mut out, text);
            append(&mut out, b"after");
            assert_eq!(out, [b"before", text, b"after"].concat(), "{length}");
        }
    }

    #[test]
    fn every_byte_of_a_text_is_seen() {
        for length in 1..200 {
            for place in 0..length {
                let mut text = vec![0; length];
                text[place] = 4;
                assert_eq!(all(&text, |byte| byte), 4, "{place} of {length}");
            }
        }
        assert_eq!(all(b"", |byte| byte), 0);
    }

    #[test]
    fn texts_are_the_same_only_if_each_byte_is() {
        for length in 0..100 {
            let text = vec![7; length];
            assert!(same(&text, &text.clone()), "{length}");
            assert!(!same(&text, &vec![7; length + 1]), "{length}");
            for place in 0..length {
                let mut other = text.clone();
                other[place] = 8;
                assert!(!same(&text, &other), "{place} of {length}");
            }
        }
    }

    #[test]
    fn a_text_in_a_room_is_appended_without_the_room() {
        const TEXT: Short<8> = Short::of(&["a", "", "bc"]);
        let mut out = b"before".to_vec();
        TEXT.append_to(&mut out);
        TEXT.append_to(&mut out);
        Short::<0>::of(&[]).append_to(&mut out);
        assert_eq!(out, b"beforeabcabc");
    }
}
