//! The chain: what makes a log show that it was changed.
//!
//! Every line of a sealed log ends with its number and a seal: `{…}` becomes `{…,"seq":N,"mac":"…"}`, where `mac` is
//! HMAC-SHA256 over the seal of the line before and over the line itself up to and excluding `,"mac":`. So nobody
//! without the key can change, remove, move or add a line without the seals telling so. Numbers and seals go on from
//! file to file and from one run to the next.
//!
//! Two kinds of line are the chain's own. `chain_start` is the first of every file and of every run: it names chain
//! and key, and repeats number and seal of the line before, so that a file can be checked when those before it are
//! gone. `checkpoint` comes now and then and before every end: it is signed (Ed25519), so that somebody who has no
//! key can check it, and repeated in a file beside the log, so that a log that was cut short is noticed.
//!
//! What it does not show is said in `docs/audit.md`: above all, lines removed from the end since the last checkpoint,
//! and the work of whoever has the key.
//!
//! [`Sealer`] writes it, [`Reader`] reads it; both are here, so that there is one definition.

mod keys;

mod line;

mod event;

mod sealer;

mod source;

mod files;

mod walk;

mod reader;

mod state;

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use mcp_core::hex;

pub use self::{
    event::{ChainStart, Checkpoint, CheckpointReason, Event, Notice, Torn},
    files::{head_path, log_files, may_be_written},
    keys::{AuditKey, AuditKeys, KeyId, NoKey, PublicKey, Trust},
    line::Sealed,
    reader::{Ending, Entry, Fault, Head, ReadError, Reader},
    sealer::Sealer,
    state::{Found, find},
};

pub(in crate::access_log) use self::files::{
    Full, UNSEALED, beside, folder, full_files, holds_records,
};

/// Characters of a seal: 256 bits in base64url without padding.
const MAC_CHARS: usize = 43;

/// Bytes of a seal.
const MAC_BYTES: usize = 32;

/// Longest line that is read, in bytes. Ours are far shorter.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The seal of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mac([u8; MAC_BYTES]);

impl Mac {
    /// What stands for the seal of the line before the first one.
    pub const NONE: Self = Self([0; MAC_BYTES]);

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; MAC_BYTES] {
        &self.0
    }

    /// Reads its text of 43 characters.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        // The decoder asks for room for whole groups of three bytes.
        let mut room = [0; MAC_BYTES.next_multiple_of(3)];
        if text.len() != MAC_CHARS {
            return None;
        }
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut room).ok()?;
        Some(Self(room.get(..length)?.try_into().ok()?))
    }

    /// Appends its text.
    fn write_to(self, out: &mut Vec<u8>) {
        let mut text = [0; MAC_CHARS];
        // It fits, and fills it, by the choice of the constants.
        let written = BASE64_URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        debug_assert_eq!(written, Ok(MAC_CHARS));
        out.extend_from_slice(&text);
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a chain: 16 hexadecimal digits, chosen at random when it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainId([u8; 16]);

impl ChainId {
    /// What stands for the name of a chain of which no line is left that names it.
    pub const UNKNOWN: Self = Self(*b"0000000000000000");

    /// A name that no other chain has.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        Ok(Self(digits(random)))
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        Some(Self(text.as_bytes().try_into().ok().filter(|_| digits)?))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a chain stands: its last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The chain.
    pub chain: ChainId,
    /// Number of the last line; 0 before the first.
    pub seq: u64,
    /// Its seal.
    pub mac: Mac,
}

/// What the line of a checkpoint says, as a head file holds it, if it is signed by somebody who is believed.
#[must_use]
pub fn signed_state(line: &[u8], trust: &Trust) -> Option<State> {
    state::head_state(line, trust)
}

/// Hexadecimal digits of bytes: `DIGITS` is twice their number.
fn digits<const BYTES: usize, const DIGITS: usize>(bytes: [u8; BYTES]) -> [u8; DIGITS] {
    const { assert!(DIGITS == BYTES * 2) };
    let mut digits = [0; DIGITS];
    hex::write(&bytes, &mut digits);
    digits
}

#[cfg(test)]
mod tests;
