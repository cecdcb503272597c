//! Keys and passwords that say themselves what they are: private keys, API keys of known makers, what follows
//! `Bearer` or `password=`, and a password in a URL.

use super::{Found, at, begins_word, is_token, run_end};

pub(super) const MARK: &str = "[key]";

/// How API keys of known makers begin, and how many characters of a token follow at least.
const PREFIXES: [(&[u8], usize); 34] = [
    (b"AKIA", 12),
    (b"ASIA", 12),
    (b"AIza", 30),
    (b"EAACEdEose0cBA", 8),
    (b"SG", 40),
    (b"cio", 28),
    (b"dapi", 28),
    (b"dop_v1_", 20),
    (b"dp.pt.", 20),
    (b"ghp_", 20),
    (b"gho_", 20),
    (b"ghu_", 20),
    (b"ghs_", 20),
    (b"ghr_", 20),
    (b"github_pat_", 20),
    (b"glpat-", 16),
    (b"glsa_", 20),
    (b"glc_", 20),
    (b"hvb.", 20),
    (b"hvs.", 20),
    (b"npm_", 20),
    (b"pk_live_", 16),
    (b"pypi-", 20),
    (b"rk_live_", 16),
    (b"shpat_", 16),
    (b"sk-", 16),
    (b"sk_live_", 16),
    (b"sk_test_", 16),
    (b"whsec_", 16),
    (b"xapp-", 16),
    (b"xoxa-", 11),
    (b"xoxb-", 11),
    (b"xoxp-", 11),
    (b"ya29.", 20),
];

/// Words after which a space and a credential stand.
const SCHEMES: [&[u8]; 2] = [b"bearer", b"basic"];

/// Names of secrets, as they stand before `=` or `:` and the value.
const NAMES: [&[u8]; 14] = [
    b"password",
    b"passwd",
    b"pwd",
    b"secret",
    b"token",
    b"api_key",
    b"api-key",
    b"apikey",
    b"access_key",
    b"private_key",
    b"passphrase",
    b"authorization",
    b"credentials",
    b"cookie",
];

/// The same where they are a part of a name by which a value is told, in lower case and without what stands between words.
const PARTS: [&[u8]; 14] = [
    b"password",
    b"passwd",
    b"passphrase",
    b"pwd",
    b"secret",
    b"token",
    b"apikey",
    b"accesskey",
    b"privatekey",
    b"credential",
    b"authorization",
    b"cookie",
    b"bearer",
    b"jwt",
];

/// Shortest credential after a scheme.
const CREDENTIAL_MIN: usize = 6;

/// Whether what stands under this name is a secret, as the name says: `password`, `apiKey`, `access-tokens`, `auth`.
pub(super) fn tells(name: &str) -> bool {
    let name: Vec<u8> = name
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    // `author` is none.
    name.ends_with(b"auth") || PARTS.iter().any(|part| holds(&name, part))
}

pub(super) fn find(text: &[u8], from: usize) -> Option<Found> {
    let mut place = from;
    while place < text.len() {
        let found = match at(text, place) {
            b'-' => private_key(text, place),
            b':' => of_url(text, place),
            byte if byte.is_ascii_alphabetic() => word(text, place),
            _ => None,
        };
        match found {
            Some(found) if found.start >= from && found.end > found.start => return Some(found),
            Some(_) | None => place += 1,
        }
    }
    None
}

/// `-----BEGIN RSA PRIVATE KEY-----` to its end, or to that of the text.
fn private_key(text: &[u8], start: usize) -> Option<Found> {
    const LINE_MAX: usize = 64;
    let rest = text.get(start..)?;
    rest.strip_prefix(b"-----BEGIN ")?;
    let line = rest.get(..LINE_MAX).unwrap_or(rest);
    if !holds(line, b"PRIVATE KEY") {
        return None;
    }
    let closing = b"-----END ";
    let end = rest.windows(closing.len()).position(|window| window == closing);
    let end = end.map_or(text.len(), |end| {
        let name = start + end + closing.len();
        run_end(text, run_end(text, name, |byte| byte != b'-'), |byte| byte == b'-')
    });
    Some(Found { start, end, mark: MARK })
}

/// The password in `scheme://user:password@host`, which is the part before the last `@` of the authority.
fn of_url(text: &[u8], colon: usize) -> Option<Found> {
    let start = colon + b"://".len();
    text.get(colon..start).filter(|sign| *sign == b"://")?;
    let end = run_end(text, start, |byte| {
        !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'') && byte.is_ascii_graphic()
    });
    let authority = text.get(start..end)?;
    let last = authority.iter().rposition(|byte| *byte == b'@')?;
    authority.get(..last)?.contains(&b':').then_some(Found { start, end: start + last, mark: MARK })
}

