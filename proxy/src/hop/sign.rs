//! Signing hops.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::{HeaderValue, header::InvalidHeaderValue};
use mcp_core::{
    secret::Secret,
    signing::{NoRandomness, SigningKeys, WeakKey, random},
};

use super::{HOP_BYTES_MAX, Hop, Nonce, Signed, unix_ms};

/// Keeps these keys apart from those that the same secrets give for something else.
const PURPOSE: &str = "hop 1";

/// What signs hops: the first key signs, all verify. A reload replaces them. `Debug` shows nothing of them.
pub struct HopKeys(ArcSwap<SigningKeys>);

/// Signs what this replica tells others.
pub struct HopSigner {
    keys: Arc<HopKeys>,
    instance: u64,
    next: AtomicU64,
}

/// A hop that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum CannotSign {
    /// It holds a time before 1970.
    #[error("the hop cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// Its value is no header.
    #[error("the hop cannot be written as a header")]
    Header(#[source] InvalidHeaderValue),
    /// The names of the caller's rules, or the id of the request, are too long.
    #[error("the hop would be longer than {HOP_BYTES_MAX} bytes")]
    TooLong,
}

impl HopKeys {
    /// Takes the first secret for signing, and all for verifying.
    ///
    /// # Errors
    /// [`WeakKey`] when there is none, or one is shorter than 32 bytes.
    pub fn new(secrets: &[Secret]) -> Result<Self, WeakKey> {
        SigningKeys::new(secrets, PURPOSE).map(ArcSwap::from_pointee).map(Self)
    }

    /// Takes other secrets from now on.
    ///
    /// # Errors
    /// As [`HopKeys::new`]; then all stays as it was.
    pub fn replace(&self, secrets: &[Secret]) -> Result<(), WeakKey> {
        self.0.store(Arc::new(SigningKeys::new(secrets, PURPOSE)?));
        Ok(())
    }

    pub(super) fn current(&self) -> arc_swap::Guard<Arc<SigningKeys>> {
        self.0.load()
    }
}

impl HopSigner {
    /// A signer whose hops are told from those of every other.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system gives none.
    pub fn new(keys: Arc<HopKeys>) -> Result<Self, NoRandomness> {
        Ok(Self { keys, instance: u64::from_be_bytes(random()?), next: AtomicU64::new(0) })
    }

    /// The value of [`super::HOP`] for one request, marked as sensitive. Each call gives another, good once.
    ///
    /// `path` is the path and query as they are sent.
    ///
    /// # Errors
    /// [`CannotSign`].
    pub fn sign(
        &self,
        hop: &Hop,
        method: &str,
        path: &str,
        now: SystemTime,
    ) -> Result<HeaderValue, CannotSign> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let nonce = Nonce { instance: self.instance, number };
        let json = serde_json::to_vec(&Signed { at_ms: unix_ms(now), nonce, hop })
            .map_err(CannotSign::Json)?;
        let keys = self.keys.current();
        let mut value = String::with_capacity(json.len() * 4 / 3 + 64);
        value.push_str(keys.first().id());
        value.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(json, &mut value);
        let mac = keys.first().sign(&signed(&value, method, path));
        value.push('.');
        value.push_str(&mac);
        if value.len() > HOP_BYTES_MAX {
            return Err(CannotSign::TooLong);
        }
        let mut value = HeaderValue::try_from(value).map_err(CannotSign::Header)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// What is signed, the same for signer and checker: the name of the key and the hop, as they are sent.
pub(super) const fn signed<'a>(
    key_and_hop: &'a str,
    method: &'a str,
    path: &'a str,
) -> [&'a [u8]; 3] {
    [method.as_bytes(), path.as_bytes(), key_and_hop.as_bytes()]
}

impl fmt::Debug for HopKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HopKeys(..)")
    }
}

impl fmt::Debug for HopSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HopSigner").finish_non_exhaustive()
    }
}
