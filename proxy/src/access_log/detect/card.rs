//! Numbers of payment cards: 13 to 19 digits, whole or in groups, whose check digit is right.

use super::{Found, at};

/// Fewest digits of a card's number. Spec: ISO/IEC 7812-1.
pub(super) const DIGITS_MIN: usize = 13;
/// Most digits of one.
pub(super) const DIGITS_MAX: usize = 19;
/// Fewest digits of a group that another follows.
const GROUP_MIN: usize = 4;

pub(super) fn find(text: &[u8], from: usize) -> Option<Found> {
    let mut place = from;
    while place < text.len() {
        if !at(text, place).is_ascii_digit() {
            place += 1;
            continue;
        }
        let number = Number::read(text, place);
        let before = place.checked_sub(1).map_or(0, |before| at(text, before));
        let alone =
            !before.is_ascii_alphanumeric() && !at(text, number.end).is_ascii_alphanumeric();
        if alone && number.is_card() {
            return Some(Found { start: place, end: number.end, mark: "[card]" });
        }
        // Not the number that begins here; another may begin at its next group.
        place = number.group_end.max(place + 1);
    }
    None
}

/// Digits in groups, from one place on.
#[derive(Debug, Default)]
struct Number {
    digits: [u8; DIGITS_MAX + 1],
    count: usize,
    end: usize,
    /// End of the first group.
    group_end: usize,
}

impl Number {
    fn read(text: &[u8], start: usize) -> Self {
        let mut number = Self { end: start, ..Self::default() };
        let (mut place, mut group) = (start, 0);
        loop {
            match at(text, place) {
                digit @ b'0'..=b'9' => {
                    if let Some(next) = number.digits.get_mut(number.count) {
                        *next = digit - b'0';
                    }
                    // One more than fits is enough to see that it is none.
                    number.count = (number.count + 1).min(DIGITS_MAX + 1);
                    group += 1;
                    place += 1;
                    number.end = place;
                }
                b' ' | b'-' if group >= GROUP_MIN && at(text, place + 1).is_ascii_digit() => {
                    number.group_end = if number.group_end == 0 { place } else { number.group_end };
                    group = 0;
                    place += 1;
                }
                _ => break,
            }
        }
        number.group_end = if number.group_end == 0 { number.end } else { number.group_end };
        number
    }

    /// Whether it has the length, the first digit and the check digit of a card's. Cards of people begin with 2 to 6,
    /// times in milliseconds with 1.
    fn is_card(&self) -> bool {
        let Some(digits) = self.digits.get(..self.count) else { return false };
        let long = (DIGITS_MIN..=DIGITS_MAX).contains(&self.count);
        long && matches!(digits.first(), Some(2..=6)) && luhn(digits)
    }
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
