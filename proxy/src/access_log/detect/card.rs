//! Numbers of payment cards: 13 to 19 digits, whole or in groups, whose check digit is right.

use super::{Found, at, begins_word, run_end};

/// Fewest digits of a card's number. Spec: ISO/IEC 7812-1.
pub(super) const DIGITS_MIN: usize = 13;
/// Most digits of one.
pub(super) const DIGITS_MAX: usize = 19;
/// Fewest digits of a group that another follows.
const GROUP_MIN: usize = 4;

pub(super) fn find(text: &[u8], from: usize) -> Option<Found> {
    let mut place = from;
    while place < text.len() {
        let group_end = group_end(text, place);
        if group_end > place
            && begins_word(text, place)
            && let Some(end) = number_end(text, place)
        {
            return Some(Found { start: place, end, mark: "[card]" });
        }
        // None begins here; one may begin at the next group.
        place = group_end.max(place + 1);
    }
    None
}

/// The end of the longest number of a card that begins at a place and ends where a group does. Groups that follow may be
/// of something else, such as the date and the code that stand on the card.
fn number_end(text: &[u8], start: usize) -> Option<usize> {
    let mut digits = [0; DIGITS_MAX];
    let (mut count, mut place, mut longest) = (0, start, None);
    loop {
        let end = group_end(text, place);
        let group = text.get(place..end)?;
        let Some(room) = digits.get_mut(count..count + group.len()) else { return longest };
        for (digit, byte) in room.iter_mut().zip(group) {
            *digit = byte - b'0';
        }
        count += group.len();
        if !at(text, end).is_ascii_alphanumeric() && is_card(digits.get(..count)?) {
            longest = Some(end);
        }
        let goes_on = matches!(at(text, end), b' ' | b'-') && at(text, end + 1).is_ascii_digit();
        if group.len() < GROUP_MIN || !goes_on {
            return longest;
        }
        place = end + 1;
    }
}

fn group_end(text: &[u8], from: usize) -> usize {
    run_end(text, from, |byte| byte.is_ascii_digit())
}

/// Whether digits have the length, the first digit and the check digit of a card's. Cards of people begin with 2 to 6, times
/// in milliseconds with 1.
fn is_card(digits: &[u8]) -> bool {
    digits.len() >= DIGITS_MIN && matches!(digits.first(), Some(2..=6)) && luhn(digits)
}

/// Spec: ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(if place % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10)
}
