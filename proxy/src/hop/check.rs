//! Checking hops.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::{
    HOP_BYTES_MAX, Hop, STATUS_PATH, Signed, Signer, in_ms,
    replay::{FirstAnswers, Replayed, Replays},
    sign::{HopKeys, signed},
    unix_ms,
};
use crate::ring::NodeName;

/// Tells hops that another replica signed for us, just now and for the first time, from all else.
pub struct HopChecker {
    keys: Arc<HopKeys>,
    me: NodeName,
    clock_skew_ms: u64,
    replays: Replays,
}

/// A hop that is not taken. What is told to the sender is the same for all; the reason is for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HopRefused {
    /// It is too long, not in our form, or a replica of another version signed what we cannot read.
    #[error("the hop is malformed")]
    Malformed,
    /// No key of ours has that name.
    #[error("the hop is signed with a key that is not ours")]
    Key,
    /// It is not what was signed, or belongs to another method or path.
    #[error("the signature of the hop does not hold")]
    Signature,
    /// It is meant for another replica.
    #[error("the hop is meant for another replica")]
    Addressee,
    /// It was signed too long ago, in the future, or before we began to listen.
    #[error("the hop was signed at a time that cannot be")]
    Clock,
    /// It came before, or is so late that this cannot be told.
    #[error("the hop came before")]
    Replayed,
    /// So many signers were heard lately that their hops cannot be told from replays.
    #[error("hops of too many signers came lately")]
    TooMany,
}

impl HopChecker {
    /// A checker of hops to `me`, whose clock and the others' differ by `clock_skew` at most.
    ///
    /// `started` is when this process began to listen. Hops that were signed before are refused, so that nothing that
    /// an earlier process of our name took is taken again, as far as the signer's clock is not ahead of ours.
    #[must_use]
    pub fn new(
        keys: Arc<HopKeys>,
        me: NodeName,
        clock_skew: Duration,
        started: SystemTime,
    ) -> Self {
        let clock_skew_ms = in_ms(clock_skew);
        Self { keys, me, clock_skew_ms, replays: Replays::new(clock_skew_ms, unix_ms(started)) }
    }

    /// Takes what a signer signed after its first answer to this process, although its clock may be behind our start.
    #[must_use]
    pub(crate) fn after(self, answers: Arc<FirstAnswers>) -> Self {
        Self { replays: self.replays.after(answers), ..self }
    }

    /// Reads the value of [`super::HOP`] of one request, whose `path` is path and query as they came. A hop is taken
    /// once; nothing of it is read before its signature holds.
    ///
    /// # Errors
    /// [`HopRefused`].
    pub fn check(
        &self,
        value: &[u8],
        method: &str,
        path: &str,
        now: SystemTime,
    ) -> Result<Hop, HopRefused> {
        self.check_dated(value, method, path, now).map(|(hop, _at_ms)| hop)
    }

    /// As [`HopChecker::check`], with the time of the signature by the signer's clock, in Unix milliseconds.
    pub(crate) fn check_dated(
        &self,
        value: &[u8],
        method: &str,
        path: &str,
        now: SystemTime,
    ) -> Result<(Hop, u64), HopRefused> {
        let Signed { at_ms, nonce, hop } = self.verified(value, method, path)?;
        let asks_anyone = hop.to == NodeName::anyone() && (method, path) == ("GET", STATUS_PATH);
        if hop.to != self.me && !asks_anyone {
            return Err(HopRefused::Addressee);
        }
        let now_ms = unix_ms(now);
        if at_ms.abs_diff(now_ms) > self.clock_skew_ms {
            return Err(HopRefused::Clock);
        }
        match self.replays.admit(nonce, at_ms, now_ms) {
            Ok(()) => Ok((Hop { signer: Signer(nonce.instance), ..hop }, at_ms)),
            Err(Replayed::Early) => Err(HopRefused::Clock),
            Err(Replayed::Seen) => Err(HopRefused::Replayed),
            Err(Replayed::TooMany) => Err(HopRefused::TooMany),
        }
    }

    /// What one of our keys signed.
    fn verified(&self, value: &[u8], method: &str, path: &str) -> Result<Signed<Hop>, HopRefused> {
        if value.len() > HOP_BYTES_MAX {
            return Err(HopRefused::Malformed);
        }
        let text = std::str::from_utf8(value).map_err(|_utf8| HopRefused::Malformed)?;
        let (key_and_hop, mac) = text.rsplit_once('.').ok_or(HopRefused::Malformed)?;
        let (key, json) = key_and_hop.split_once('.').ok_or(HopRefused::Malformed)?;
        let keys = self.keys.current();
        let mut keys = keys.named(key).peekable();
        if keys.peek().is_none() {
            return Err(HopRefused::Key);
        }
        let parts = signed(key_and_hop, method, path);
        if !keys.any(|key| key.verifies(&parts, mac)) {
            return Err(HopRefused::Signature);
        }
        let json = BASE64_URL_SAFE_NO_PAD.decode(json).map_err(|_base64| HopRefused::Malformed)?;
        serde_json::from_slice(&json).map_err(|_json| HopRefused::Malformed)
    }
}

impl HopRefused {
    /// The reason in one word, for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Key => "unknown_key",
            Self::Signature => "signature",
            Self::Addressee => "addressee",
            Self::Clock => "clock",
            Self::Replayed => "replayed",
            Self::TooMany => "too_many_signers",
        }
    }
}

impl fmt::Debug for HopChecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HopChecker").field("me", &self.me).finish_non_exhaustive()
    }
}