fn word(text: &[u8], place: usize) -> Option<Found> {
    let rest = text.get(place..)?;
    if begins_word(text, place) {
        let first = rest.first();
        // The first byte tells most of them apart without a call.
        let is_begun_by = |prefix: &[u8]| prefix.first() == first && rest.starts_with(prefix);
        let known = PREFIXES.iter().find(|(prefix, _)| is_begun_by(prefix));
        if let Some((prefix, more)) = known {
            let end = run_end(text, place + prefix.len(), |byte| is_token(byte) || byte == b'.');
            if end - place - prefix.len() >= *more {
                return Some(Found { start: place, end, mark: MARK });
            }
        }
        if let Some(scheme) = SCHEMES.iter().find(|scheme| begins(rest, scheme)) {
            return credential(text, place + scheme.len());
        }
    }
    // How the names begin: this is asked of every letter.
    if !matches!(at(text, place).to_ascii_lowercase(), b'a' | b'c' | b'p' | b's' | b't') {
        return None;
    }
    let name = NAMES.iter().find(|name| begins(rest, name))?;
    value(text, place + name.len())
}

/// What follows `Bearer` and a space, written as in a header or a URL.
fn credential(text: &[u8], from: usize) -> Option<Found> {
    let start = match at(text, from) {
        b' ' | b'+' => from + 1,
        b'%' if text.get(from..)?.starts_with(b"%20") => from + 3,
        _ => return None,
    };
    let end = run_end(text, start, |byte| is_token(byte) || matches!(byte, b'.' | b'~'));
    (end - start >= CREDENTIAL_MIN).then_some(Found { start, end, mark: MARK })
}

/// The value that follows a name: `=value`, `: "value"`, `=~'value'`. Quotes may be escaped, as those of JSON within a text
/// are; then the value goes on to one that is not, which may be too much.
fn value(text: &[u8], from: usize) -> Option<Found> {
    let blank = |byte| matches!(byte, b' ' | b'"' | b'\'' | b'`' | b'\\');
    let sign = run_end(text, from, blank);
    // `!=` and `=~` of a matcher too.
    let signs = run_end(text, sign, |byte| matches!(byte, b'!' | b'=' | b':' | b'~'));
    if !text.get(sign..signs)?.iter().any(|byte| matches!(byte, b'=' | b':')) {
        return None;
    }
    let start = run_end(text, signs, blank);
    let end = match at(text, start.checked_sub(1)?) {
        quote @ (b'"' | b'\'') => quoted_end(text, start, quote),
        // Spec: Prometheus, querying basics: no escapes are read between backticks.
        b'`' => run_end(text, start, |byte| byte != b'`'),
        _ => bare_end(text, start),
    };
    (end > start && !says_nothing(text.get(start..end)?)).then_some(Found {
        start,
        end,
        mark: MARK,
    })
}

/// Whether a value is no secret whatever it stands under: a switch, or nothing.
pub(in crate::access_log) fn says_nothing(value: &[u8]) -> bool {
    matches!(value, b"true" | b"false" | b"null")
}

/// Where a value without quotes ends. A scheme and its credential are one value, and so are brackets and what follows them.
fn bare_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let scheme = SCHEMES.iter().find(|scheme| begins(rest, scheme));
    let credential = scheme.and_then(|scheme| credential(text, start + scheme.len()));
    let from = match (credential, at(text, start)) {
        (Some(found), _) => found.end,
        (None, b'[' | b'{') => bracketed_end(text, start),
        (None, _) => start,
    };
    run_end(text, from, |byte| {
        byte.is_ascii_graphic() && !matches!(byte, b'&' | b',' | b';' | b'}' | b'"' | b'\'')
    })
}

/// Where what stands in quotes ends: at the first quote without a backslash before it, or with the text.
fn quoted_end(text: &[u8], start: usize, quote: u8) -> usize {
    let mut end = start;
    loop {
        end = run_end(text, end, |byte| byte != quote && byte != b'\\');
        if at(text, end) != b'\\' {
            return end;
        }
        end = (end + 2).min(text.len());
    }
}

/// Where the list or object of JSON that begins at `start` ends, brackets included. Within a text of JSON its quotes are
/// escaped, and those within its own texts once more. One that is not closed goes on to the end.
fn bracketed_end(text: &[u8], start: usize) -> usize {
    let (mut depth, mut is_quoted) = (0_usize, false);
    // Backslashes before the byte that is looked at, and before the first quote.
    let (mut escapes, mut least) = (0_usize, None);
    for (place, byte) in text.iter().enumerate().skip(start) {
        match byte {
            b'\\' => {
                escapes += 1;
                continue;
            }
            b'"' => {
                let least = *least.get_or_insert(escapes);
                // As many, or so many more as escaped backslashes before it make.
                is_quoted ^= escapes % (2 * (least + 1)) == least;
            }
            b'[' | b'{' if !is_quoted => depth += 1,
            b']' | b'}' if !is_quoted => depth -= 1,
            _ => {}
        }
        escapes = 0;
        if depth == 0 {
            return place + 1;
        }
    }
    text.len()
}

/// Whether `text` begins with the lower-case `word`, in whatever case.
fn begins(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
