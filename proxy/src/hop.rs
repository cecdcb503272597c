//! What replicas tell one another about a request that one hands to another, signed.
//!
//! A request that reaches the wrong replica travels on with one header. It says where the request comes from and for
//! whom it is meant, which session it is about, and who the verified caller is, so that the client's token stays where
//! it was verified. It reads `KEY.JSON.MAC`, the last two in base64url: the name of the key, the [`Hop`] with a time and
//! a number of its own, and a signature over both, the method and the path.
//!
//! Without TLS between replicas, anybody on the way can read a hop, but not make, change, redirect or repeat one.

use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::HeaderName;
use mcp_core::principal::PrincipalId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ring::NodeName, trace::TraceHop};

mod check;
mod replay;
mod sign;

pub use check::{HopChecker, HopRefused};
pub(crate) use replay::FirstAnswers;
pub use sign::{CannotSign, HopKeys, HopSigner};

/// The header that carries a hop. From a client it is an attempt to be somebody else.
pub const HOP: HeaderName = HeaderName::from_static("promgate-hop");

/// Where a replica says how it is. Who asks an address does not know yet who is there, so a question to
/// [`NodeName::anyone`] is taken here, and nowhere else.
pub const STATUS_PATH: &str = "/_promgate/status";

/// Longest value of the header, in bytes. What does not fit is not sent: 8 KiB hold the names of some 200 rules, and
/// HTTP/2 peers take far longer headers.
pub const HOP_BYTES_MAX: usize = 8 << 10;

/// What a replica tells another about a request. Its `Debug` shows neither the session nor the caller.
///
/// A replica ignores what it does not know, so that a newer one may add to this; what an older one must not ignore
/// needs another version of the signature.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The replica that sends it.
    pub from: NodeName,
    /// The replica for which it is meant. No other takes it.
    pub to: NodeName,
    /// How many times the request was handed on, this time included.
    pub hops: u8,
    /// The id of the request, the same at every replica.
    pub request_id: String,
    /// The session it is about, as the client knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Whether the id of the session was just minted, so that `initialize` may open it.
    #[serde(default)]
    pub opens: bool,
    /// Who calls.
    pub caller: Traveller,
    /// The client's address, as the first replica found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// What the body must be; only for messages of the replicas themselves, whose bodies are short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_sha256: Option<BodyDigest>,
    /// Who signed it; known of a hop that was checked.
    #[serde(skip)]
    pub signer: Signer,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceHop>,
}

/// The process that signed a hop: another one after each start, whatever its replica's name is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Signer(u64);

/// A caller, as the replica that verified the token tells of it. Its `Debug` shows nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traveller {
    /// None for a caller without a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<PrincipalId>,
    /// What the caller may use.
    pub rules: Rules,
    /// When the caller's token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<SystemTime>,
}

/// What a caller may use. Every replica has the same rules under the same names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rules {
    /// Every tool on every backend: there are no rules.
    Everything,
    /// What these rules of the configuration allow together.
    Named(Vec<Arc<str>>),
}

/// The SHA-256 of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest([u8; 32]);

/// What is written and signed: a hop, when it was signed, and what makes it differ from every other.
#[derive(Serialize, Deserialize)]
struct Signed<H> {
    /// Unix milliseconds.
    at_ms: u64,
    nonce: Nonce,
    hop: H,
}

/// Never the same twice.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Nonce {
    /// Random, of one signer.
    instance: u64,
    /// Counts what it signed.
    number: u64,
}

impl Hop {
    /// Whether the hop was signed for this body. Never, when it names none.
    #[must_use]
    pub fn covers(&self, body: &[u8]) -> bool {
        self.body_sha256 == Some(BodyDigest::of(body))
    }
}

impl BodyDigest {
    /// The digest of `body`.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest(&SHA256, body).as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

/// Milliseconds since 1970; 0 for all times before, which no replica is to see.
fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, in_ms)
}

fn in_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Serialize for BodyDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for BodyDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(de::Error::custom)?;
        let bytes = <[u8; 32]>::try_from(bytes);
        bytes.map(Self).map_err(|_length| de::Error::custom("a SHA-256 has 32 bytes"))
    }
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("hops", &self.hops)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Traveller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traveller").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
