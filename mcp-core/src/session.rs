//! The name of an MCP session.
//!
//! An id of ours reads `1.KEY.EXPIRY.SEAT.MAC`: the version of this form, the name of the key that signed it, when
//! the session ends at the latest (Unix seconds), a random part that places it on the ring of workers, and a
//! signature over all that and the principal whose session it is. Any replica that has the keys can tell by the id
//! alone that it is genuine, whose it is, and that its time is not over.

use std::{fmt, sync::Arc};

use crate::signing::{KEY_ID_CHARS, MAC_CHARS};
pub use crate::signing::{NoRandomness, WeakKey};

mod keys;
mod seat;

pub use keys::{NotOurs, SessionKeys};
pub use seat::{SEAT_CHARS, Seat, Seats};

/// Longest session id accepted, in bytes.
///
/// Ours are 88 until the year 2286; 128 bounds what a client can make us hash.
pub const SESSION_ID_BYTES_MAX: usize = 128;

/// The id of an MCP session, as it travels in `Mcp-Session-Id`.
///
/// 1 to [`SESSION_ID_BYTES_MAX`] bytes of visible ASCII. Whoever knows the id of somebody's session
/// can speak in it, so `Debug` prints no part of it.
///
/// Spec: MCP 2025-11-25, Streamable HTTP, session management.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(Arc<str>);

/// A session id that is empty, too long, or holds bytes other than visible ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 1 to {SESSION_ID_BYTES_MAX} visible ASCII characters")]
pub struct MalformedSessionId;

/// An id in our form, taken apart. Nothing says yet that we made it.
struct Parts<'a> {
    /// All before the signature, with the dot that ends it.
    signed: &'a str,
    key: &'a str,
    /// Unix seconds.
    expires_s: u64,
    seat: &'a str,
    mac: &'a str,
}

impl SessionId {
    /// Reads an id that a client sent.
    ///
    /// # Errors
    /// [`MalformedSessionId`] when it is empty, longer than [`SESSION_ID_BYTES_MAX`], or holds
    /// anything but visible ASCII.
    pub fn parse(value: &[u8]) -> Result<Self, MalformedSessionId> {
        let visible = value.iter().all(u8::is_ascii_graphic);
        if value.is_empty() || value.len() > SESSION_ID_BYTES_MAX || !visible {
            return Err(MalformedSessionId);
        }
        let text = std::str::from_utf8(value).map_err(|_utf8| MalformedSessionId)?;
        Ok(Self(text.into()))
    }

    /// The id as it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What decides which worker owns the session: the random part, or the whole of an id that is not in our form.
    #[must_use]
    pub fn seat(&self) -> &str {
        Parts::of(&self.0).map_or(&self.0, |parts| parts.seat)
    }
}

impl<'a> Parts<'a> {
    /// `None` when the text is not in our form.
    fn of(text: &'a str) -> Option<Self> {
        let (signed, mac) = text.split_at_checked(text.len().checked_sub(MAC_CHARS)?)?;
        let mut parts = signed.strip_prefix("1.")?.strip_suffix('.')?.split('.');
        let (key, expiry, seat) = (parts.next()?, parts.next()?, parts.next()?);
        let expires_s = expiry.parse().ok()?;
        let canonical =
            expiry.bytes().all(|byte| byte.is_ascii_digit()) && !expiry.starts_with('0');
        let whole = parts.next().is_none() && key.len() == KEY_ID_CHARS && seat.len() == SEAT_CHARS;
        (canonical && whole).then_some(Self { signed, key, expires_s, seat, mac })
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

#[cfg(test)]
mod tests;
