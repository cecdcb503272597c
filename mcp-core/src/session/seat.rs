//! The random part of a session id.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use crate::signing::{NoRandomness, random};

/// Length of a seat: 128 bits in base64url without padding.
pub const SEAT_CHARS: usize = 22;

/// Bytes of a seat. No two sessions ever share one.
const SEAT_BYTES: usize = 16;

/// Seats that one question to the operating system yields. A replica among many throws away those that would land
/// on another.
const SEATS_AT_ONCE: usize = 32;

/// A place for a session on the ring of workers: random, and different for every session.
///
/// It is no secret: what makes an id impossible to guess is its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seat([u8; SEAT_CHARS]);

/// Gives seats.
pub struct Seats {
    random: [u8; SEATS_AT_ONCE * SEAT_BYTES],
    /// How many of them were given.
    given: usize,
}

impl Seat {
    /// As it stands in an id: [`SEAT_CHARS`] base64url characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Seats {
    /// Has no seats yet: the first is asked for when it is needed.
    #[must_use]
    pub const fn new() -> Self {
        Self { random: [0; SEATS_AT_ONCE * SEAT_BYTES], given: SEATS_AT_ONCE }
    }

    /// A seat that was never given before.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives none.
    #[expect(clippy::should_implement_trait, reason = "an iterator may end; this may fail")]
    pub fn next(&mut self) -> Result<Seat, NoRandomness> {
        if self.given >= SEATS_AT_ONCE {
            self.random = random()?;
            self.given = 0;
        }
        let mut seat = [0; SEAT_CHARS];
        let (unused, _) = self.random.as_chunks::<SEAT_BYTES>();
        if let Some(bytes) = unused.get(self.given) {
            // A seat's bytes always fit into its characters.
            BASE64_URL_SAFE_NO_PAD.encode_slice(bytes, &mut seat).unwrap_or_default();
        }
        self.given += 1;
        Ok(Seat(seat))
    }
}

impl Default for Seats {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seats").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn seats_are_22_url_safe_characters_and_all_differ() {
        let mut seats = Seats::new();
        let seats: HashSet<Seat> = (0..1000).map(|_| seats.next().unwrap()).collect();
        assert_eq!(seats.len(), 1000);
        for seat in seats {
            let seat = seat.as_str();
            assert_eq!(seat.len(), SEAT_CHARS);
            assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(seat).unwrap().len(), SEAT_BYTES);
        }
    }

    #[test]
    fn two_givers_never_give_the_same() {
        let (mut one, mut other) = (Seats::new(), Seats::default());
        assert_ne!(one.next().unwrap(), other.next().unwrap());
    }
}
