//! What the MCP service needs to know, in checked form.
//!
//! These types are what the program uses; the file that an operator writes is read, expanded and
//! checked in the `promgate` crate, which is the only road to them in production.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName};
use url::Url;

use crate::secret::Secret;

/// The configured name of a backend: short, printable, safe as a metric label.
///
/// 1 to 64 of `a-z A-Z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendName(Arc<str>);

/// A tenant of a multi-tenant backend, sent as `X-Scope-OrgID`.
///
/// 1 to 150 visible ASCII characters without `|`, which would name several tenants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgId(Arc<str>);

/// A name that breaks the rule of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct BadName {
    rule: &'static str,
}

impl BackendName {
    /// # Errors
    /// [`BadName`] when the name is empty, longer than 64 bytes, or holds another character.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
            return Err(BadName {
                rule: "a backend name is 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-'",
            });
        }
        Ok(Self(name.into()))
    }

    /// The name as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl OrgId {
    /// # Errors
    /// [`BadName`] when the id is empty, longer than 150 bytes, or holds `|` or anything but
    /// visible ASCII.
    pub fn parse(id: &str) -> Result<Self, BadName> {
        let good = |b: u8| b.is_ascii_graphic() && b != b'|';
        if id.is_empty() || id.len() > 150 || !id.bytes().all(good) {
            return Err(BadName {
                rule: "a tenant id is 1 to 150 visible ASCII characters without '|'",
            });
        }
        Ok(Self(id.into()))
    }

    /// The id as it goes on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How Promgate proves itself to a backend.
#[derive(Debug, Clone)]
pub enum BackendAuth {
    /// No credentials.
    None,
    /// HTTP basic authentication. Spec: RFC 7617.
    Basic {
        /// User name, sent in the clear.
        username: String,
        /// Password.
        password: Secret,
    },
    /// A bearer token. Spec: RFC 6750 §2.1.
    Token(Secret),
}

/// One metrics backend that speaks the Prometheus HTTP API.
#[derive(Debug, Clone)]
pub struct BackendConfig {
    /// Its name in tool arguments, logs and metrics.
    pub name: BackendName,
    /// Base address; `/api/v1/…` is appended to its path. `http` or `https`, without user,
    /// password, query or fragment.
    pub url: Url,
    /// Tenant of a call that names none.
    pub org_id: Option<OrgId>,
    /// Tenants that a call may name. Empty: only `org_id`.
    pub available_orgs: Vec<OrgId>,
    /// Credentials, sent to `url`'s host and to no other.
    pub auth: BackendAuth,
    /// Further headers of every request; values are marked sensitive.
    pub headers: HeaderMap,
    /// Certificate authorities to trust instead of the public ones, PEM.
    pub ca_pem: Option<Arc<[u8]>>,
    /// Limit of one request, from connecting to the last byte.
    pub timeout: Duration,
    /// Limit of the connecting alone.
    pub connect_timeout: Duration,
    /// Largest answer read, in bytes after decompression.
    pub response_bytes_max: usize,
}

/// Header names that a backend's `headers` may not set, since Promgate sets them itself.
pub const RESERVED_BACKEND_HEADERS: [HeaderName; 6] = [
    http::header::AUTHORIZATION,
    http::header::HOST,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_TYPE,
    http::header::TRANSFER_ENCODING,
    HeaderName::from_static("x-scope-orgid"),
];

/// Bounds of the tools' questions and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolLimits {
    /// Longest PromQL text accepted, in bytes.
    pub query_bytes_max: usize,
    /// Largest answer, text and structure together, in bytes of JSON; what is over it is cut, a
    /// result at a whole series.
    pub answer_bytes_max: usize,
    /// Most points a series that a range query without a step asks for.
    pub points_default_max: u32,
    /// Most metric names that one page holds.
    pub page_max: u32,
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self {
            query_bytes_max: 16 << 10,
            answer_bytes_max: 64 << 10,
            points_default_max: 250,
            page_max: 1000,
        }
    }
}

/// Bounds of one MCP worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Most sessions open at once; one more is refused with 503.
    pub sessions_max: usize,
    /// Most sessions that one principal has open at once, in all workers of the process; one more is refused with
    /// 429. Callers without a token are not counted.
    pub principal_sessions_max: usize,
    /// Most calls in flight at once in one session; one more is refused with 429.
    pub session_calls_max: usize,
    /// Most calls in flight at once in the worker; one more is refused with 503.
    pub calls_max: usize,
    /// Most `subscriptions/listen` streams at once; one more is refused with 503.
    pub listeners_max: usize,
    /// A session in which nothing happened for this long ends. A running call or an open stream
    /// keeps it.
    pub idle_timeout: Duration,
    /// A call that takes longer is ended and answered with an error.
    pub call_timeout: Duration,
    /// A call that has said nothing for this long is answered as a stream, so that
    /// intermediaries see bytes.
    pub stream_after: Duration,
    /// Interval of the comments that keep an open stream alive.
    pub keep_alive: Duration,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            sessions_max: 100_000,
            principal_sessions_max: 100,
            session_calls_max: 64,
            calls_max: 10_000,
            listeners_max: 10_000,
            idle_timeout: Duration::from_hours(1),
            call_timeout: Duration::from_mins(2),
            stream_after: Duration::from_secs(5),
            keep_alive: Duration::from_secs(15),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_break_out_of_a_label_is_refused() {
        for bad in ["", "a b", "a\"b", "a\nb", "é", &"x".repeat(65)] {
            assert!(BackendName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(BackendName::parse("prometheus-eu.1_a").is_ok());
    }

    #[test]
    fn a_tenant_id_that_names_several_tenants_is_refused() {
        assert!(OrgId::parse("a|b").is_err());
        assert!(OrgId::parse("a b").is_err());
        assert!(OrgId::parse("team-a").is_ok());
    }
}
