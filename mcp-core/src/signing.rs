//! Keys that sign texts which come back to us through strangers' hands.
//!
//! Several keys may be in use, so that they can be changed without a break: the first signs, all verify. Each
//! purpose has keys of its own, derived from the secrets, so that what was signed for one means nothing to
//! another, even where an operator gave both the same secret.

use std::fmt;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hmac::{Context, HMAC_SHA256, Key, Tag, sign},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use crate::secret::Secret;

/// Fewest bytes of a secret that signs: as many as HMAC-SHA256 gives.
///
/// Spec: RFC 2104 §3.
pub const SECRET_BYTES_MIN: usize = 32;

/// Length of the name of a key: 48 bits, enough to tell the few keys of an operator apart.
pub const KEY_ID_CHARS: usize = 8;

/// Length of a signature: 256 bits in base64url without padding.
pub const MAC_CHARS: usize = 43;

/// Bytes of a signature.
pub const MAC_BYTES: usize = 32;

/// The keys of one purpose. `Debug` shows nothing of them.
pub struct SigningKeys {
    first: SigningKey,
    others: Box<[SigningKey]>,
}

/// One key. `Debug` shows nothing of it.
pub struct SigningKey {
    id: Box<str>,
    key: Key,
}

/// A secret that is missing or too short to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signing key {index} is missing or shorter than {SECRET_BYTES_MIN} bytes")]
pub struct WeakKey {
    /// Its place in the list, from 0.
    pub index: usize,
}

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness(#[source] getrandom::Error);

impl SigningKeys {
    /// Keys for a purpose, one from each secret and in their order.
    ///
    /// # Errors
    /// [`WeakKey`] when there is no secret, and for the first that is shorter than [`SECRET_BYTES_MIN`].
    pub fn new(secrets: &[Secret], purpose: &str) -> Result<Self, WeakKey> {
        let weak = |secret: &Secret| secret.expose().len() < SECRET_BYTES_MIN;
        if let Some(index) = secrets.iter().position(weak) {
            return Err(WeakKey { index });
        }
        let mut keys =
            secrets.iter().map(|secret| SigningKey::new(secret.expose().as_bytes(), purpose));
        let first = keys.next().ok_or(WeakKey { index: 0 })?;
        Ok(Self { first, others: keys.collect() })
    }

    /// One key that nobody else has.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives none.
    pub fn random(purpose: &str) -> Result<Self, NoRandomness> {
        let first = SigningKey::new(&random::<SECRET_BYTES_MIN>()?, purpose);
        Ok(Self { first, others: Box::default() })
    }

    /// The key that signs.
    #[must_use]
    pub const fn first(&self) -> &SigningKey {
        &self.first
    }

    /// All of them, in their order.
    pub fn all(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The keys of that name: one or none, but for a coincidence.
    pub fn named(&self, id: &str) -> impl Iterator<Item = &SigningKey> {
        self.all().filter(move |key| *key.id == *id)
    }
}

impl SigningKey {
    fn new(secret: &[u8], purpose: &str) -> Self {
        let secret = Key::new(HMAC_SHA256, secret);
        let derived = |what: &str| sign(&secret, format!("promgate {purpose}: {what}").as_bytes());
        let mut id = BASE64_URL_SAFE_NO_PAD.encode(derived("name of the key"));
        id.truncate(KEY_ID_CHARS);
        let key = Key::new(HMAC_SHA256, derived("key").as_ref());
        Self { id: id.into(), key }
    }

    /// Its name, [`KEY_ID_CHARS`] base64url characters. It follows from the secret and tells nothing of it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signature of `parts`, [`MAC_CHARS`] base64url characters.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.tag(parts))
    }

    /// The bytes of the signature of `parts`.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        let mut bytes = [0; MAC_BYTES];
        for (to, from) in bytes.iter_mut().zip(self.tag(parts).as_ref()) {
            *to = *from;
        }
        bytes
    }

    /// Whether `mac` is the signature of `parts` by this key. Takes equally long however much of it is right.
    #[must_use]
    pub fn verifies(&self, parts: &[&[u8]], mac: &str) -> bool {
        // The decoder asks for room for whole groups of three bytes.
        let mut given = [0_u8; MAC_BYTES.next_multiple_of(3)];
        if mac.len() != MAC_CHARS {
            return false;
        }
        let decoded = BASE64_URL_SAFE_NO_PAD.decode_slice(mac, &mut given);
        let Some(given) = decoded.ok().and_then(|length| given.get(..length)) else { return false };
        verify_slices_are_equal(self.tag(parts).as_ref(), given).is_ok()
    }

    /// HMAC-SHA256 over the parts, each after its length, so that no two lists of parts read the same.
    fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut context = Context::with_key(&self.key);
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(part);
        }
        context.sign()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKeys(..)")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Bytes that nobody can guess.
