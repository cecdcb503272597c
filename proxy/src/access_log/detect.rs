//! Finds what must not stand in a log within text that may: tokens, keys, e-mail addresses, card numbers, and what
//! looks random.
//!
//! Detectors are a second line behind the rules that name what is shown at all. They err on the side of taking out
//! too much. Most texts are short and plain, so one look over the bytes decides that nothing can be in them.

mod email;
mod entropy;
mod jwt;
mod key;

mod card;

pub(super) use self::key::says_nothing;
use super::short;
use crate::config::Detectors;

/// How far beyond the part that is shown a finding is followed. What begins there and is longer is taken out all the
/// same, since its beginning is enough to tell it.
const LOOK_AHEAD: usize = 512;

/// Something that was found: where it stands, and what is written in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) mark: &'static str,
}

/// What one look over a text tells.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    /// Longest run of characters that tokens are made of.
    run: usize,
    digits: usize,
    /// The classes of all its characters.
    classes: u8,
}

/// Characters of tokens: letters, digits and those of both forms of base64.
const TOKEN: u8 = 1;
const DIGIT: u8 = 2;
/// What does not stand for itself in JSON, or is not visible: quotes, backslashes, what is no ASCII.
const ESCAPED: u8 = 4;
/// `@`, and the `%` of one that is written as in a URL.
const AT: u8 = 8;
/// What stands between a name and its value.
const ASSIGNS: u8 = 16;
/// What stands between a scheme and its credential, also in a URL, and between the words of a private key's first line.
const SPACE: u8 = 32;
/// What begins a character that is encoded for a URL.
const PERCENT: u8 = 64;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let class = match byte {
            b'0'..=b'9' => TOKEN | DIGIT,
            b'=' => TOKEN | ASSIGNS,
            b'+' => TOKEN | SPACE,
            b'a'..=b'z' | b'A'..=b'Z' | b'/' | b'_' | b'-' => TOKEN,
            b'@' => AT,
            b'%' => AT | PERCENT,
            b':' => ASSIGNS,
            b' ' => SPACE,
            b'"' | b'\\' | 0..b' ' | 0x7f.. => ESCAPED,
            _ => 0,
        };
        #[expect(
            clippy::as_conversions,
            clippy::indexing_slicing,
            reason = "a byte is a place among 256, and this runs when it is compiled"
        )]
        {
            classes[byte as usize] = class;
        }
        if byte == u8::MAX {
            return classes;
        }
        byte += 1;
    }
}

fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Not zero for a byte that tells of a finding however short the text is, or does not stand for itself. Without a table, so
/// that it compiles to a few wide instructions.
fn tells(byte: u8) -> u8 {
    let marks = b"\"\\@%:=+".iter().fold(0, |any, mark| any | u8::from(byte == *mark));
    marks | u8::from(byte <= b' ') | u8::from(byte > b'~')
}

fn is_token(byte: u8) -> bool {
    class(byte) & TOKEN != 0
}

impl Look {
    fn over(text: &[u8]) -> Self {
        let mut look = Self::default();
        let mut run = 0;
        for byte in text {
            let class = class(*byte);
            run = if class & TOKEN == 0 { 0 } else { run + 1 };
            look.run = look.run.max(run);
            look.digits += usize::from(class & DIGIT != 0);
            look.classes |= class;
        }
        look
    }

    const fn has(self, class: u8) -> bool {
        self.classes & class != 0
    }

    /// Which of these detectors could find something.
    const fn could_find(self, detectors: Detectors) -> [bool; 5] {
        let Detectors { jwt, key, email, card, entropy } = detectors;
        let long = self.run >= RUN_MIN;
        [
            jwt && long,
            key && (long || self.has(ASSIGNS) || self.has(SPACE)),
            email && self.has(AT),
            card && self.digits >= card::DIGITS_MIN,
            entropy && long,
        ]
    }
}

/// Whether a text holds nothing that any detector could find, and is written as it stands in every format. Not every text
/// that does so is known to do so.
pub(super) fn is_plain(text: &[u8], bytes_max: usize) -> bool {
    if text.len() > bytes_max {
        return false;
    }
    // Too short for anything but what certain characters tell of.
    if text.len() < card::DIGITS_MIN.min(RUN_MIN) {
        return short::all(text, tells) == 0;
    }
    let look = Look::over(text);
    !look.has(PERCENT | ESCAPED) && look.could_find(Detectors::ALL) == [false; 5]
}

