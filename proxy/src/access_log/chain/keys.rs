//! The keys of a chain, and who believes what.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest,
    hkdf::{HKDF_SHA256, Salt},
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use mcp_core::secret::Secret;
use sha2::Sha256;

use super::{ChainId, Mac, digits};

/// Begins what the name of a key is the digest of.
const LABEL_ID: &[u8] = b"promgate audit key";

/// From which all keys of a secret are drawn, so that what is sealed with one means nothing to another.
const SALT: &[u8] = b"promgate audit";
const LABEL_MAC: &[u8] = b"mac 1";
const LABEL_SIGN: &[u8] = b"checkpoint 1";

/// Begins what a checkpoint signs.
const LABEL_CHECKPOINT: &[u8] = b"promgate checkpoint v1";

/// Bytes of an Ed25519 public key, and of the seed of a private one.
const KEY_BYTES: usize = 32;

/// A secret gives no key. The library has no reason that could be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no audit key can be made of a secret")]
pub struct NoKey;

/// The name of a key: 8 hexadecimal digits. It follows from the key and tells nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; 8]);

impl KeyId {
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

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One key, which seals lines and signs checkpoints. Cheap to clone; `Debug` shows its name alone.
#[derive(Clone)]
pub struct AuditKey(Arc<Parts>);

struct Parts {
    id: KeyId,
    /// It has read the key; a copy of it seals a line. Of a few hundred bytes, on a CPU with instructions for SHA, `aws-lc` needs a
    /// fifth more time, since a copy of its state is large. The copies are not wiped: the key itself stays in memory.
    mac: Hmac<Sha256>,
    signer: Ed25519KeyPair,
}

impl AuditKey {
    /// The key of a secret.
    ///
    /// # Errors
    /// [`NoKey`] when the library makes none of it.
    pub fn new(secret: &Secret) -> Result<Self, NoKey> {
        let bytes = secret.expose().as_bytes();
        let mut name = digest::Context::new(&digest::SHA256);
        name.update(LABEL_ID);
        name.update(bytes);
        let name = name.finish();
        let start: [u8; 4] =
            name.as_ref().get(..4).and_then(|start| start.try_into().ok()).ok_or(NoKey)?;
        let drawn = Salt::new(HKDF_SHA256, SALT).extract(bytes);
        let draw = |label: &[u8]| {
            let mut key = [0; KEY_BYTES];
            let label = [label];
            let drawn = drawn.expand(&label, HKDF_SHA256).map_err(|_unspecified| NoKey)?;
            drawn.fill(&mut key).map_err(|_unspecified| NoKey)?;
            Ok(key)
        };
        let signer = Ed25519KeyPair::from_seed_unchecked(&draw(LABEL_SIGN)?);
        Ok(Self(Arc::new(Parts {
            id: KeyId(digits(start)),
            mac: Hmac::new_from_slice(&draw(LABEL_MAC)?).map_err(|_length| NoKey)?,
            signer: signer.map_err(|_rejected| NoKey)?,
        })))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.0.id
    }

    /// What checks its checkpoints, and may be given to anybody.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.0.signer.public_key().as_ref();
        PublicKey(bytes.try_into().unwrap_or_default())
    }

    /// The seal of a line that follows one with the seal `previous`.
    #[must_use]
    pub(super) fn seal(&self, previous: &Mac, line: &[u8]) -> Mac {
        let sealed = self.0.mac.clone().chain_update(previous.bytes()).chain_update(line);
        Mac(sealed.finalize().into_bytes().into())
    }

    /// The signature of a checkpoint.
    pub(super) fn sign(&self, checkpoint: &Signed) -> [u8; 64] {
        let signature = self.0.signer.sign(&checkpoint.text());
        signature.as_ref().try_into().unwrap_or([0; 64])
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({})", self.0.id)
    }
}

/// The keys of an operator: the first seals, all are known.
#[derive(Debug, Clone, Default)]
pub struct AuditKeys(Vec<AuditKey>);

impl AuditKeys {
    /// The keys of these secrets, in their order.
    ///
    /// # Errors
    /// [`NoKey`] when the library makes none of one.
    pub fn new(secrets: &[Secret]) -> Result<Self, NoKey> {
        secrets.iter().map(AuditKey::new).collect::<Result<_, _>>().map(Self)
    }

    /// The one that seals.
    #[must_use]
    pub fn first(&self) -> Option<&AuditKey> {
        self.0.first()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[AuditKey] {
        &self.0
    }

    /// That of a name.
    #[must_use]
    pub fn named(&self, id: KeyId) -> Option<&AuditKey> {
        self.0.iter().find(|key| key.id() == id)
    }
}

impl FromIterator<AuditKey> for AuditKeys {
    fn from_iter<K: IntoIterator<Item = AuditKey>>(keys: K) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// What checks the checkpoints of a key. Its text is 43 characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// Reads its text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// Whether it signed this.
    #[must_use]
    pub(super) fn verifies(&self, checkpoint: &Signed, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(&checkpoint.text(), signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a checkpoint signs: its place in its chain, and the seal of the line before it.
pub(super) struct Signed {
    pub(super) chain: ChainId,
    pub(super) seq: u64,
    pub(super) previous: Mac,
}

impl Signed {
    fn text(&self) -> Vec<u8> {
        let Self { chain, seq, previous } = self;
        [LABEL_CHECKPOINT, chain.as_str().as_bytes(), &seq.to_be_bytes(), previous.bytes()].concat()
    }
}

/// Whom a reader of a log believes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: AuditKeys,
    public: Vec<PublicKey>,
}

impl Trust {
    /// Who has these keys: every line can be checked.
    #[must_use]
    pub fn of_keys(keys: AuditKeys) -> Self {
        let public = keys.all().iter().map(AuditKey::public_key).collect();
        Self { keys, public }
    }

    /// Who signs with these: numbers and checkpoints can be checked, the seals between them cannot.
    #[must_use]
    pub const fn of_public_keys(public: Vec<PublicKey>) -> Self {
        Self { keys: AuditKeys(Vec::new()), public }
    }

    /// Whether nothing can be checked.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.public.is_empty()
    }

    /// Whether seals can be checked.
    #[must_use]
    pub fn checks_seals(&self) -> bool {
        self.keys.first().is_some()
    }

    pub(super) const fn keys(&self) -> &AuditKeys {
        &self.keys
    }

    pub(super) fn signed(&self, checkpoint: &Signed, signature: &[u8]) -> bool {
        self.public.iter().any(|key| key.verifies(checkpoint, signature))
    }
}
