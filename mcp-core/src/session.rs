//! The name of an MCP session.

use std::{fmt, sync::Arc};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

/// Longest session id accepted, in bytes.
///
/// Ours are 43; 128 leaves room for signed ids and bounds what a client can make us hash.
pub const SESSION_ID_BYTES_MAX: usize = 128;

/// Randomness in an id that we mint, in bytes: 256 bits, far beyond guessing.
const RANDOM_BYTES: usize = 32;

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

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness(#[source] getrandom::Error);

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

    /// Makes an id that nobody can guess.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives none.
    pub fn mint() -> Result<Self, NoRandomness> {
        let mut random = [0_u8; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(NoRandomness)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(random).into()))
    }

    /// The id as it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_id_is_43_url_safe_characters_and_differs_each_time() {
        let a = SessionId::mint().unwrap();
        let b = SessionId::mint().unwrap();
        assert_eq!(a.as_str().len(), 43);
        assert_ne!(a, b);
        assert_eq!(SessionId::parse(a.as_str().as_bytes()), Ok(a));
    }

    #[test]
    fn an_id_with_a_space_a_control_byte_or_no_byte_is_refused() {
        for bad in [&b""[..], b"a b", b"a\n", b"\x7f", b"\xff", &[b'a'; 129]] {
            assert_eq!(SessionId::parse(bad), Err(MalformedSessionId), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_part_of_the_id() {
        let id = SessionId::parse(b"abc123").unwrap();
        assert!(!format!("{id:?}").contains("abc"));
    }
}