/// Shortest run of a token's characters in which a key or something random may be.
const RUN_MIN: usize = 16;

/// The findings in a text, from its beginning on. They do not overlap.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    text: &'t [u8],
    from: usize,
    /// The next finding of each detector that is on; none when there is none to come.
    next: [Option<Found>; 5],
}

/// One detector: the first finding that begins at `from` or later.
type Detector = fn(&[u8], usize) -> Option<Found>;

const DETECTORS: [Detector; 5] = [jwt::find, key::find, email::find, card::find, entropy::find];

impl<'t> Findings<'t> {
    /// Looks for what `detectors` say in as much of `text` as is shown of it; none when nothing can be there.
    pub(super) fn in_text(text: &'t [u8], bytes_max: usize, detectors: Detectors) -> Option<Self> {
        let text = text.get(..bytes_max.saturating_add(LOOK_AHEAD)).unwrap_or(text);
        let on = Look::over(text).could_find(detectors);
        if on == [false; 5] {
            return None;
        }
        let mut next = [None; 5];
        for ((next, detector), on) in next.iter_mut().zip(DETECTORS).zip(on) {
            *next = if on { detector(text, 0) } else { None };
        }
        next.iter().any(Option::is_some).then_some(Self { text, from: 0, next })
    }
}

impl Iterator for Findings<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        for (next, detector) in self.next.iter_mut().zip(DETECTORS) {
            if next.is_some_and(|found| found.start < self.from) {
                *next = detector(self.text, self.from);
            }
        }
        let first = self.next.iter().flatten().min_by_key(|found| found.start).copied()?;
        // Where two see the same, the one that sees more of it counts, under the name of the first.
        let overlap = self.next.iter().flatten().filter(|found| found.start < first.end);
        let end = overlap.map(|found| found.end).max().unwrap_or(first.end);
        self.from = end;
        Some(Found { end, ..first })
    }
}

/// What stands for a value whose name says that it is a secret; none where it does not say so, or nobody asks.
pub(super) fn told_by(name: &str, detectors: Detectors) -> Option<&'static str> {
    (detectors.key && key::tells(name)).then_some(key::MARK)
}

/// What a text says that is encoded for a URL, as far as it is looked at; none where nothing in it is encoded.
pub(super) fn decoded(text: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let first = text.iter().position(|byte| *byte == b'%')?;
    let looked_at = bytes_max.saturating_add(LOOK_AHEAD);
    let (before, mut rest) = text.split_at_checked(first).filter(|_| first < looked_at)?;
    let mut decoded = before.to_vec();
    while let [byte, after @ ..] = rest
        && decoded.len() < looked_at
    {
        let pair = after.first_chunk().filter(|_| *byte == b'%').and_then(|pair| hex(*pair));
        decoded.push(pair.unwrap_or(*byte));
        rest = if pair.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Some(decoded)
}

/// The byte of two hexadecimal digits.
fn hex([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16)?).ok();
    Some((digit(high)? << 4) | digit(low)?)
}

/// Whether a text is of a form that ids have: a number, a UUID, or hexadecimal digits like those of a trace. Such ids look
/// random and open nothing.
pub(super) fn is_id(text: &[u8]) -> bool {
    if text.len() > 32 {
        return is_uuid(text);
    }
    let mut digits = 0;
    for byte in text {
        if !byte.is_ascii_hexdigit() {
            return false;
        }
        digits += usize::from(byte.is_ascii_digit());
    }
    // As long as the number of a card.
    let may_be_card =
        (card::DIGITS_MIN..=card::DIGITS_MAX).contains(&digits) && digits == text.len();
    !may_be_card
}

/// Spec: RFC 9562 §4.
fn is_uuid(text: &[u8]) -> bool {
    const CHARS: usize = 36;
    text.len() == CHARS
        && text.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The end of the run of bytes from `from` on for which `holds`.
fn run_end(text: &[u8], from: usize, holds: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| !holds(*byte)).unwrap_or(rest.len())
}

/// The byte at a place; a zero byte beyond the end.
fn at(text: &[u8], place: usize) -> u8 {
    text.get(place).copied().unwrap_or(0)
}

/// Whether a word could begin at a place: no letter or digit stands before it.
fn begins_word(text: &[u8], place: usize) -> bool {
    place.checked_sub(1).is_none_or(|before| !at(text, before).is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
