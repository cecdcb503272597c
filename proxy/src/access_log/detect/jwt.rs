//! JSON Web Tokens, signed (three parts) and encrypted (five).

use super::{Found, at, run_end};

/// How the base64url of a JSON object begins: `{"`.
const BEGIN: &[u8] = b"eyJ";
/// Shortest first and second part: `{"alg":"x"}` has 15 characters.
const PART_MIN: usize = 10;
/// Most parts.
const PARTS_MAX: usize = 5;

pub(super) fn find(text: &[u8], from: usize) -> Option<Found> {
    let mut place = from;
    loop {
        let rest = text.get(place..)?;
        let start = place + rest.windows(BEGIN.len()).position(|window| window == BEGIN)?;
        let mut end = part(text, start);
        // No later `eyJ` of the same part can do better.
        place = end;
        if end - start < PART_MIN || at(text, end) != b'.' {
            continue;
        }
        let second = part(text, end + 1);
        if second - (end + 1) < PART_MIN {
            continue;
        }
        end = second;
        for _ in 2..PARTS_MAX {
            if at(text, end) != b'.' {
                break;
            }
            end = part(text, end + 1);
        }
        return Some(Found { start, end, mark: "[jwt]" });
    }
}

/// The end of a part: of base64url, with the padding that some add.
fn part(text: &[u8], from: usize) -> usize {
    run_end(text, from, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='))
}
