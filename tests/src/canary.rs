//! Secrets that stand nowhere else, and the search for them in all that a server says.
//!
//! A secret counts as found when a piece of ten characters of it is, in whatever case, as it is or in base64, in
//! hexadecimal digits or encoded for a URL: so half a secret that was cut, or one inside of a larger text that was
//! encoded, is found as well.

use std::{collections::HashMap, fmt};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use parking_lot::Mutex;

/// Characters of a piece that betrays its secret.
const PIECE_CHARS: usize = 10;
/// The same in hexadecimal digits. Ids are made of these too: fewer could be alike by chance.
const HEX_PIECE_CHARS: usize = 16;
/// The same encoded for a URL: five characters.
const URL_PIECE_CHARS: usize = 15;
/// Eleven bytes: with fewer, words of two secrets are alike by chance in one run of a dozen, so many tokens are searched.
const BASE64_PIECE_CHARS: usize = 15;

/// Secrets, each planted in a place of its own.
#[derive(Debug, Default)]
pub struct Canaries(Mutex<Vec<Canary>>);

#[derive(Debug, Clone)]
struct Canary {
    place: String,
    secret: String,
}

/// Where a secret was found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it had been planted.
    pub place: String,
    /// How it is written.
    pub form: &'static str,
    /// What stands around it.
    pub around: String,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  {} ({}): {}", self.place, self.form, self.around)
    }
}

impl Canaries {
    /// A secret that looks like a word, so that only who does not show it at all keeps it. The same for the same place.
    #[must_use]
    pub fn word(&self, place: &str) -> String {
        self.planted(place, || {
            let letters = |kind: &[u8], byte: u8| char::from(kind[usize::from(byte) % kind.len()]);
            let syllable =
                |pair: &[u8]| [letters(b"bdfgklmnprstvz", pair[0]), letters(b"aeiou", pair[1])];
            random::<18>().chunks(2).flat_map(syllable).collect()
        })
    }

    /// A secret as machines make them: letters of both cases and digits, 48 in all. The same for the same place.
    #[must_use]
    pub fn random(&self, place: &str) -> String {
        self.planted(place, || {
            let mut secret = String::new();
            // One of each kind in each three, in any order: so none looks like a word by chance.
            for three in random::<64>().chunks(4) {
                let mut kinds: Vec<&[u8]> =
                    vec![b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"abcdefghjkmnpqrstuvwxyz", b"23456789"];
                for byte in &three[1..] {
                    let kind = kinds.swap_remove(usize::from(three[0]) % kinds.len());
                    secret.push(char::from(kind[usize::from(*byte) % kind.len()]));
                }
            }
            secret
        })
    }

    /// A secret of another form.
    pub fn plant(&self, place: &str, secret: &str) {
        let (place, secret) = (place.to_owned(), secret.to_owned());
        self.0.lock().push(Canary { place, secret });
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// What finds them.
    #[must_use]
    pub fn search(&self) -> Search {
        Search::of(&[self])
    }

    fn planted(&self, place: &str, make: impl FnOnce() -> String) -> String {
        let mut all = self.0.lock();
        if let Some(known) = all.iter().find(|canary| canary.place == place) {
            return known.secret.clone();
        }
        let secret = make();
        all.push(Canary { place: place.to_owned(), secret: secret.clone() });
        secret
    }
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// How a secret may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Raw,
    Base64,
    Hex,
    Url,
}

impl Form {
    const ALL: [Self; 4] = [Self::Raw, Self::Base64, Self::Hex, Self::Url];

    const fn name(self) -> &'static str {
        match self {
            Self::Raw => "as it is",
            Self::Base64 => "base64",
            Self::Hex => "hexadecimal",
            Self::Url => "URL-encoded",
        }
    }

    const fn piece_chars(self) -> usize {
        match self {
            Self::Raw => PIECE_CHARS,
            Self::Base64 => BASE64_PIECE_CHARS,
            Self::Hex => HEX_PIECE_CHARS,
            Self::Url => URL_PIECE_CHARS,
        }
    }

    /// Upper and lower case are the same but for base64, which tells them apart.
    fn folded(self, text: &[u8]) -> Vec<u8> {
        if self == Self::Base64 { text.to_vec() } else { text.to_ascii_lowercase() }
    }

    /// All texts of this form that hold the secret.
    fn written(self, secret: &[u8]) -> Vec<String> {
        match self {
            Self::Raw => vec![String::from_utf8_lossy(secret).into_owned()],
            Self::Base64 => (0..3).flat_map(|before| base64(secret, before)).collect(),
            Self::Hex => vec![each(secret, |byte| format!("{byte:02x}"))],
            // Once with everything encoded, once with what has to be, if there is such.
            Self::Url => {
                let all = each(secret, |byte| format!("%{byte:02X}"));
                let needed = each(secret, url_encoded);
                [all, needed].into_iter().filter(|text| text.contains('%')).collect()
            }
        }
    }
}

