//! What lies in the store shows nothing to who reads it, and passes for nothing else when it is changed.
//!
//! All keys come out of the configured secrets by labelled HMACs, so that none of them is used for two things.
//!
//! - A **record** is sealed by AES-256-GCM under a random nonce. The session's digest is sealed with it, so that a record that was
//!   moved to another session's place does not open. The first secret seals, all open; the record says under which.
//! - A **session** is named by a plain digest of its id. The id carries 128 random bits, so nobody finds it from the digest, and the
//!   name stays the same when keys rotate.
//! - A **principal** is named by a keyed digest, since who can guess a subject could otherwise look whether it is here. Its
//!   name depends on the secret; who looks for it tries the names under all of them.
//!
//! An older record of the same session can be put back by who may write to the store. It ends with the session all the same.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest, hmac,
};
use mcp_core::{principal::PrincipalId, secret::Secret, session::SessionId};

use super::StoreError;

/// Begins every record: the form below. Another form gets another number.
///
/// `FORM KEY_ID(8) NONCE(12) SEALED TAG(16)`
const FORM: u8 = 1;

/// Length of a key's id. Eight bytes tell a handful of keys apart; the seal, not the id, says whether a key fits.
const KEY_ID_BYTES: usize = 8;

const LABEL_KEY_ID: &[u8] = b"promgate store key id 1";
const LABEL_SEAL: &[u8] = b"promgate store seal 1";
const LABEL_PRINCIPAL: &[u8] = b"promgate store principal 1";
const LABEL_SESSION: &[u8] = b"promgate store session 1";

/// Names a session in the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionDigest([u8; 32]);

impl SessionDigest {
    /// Of this session.
    pub(super) fn of(id: &SessionId) -> Self {
        let mut digest = digest::Context::new(&digest::SHA256);
        digest.update(LABEL_SESSION);
        digest.update(id.as_str().as_bytes());
        let mut bytes = [0; 32];
        for (byte, made) in bytes.iter_mut().zip(digest.finish().as_ref()) {
            *byte = *made;
        }
        Self(bytes)
    }

    /// As it stands in a name, 64 characters: Redis keeps members of small sorted sets in their short form up to that length.
    pub(super) fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for SessionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionDigest(..)")
    }
}

/// Why a record did not open. All of them mean: as if it were not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// Not a record of ours.
    #[error("not a record of ours")]
    Malformed,
    /// Sealed under a secret that is no longer, or was never, configured.
    #[error("sealed under an unknown key")]
    UnknownKey,
    /// Changed, cut, or of another session.
    #[error("changed, or of another session")]
    Altered,
}

/// The library could not seal; it has no reason that could be told.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the record could not be sealed")]
pub(super) struct CannotSeal;

/// What seals, opens and names. It shows no key.
pub(super) struct StoreKeys {
    first: StoreKey,
    older: Vec<StoreKey>,
}

struct StoreKey {
    id: [u8; KEY_ID_BYTES],
    seal: RandomizedNonceKey,
    principals: hmac::Key,
}

impl StoreKeys {
    /// Keys out of these secrets, of which the first seals.
    ///
    /// # Errors
    /// [`StoreError::NoKeys`] without any, [`StoreError::Key`] when the library makes none of one.
    pub(super) fn new(secrets: &[Secret]) -> Result<Self, StoreError> {
        let mut keys = secrets.iter().map(StoreKey::new);
        let first = keys.next().ok_or(StoreError::NoKeys)??;
        Ok(Self { first, older: keys.collect::<Result<_, _>>()? })
    }

    fn all(&self) -> impl Iterator<Item = &StoreKey> {
        std::iter::once(&self.first).chain(&self.older)
    }

    /// The names of a principal: that under which it is written first.
    pub(super) fn principal(&self, principal: PrincipalId) -> impl Iterator<Item = String> {
        self.all().map(move |key| hex(hmac::sign(&key.principals, &principal.0).as_ref()))
    }

    /// Seals the record of a session.
    ///
    /// # Errors
    /// [`CannotSeal`] when the library cannot.
    pub(super) fn seal(
        &self,
        session: &SessionDigest,
        mut record: Vec<u8>,
    ) -> Result<Vec<u8>, CannotSeal> {
        let bound = self.first.bound_to(session);
        let seal = &self.first.seal;
        let nonce = seal.seal_in_place_append_tag(Aad::from(bound), &mut record);
        let nonce = nonce.map_err(|_unspecified| CannotSeal)?;
        let mut sealed = Vec::with_capacity(1 + KEY_ID_BYTES + NONCE_LEN + record.len());
        sealed.push(FORM);
        sealed.extend(self.first.id);
        sealed.extend(nonce.as_ref());
        sealed.extend(record);
        Ok(sealed)
    }

    /// Opens the record of a session.
    ///
    /// # Errors
    /// [`Unreadable`] unless it was sealed for this session under one of these secrets, and not changed since.
    pub(super) fn open(
        &self,
        session: &SessionDigest,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Unreadable> {
        let (form, rest) = sealed.split_first().ok_or(Unreadable::Malformed)?;
        let (id, rest) = rest.split_first_chunk().ok_or(Unreadable::Malformed)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unreadable::Malformed)?;
        if *form != FORM {
            return Err(Unreadable::Malformed);
        }
        let key = self.all().find(|key| key.id == *id).ok_or(Unreadable::UnknownKey)?;
        let mut record = rest.to_vec();
        let bound = Aad::from(key.bound_to(session));
        let opened = key.seal.open_in_place(Nonce::from(nonce), bound, &mut record);
        let length = opened.map_err(|_unspecified| Unreadable::Altered)?.len();
        record.truncate(length);
        Ok(record)
    }
}

impl fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreKeys").finish_non_exhaustive()
    }
}

impl StoreKey {
    fn new(secret: &Secret) -> Result<Self, StoreError> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let id = hmac::sign(&secret, LABEL_KEY_ID);
        let seal = hmac::sign(&secret, LABEL_SEAL);
        let principals = hmac::sign(&secret, LABEL_PRINCIPAL);
        Ok(Self {
            id: *id.as_ref().first_chunk().ok_or(StoreError::Key)?,
            seal: RandomizedNonceKey::new(&AES_256_GCM, seal.as_ref())
                .map_err(|_unspecified| StoreError::Key)?,
            principals: hmac::Key::new(hmac::HMAC_SHA256, principals.as_ref()),
        })
    }

    /// What is sealed with a record without standing in it.
    fn bound_to(&self, session: &SessionDigest) -> Vec<u8> {
        [LABEL_SEAL, &[FORM], &self.id, &session.0].concat()
    }
}

/// Lower case, two characters for each byte.
fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests;
