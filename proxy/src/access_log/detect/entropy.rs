//! Text that looks random, as keys and tokens of unknown makers do.
//!
//! Names that people give are words: letters of one case in a row, a capital where a word begins, digits together. Random
//! characters change their kind at every second step and seldom repeat. A run of token characters counts as random
//! when it is long and one of both shows; so does a long row of letters that nobody could say, and a UUID. Words around
//! something random must not hide it, as those of a path do: so the parts of a run are looked at as well.

use std::ops::Range;

use super::{Found, is_token, is_uuid, run_end};

/// Fewest letters and digits of a random text: 20 of 36 are 103 bits. Shorter ones are too much like names.
const CHARS_MIN: usize = 20;
/// Fewest letters and digits in a row in it. Names of pods have random parts that are shorter.
const ROW_MIN: usize = 12;
/// Least share of steps, in percent, at which the kind changes. Random hexadecimal digits change at 47, base64 at 44
/// when capitals are not counted that only begin a word; `http2ClientRequestsIn5xxTotal` at 25.
const CHANGES_PERCENT_MIN: usize = 28;
/// Least share of characters, in percent, that are different ones. Random base64 of 43 characters has 73.
const DIFFERENT_PERCENT_MIN: usize = 70;
/// Fewest consonants in a row that nobody could say. `Hirschsprung` has six, not counting `y`.
const CONSONANTS_MIN: usize = 8;

pub(super) fn find(text: &[u8], from: usize) -> Option<Found> {
    let mut place = from;
    while place < text.len() {
        let start = run_end(text, place, |byte| !is_token(byte));
        let end = run_end(text, start, is_token);
        if end - start >= CHARS_MIN {
            let run = text.get(start..end)?;
            if let Some(random) = random(run) {
                let (start, end) = (start + random.start, start + random.end);
                return Some(Found { start, end, mark: "[secret]" });
            }
        }
        place = end.max(place + 1);
    }
    None
}

/// A run as a whole, or its first part between slashes that is random or has something random between other signs.
fn random(run: &[u8]) -> Option<Range<usize>> {
    if is_random(run) {
        return Some(0..run.len());
    }
    let mut start = 0;
    for part in run.split(|byte| *byte == b'/') {
        let end = start + part.len();
        if is_random(part) || part.split(|byte| kind(*byte).is_none()).any(is_random) {
            return Some(start..end);
        }
        start = end + 1;
    }
    None
}

fn is_random(text: &[u8]) -> bool {
    text.len() >= CHARS_MIN && (is_uuid(text) || Traits::of(text).look_random())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
    Digit,
}

/// What the letters and digits of a run are like. The other characters end a row and count for nothing.
#[derive(Debug, Default)]
struct Traits {
    chars: usize,
    /// Longest row.
    row: usize,
    /// Pairs of neighbours.
    steps: usize,
    /// Those of two kinds.
    changes: usize,
    consonants: usize,
    /// Which characters there are, by their code.
    different: u128,
    lower: bool,
    upper: bool,
    digit: bool,
}

impl Traits {
    fn of(run: &[u8]) -> Self {
        let mut traits = Self::default();
        let (mut before, mut row, mut consonants) = (None, 0, 0);
        for byte in run {
            let kind = kind(*byte);
            let Some(kind) = kind else {
                (before, row, consonants) = (None, 0, 0);
                continue;
            };
            traits.chars += 1;
            traits.different |= 1_u128 << (byte & 127);
            row += 1;
            traits.row = traits.row.max(row);
            consonants = if is_consonant(*byte) { consonants + 1 } else { 0 };
            traits.consonants = traits.consonants.max(consonants);
            if let Some(before) = before {
                traits.steps += 1;
                // A capital followed by a small letter begins a word.
                let word = before == Kind::Upper && kind == Kind::Lower;
                traits.changes += usize::from(before != kind && !word);
            }
            match kind {
                Kind::Lower => traits.lower = true,
                Kind::Upper => traits.upper = true,
                Kind::Digit => traits.digit = true,
            }
            before = Some(kind);
        }
        traits
    }

    fn look_random(&self) -> bool {
        if self.chars < CHARS_MIN || self.row < ROW_MIN {
            return false;
        }
        let changes = self.changes * 100 >= self.steps * CHANGES_PERCENT_MIN;
        let different = usize::try_from(self.different.count_ones()).unwrap_or_default();
        let mixed = self.lower && self.upper && self.digit;
        // Of 64 characters a long run has not more than 64.
        let many = different * 100 >= self.chars.min(56) * DIFFERENT_PERCENT_MIN;
        changes || (mixed && many) || self.consonants >= CONSONANTS_MIN
    }
}

const fn kind(byte: u8) -> Option<Kind> {
    match byte {
        b'a'..=b'z' => Some(Kind::Lower),
        b'A'..=b'Z' => Some(Kind::Upper),
        b'0'..=b'9' => Some(Kind::Digit),
        _ => None,
    }
}

fn is_consonant(byte: u8) -> bool {
    byte.is_ascii_alphabetic() && !b"aeiouy".contains(&byte.to_ascii_lowercase())
}