fn each(secret: &[u8], written: impl Fn(u8) -> String) -> String {
    secret.iter().map(|byte| written(*byte)).collect()
}

fn url_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// The characters that tell of the secret alone where it stands in something that is encoded as a whole, after so many
/// bytes: in both alphabets.
fn base64(secret: &[u8], before: usize) -> [String; 2] {
    let whole = [&vec![0; before], secret].concat();
    // The first characters hold bits of what stands before, the last of what follows.
    let start = [0, 2, 3][before];
    let end_cut = usize::from(!whole.len().is_multiple_of(3));
    [BASE64_STANDARD_NO_PAD.encode(&whole), BASE64_URL_SAFE_NO_PAD.encode(&whole)]
        .map(|text| text.get(start..text.len() - end_cut).unwrap_or_default().to_owned())
}

/// Finds secrets.
pub struct Search {
    canaries: Vec<Canary>,
    forms: [Pieces; 4],
}

/// All pieces of one form, each with the number of its canary.
struct Pieces {
    form: Form,
    all: HashMap<Vec<u8>, usize>,
    /// Whether a piece may begin with bytes of this hash: most of what is searched is told by one look.
    beginnings: Vec<bool>,
}

impl Search {
    /// Finds those of all of these.
    #[must_use]
    pub fn of(all: &[&Canaries]) -> Self {
        let canaries: Vec<Canary> = all.iter().flat_map(|some| some.0.lock().clone()).collect();
        let forms = Form::ALL.map(|form| Pieces::of(form, &canaries));
        Self { canaries, forms }
    }

    /// Those that are in `text`, each once in each form.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for Pieces { form, all, beginnings } in &self.forms {
            let folded = form.folded(text);
            for (at, piece) in folded.windows(form.piece_chars()).enumerate() {
                if !beginnings[beginning(piece)] {
                    continue;
                }
                let Some(number) = all.get(piece) else { continue };
                let place = &self.canaries[*number].place;
                if !found.iter().any(|found| found.place == *place && found.form == form.name()) {
                    let around = &text[at.saturating_sub(100)..text.len().min(at + 100)];
                    let around = String::from_utf8_lossy(around).into_owned();
                    found.push(Found { place: place.clone(), form: form.name(), around });
                }
            }
        }
        found
    }
}

impl Pieces {
    fn of(form: Form, canaries: &[Canary]) -> Self {
        let (mut all, mut beginnings) = (HashMap::new(), vec![false; 1 << BEGINNING_BITS]);
        for (number, canary) in canaries.iter().enumerate() {
            for text in form.written(canary.secret.as_bytes()) {
                for piece in text.as_bytes().windows(form.piece_chars()) {
                    let piece = form.folded(piece);
                    beginnings[beginning(&piece)] = true;
                    let _known = all.insert(piece, number);
                }
            }
        }
        Self { form, all, beginnings }
    }
}

const BEGINNING_BITS: u32 = 20;

/// A number of so many bits for the first four bytes.
fn beginning(piece: &[u8]) -> usize {
    let four = u32::from_le_bytes([piece[0], piece[1], piece[2], piece[3]]);
    let hash = four.wrapping_mul(0x9E37_79B1) >> (u32::BITS - BEGINNING_BITS);
    usize::try_from(hash).expect("it has few bits")
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("canaries", &self.canaries.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_and_in_part() {
        let canaries = Canaries::default();
        let secrets = [canaries.word("word"), canaries.random("random")];
        assert_eq!(canaries.word("word"), secrets[0], "the same for the same place");
        let search = canaries.search();
        for (secret, place) in secrets.iter().zip(["word", "random"]) {
            let mut texts = vec![
                secret.clone(),
                secret.to_uppercase(),
                secret.chars().take(PIECE_CHARS).collect(),
                secret.chars().skip(5).take(PIECE_CHARS).collect(),
            ];
            for before in ["", "a", "ab", "abc"] {
                for after in ["", "x", "xy"] {
                    let whole = format!("{before}{secret}{after}");
                    texts.push(BASE64_STANDARD_NO_PAD.encode(&whole));
                    texts.push(BASE64_URL_SAFE_NO_PAD.encode(&whole));
                }
            }
            let hex = each(secret.as_bytes(), |byte| format!("{byte:02X}"));
            let url = each(secret.as_bytes(), |byte| format!("%{byte:02x}"));
            texts.extend([hex.to_lowercase(), hex, url]);
            for text in texts {
                let found = search.find(format!("before{text}after").as_bytes());
                assert!(found.iter().any(|found| found.place == place), "{text}");
            }
        }
        assert_eq!(search.find(b"nothing of it, however long this may go on"), Vec::new());
    }
}
