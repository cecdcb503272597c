//! Signing session ids, and telling ours from all others.

use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime},
};

use super::{NoRandomness, Parts, SESSION_ID_BYTES_MAX, Seat, SessionId, WeakKey};
use crate::{principal::PrincipalId, secret::Secret, signing::SigningKeys};

/// Keeps these keys apart from those that the same secrets give for something else.
const PURPOSE: &str = "session id 1";

/// What signs session ids. `Debug` shows nothing of it.
pub struct SessionKeys(SigningKeys);

/// An id that we did not make, or not for this caller, or whose time is over.
///
/// To the client all of these are the same: it learns nothing about the sessions of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session of this caller")]
pub struct NotOurs(Fault);

/// For the record alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Malformed,
    UnknownKey,
    Forged,
    Expired,
}

impl SessionKeys {
    /// Takes the first secret for signing, and all for verifying.
    ///
    /// # Errors
    /// [`WeakKey`] when there is none, or one is shorter than 32 bytes.
    pub fn new(secrets: &[Secret]) -> Result<Self, WeakKey> {
        SigningKeys::new(secrets, PURPOSE).map(Self)
    }

    /// A key of this process alone: its ids mean nothing to another.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives none.
    pub fn random() -> Result<Self, NoRandomness> {
        SigningKeys::random(PURPOSE).map(Self)
    }

    /// The id of a session of `principal` that ends at `expires`, in whole seconds, at the latest.
    #[must_use]
    pub fn sign(
        &self,
        seat: &Seat,
        principal: Option<PrincipalId>,
        expires: SystemTime,
    ) -> SessionId {
        let since_epoch = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Nothing ended in the first second of 1970; so the expiry of an id never begins with a zero.
        let expires_s = since_epoch.as_secs().max(1);
        let key = self.0.first();
        let mut id = String::with_capacity(SESSION_ID_BYTES_MAX);
        // Writing into a string cannot fail.
        write!(id, "1.{}.{expires_s}.{}.", key.id(), seat.as_str()).unwrap_or_default();
        id.push_str(&key.sign(&[id.as_bytes(), bytes(principal.as_ref())]));
        SessionId(id.into())
    }

    /// When the session ends at the latest, if the id is one of ours and of this principal.
    ///
    /// # Errors
    /// [`NotOurs`] for any other id.
    pub fn check(
        &self,
        id: &SessionId,
        principal: Option<PrincipalId>,
        now: SystemTime,
    ) -> Result<SystemTime, NotOurs> {
        let parts = Parts::of(id.as_str()).ok_or(NotOurs(Fault::Malformed))?;
        let mut keys = self.0.named(parts.key).peekable();
        if keys.peek().is_none() {
            return Err(NotOurs(Fault::UnknownKey));
        }
        let signed = [parts.signed.as_bytes(), bytes(principal.as_ref())];
        if !keys.any(|key| key.verifies(&signed, parts.mac)) {
            return Err(NotOurs(Fault::Forged));
        }
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(parts.expires_s));
        expires.filter(|expires| now < *expires).ok_or(NotOurs(Fault::Expired))
    }
}

/// Nothing for a caller without a token; a principal is 16 bytes.
fn bytes(principal: Option<&PrincipalId>) -> &[u8] {
    principal.map_or(&[], |PrincipalId(id)| id)
}

impl NotOurs {
    /// The reason in one word, for the record and never for the client. Another's id is as good as forged.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self.0 {
            Fault::Malformed => "malformed",
            Fault::UnknownKey => "unknown_key",
            Fault::Forged => "forged",
            Fault::Expired => "expired",
        }
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}
