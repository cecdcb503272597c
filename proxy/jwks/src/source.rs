//! Where an issuer's keys come from.

use std::{path::PathBuf, sync::Arc, time::Duration};

use url::Url;

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A JWKS document at this address.
    Uri(Url),
    /// The `jwks_uri` of the issuer's metadata. Spec: RFC 8414 §3, OpenID Connect Discovery §4.
    Discovery {
        /// The issuer, which its metadata must name exactly.
        issuer: String,
    },
    /// A JWKS document in a file, read again when it changes.
    File(PathBuf),
    /// A JWKS document as text.
    Inline(Arc<str>),
}

/// How keys are fetched and how long they are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long fetched keys are used where the answer has no `Cache-Control`; it also bounds what a
    /// `Cache-Control` may ask for: from a tenth of this, but no less than 10 s, to ten times this, but no more
    /// than a day.
    pub cache_interval: Duration,
    /// How long keys may be used after the last good fetch; then the issuer's tokens are answered with 503.
    pub stale_max: Duration,
    /// Limit of one fetch, from connecting to the last byte.
    pub timeout: Duration,
    /// Allow `http` beyond loopback.
    pub allow_http: bool,
    /// Certificate authorities to trust instead of the public ones, PEM.
    pub ca_pem: Option<Arc<[u8]>>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            cache_interval: Duration::from_mins(5),
            stale_max: Duration::from_hours(1),
            timeout: Duration::from_secs(5),
            allow_http: false,
            ca_pem: None,
        }
    }
}