///
/// # Errors
/// [`NoRandomness`] when the operating system gives none.
pub fn random<const BYTES: usize>() -> Result<[u8; BYTES], NoRandomness> {
    let mut random = [0_u8; BYTES];
    getrandom::fill(&mut random).map_err(NoRandomness)?;
    Ok(random)
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "signatures are ASCII")]
mod tests {
    use super::*;

    fn secret(byte: char) -> Secret {
        Secret::new(byte.to_string().repeat(SECRET_BYTES_MIN))
    }

    fn signed(keys: &SigningKeys, parts: &[&[u8]]) -> String {
        keys.first().sign(parts)
    }

    #[test]
    fn a_signature_holds_for_the_same_parts_alone() {
        let keys = SigningKeys::new(&[secret('a')], "test").unwrap();
        let mac = signed(&keys, &[b"one", b"two"]);
        assert_eq!(mac.len(), MAC_CHARS);
        assert!(keys.first().verifies(&[b"one", b"two"], &mac));
        for other in [&[&b"onet"[..], b"wo"][..], &[b"onetwo"], &[b"one", b"two", b""], &[]] {
            assert!(!keys.first().verifies(other, &mac), "{other:?}");
        }
    }

    #[test]
    fn a_signature_that_is_cut_extended_or_not_canonical_does_not_hold() {
        let keys = SigningKeys::new(&[secret('a')], "test").unwrap();
        let mac = signed(&keys, &[b"one"]);
        for cut in 0..mac.len() {
            assert!(!keys.first().verifies(&[b"one"], &mac[..cut]));
        }
        assert!(!keys.first().verifies(&[b"one"], &format!("{mac}A")));
        assert!(!keys.first().verifies(&[b"one"], &format!("{mac}=")));
        // The last character carries four bits of six: of 64 there is exactly one that holds.
        let right = (0x21_u8..0x7f).filter(|last| {
            let text = format!("{}{}", &mac[..MAC_CHARS - 1], char::from(*last));
            keys.first().verifies(&[b"one"], &text)
        });
        assert_eq!(right.count(), 1);
    }

    #[test]
    fn each_secret_and_each_purpose_has_a_key_and_a_name_of_its_own() {
        let keys = |byte, purpose| SigningKeys::new(&[secret(byte)], purpose).unwrap();
        let one = keys('a', "test");
        for other in [keys('b', "test"), keys('a', "other")] {
            assert_ne!(one.first().id(), other.first().id());
            assert!(!other.first().verifies(&[b"x"], &signed(&one, &[b"x"])));
        }
        let same = keys('a', "test");
        assert_eq!(one.first().id(), same.first().id());
        assert!(same.first().verifies(&[b"x"], &signed(&one, &[b"x"])));
    }

    #[test]
    fn keys_are_found_by_name_whatever_their_place() {
        let keys = SigningKeys::new(&[secret('a'), secret('b')], "test").unwrap();
        let b = SigningKeys::new(&[secret('b')], "test").unwrap();
        let found: Vec<_> = keys.named(b.first().id()).map(SigningKey::id).collect();
        assert_eq!(found, [b.first().id()]);
        assert_eq!(keys.named("AAAAAAAA").count(), 0);
    }

    #[test]
    fn a_short_secret_is_named_by_its_place_and_no_secret_is_none() {
        let short = || Secret::new("a".repeat(SECRET_BYTES_MIN - 1));
        let new = |secrets: &[Secret]| SigningKeys::new(secrets, "test").map(|_keys| ());
        assert_eq!(new(&[]), Err(WeakKey { index: 0 }));
        assert_eq!(new(&[secret('a'), short(), short()]), Err(WeakKey { index: 1 }));
        assert_eq!(new(&[secret('a'), secret('b')]), Ok(()));
    }

    #[test]
    fn random_keys_differ_and_debug_shows_no_key() {
        let (one, other) = (SigningKeys::random("t").unwrap(), SigningKeys::random("t").unwrap());
        assert_ne!(one.first().id(), other.first().id());
        assert_eq!(format!("{one:?} {:?}", one.first()), "SigningKeys(..) SigningKey(..)");
    }
}
