//! How a backend fails: while it is set up, and while it is asked.

use std::{error::Error, time::Duration};

use http::StatusCode;

use crate::{config::BackendName, observe::BackendOutcome};

/// A backend whose client could not be built from its settings.
#[derive(Debug, thiserror::Error)]
#[error("backend `{name}` cannot be set up")]
pub struct BackendBuildError {
    /// Its name.
    pub name: BackendName,
    /// What is wrong.
    #[source]
    pub fault: BuildFault,
}

/// What is wrong with a backend's settings.
#[derive(Debug, thiserror::Error)]
pub enum BuildFault {
    /// Two backends have one name.
    #[error("another backend has the same name")]
    NameTaken,
    /// The certificate authorities could not be read.
    #[error("its CA file holds no readable PEM certificate")]
    CaUnreadable(#[source] Option<reqwest::Error>),
    /// User, password or token cannot stand in a header.
    #[error("its credentials hold characters that HTTP headers cannot carry")]
    CredentialsUnusable,
    /// The HTTP client refused its settings. Mostly: the system has no store of public CAs.
    #[error(
        "no HTTP client could be made; does the system have CA certificates, or set a CA file?"
    )]
    Client(#[source] reqwest::Error),
}

/// A backend's own words for a failure, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// `errorType`, such as `bad_data`; empty when the backend named none.
    pub(crate) kind: String,
    /// `error`, the text for people, or the whole body when it is not in the API's form.
    pub(crate) message: String,
}

/// Why a question to a backend has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// No connection, also at the second try.
    #[error("no connection to the backend")]
    Unreachable(#[source] reqwest::Error),
    /// The TLS handshake failed: mostly, a certificate that is not trusted.
    #[error("no TLS connection to the backend")]
    Tls(#[source] reqwest::Error),
    /// The deadline passed.
    #[error("no whole answer within {} s", .limit.as_secs_f64())]
    Timeout {
        /// The deadline, from connecting to the last byte.
        limit: Duration,
    },
    /// The connection broke while the answer was under way, or its encoding is broken.
    #[error("the answer broke off")]
    Interrupted(#[source] reqwest::Error),
    /// More bytes than we read from this backend.
    #[error("the answer is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit, after decompression.
        bytes_max: usize,
    },
    /// Status 401 or 403.
    #[error("the backend refused access with status {status}")]
    Unauthorized {
        /// The status.
        status: StatusCode,
        /// Its words, if it had any.
        api: Option<ApiError>,
    },
    /// Status 3xx.
    #[error("the backend redirects elsewhere with status {status}")]
    Redirected {
        /// The status.
        status: StatusCode,
    },
    /// Status 429.
    #[error("the backend limits how often it may be asked")]
    RateLimited {
        /// Whole seconds of `Retry-After`.
        retry_after_s: Option<u64>,
        /// Its words, if it had any.
        api: Option<ApiError>,
    },
    /// The API refused or failed, and said why.
    #[error("the backend answered {status} with an error of its own")]
    Api {
        /// The status.
        status: StatusCode,
        /// Its words.
        error: ApiError,
    },
    /// Something that is not the Prometheus API: a page, garbage, or a bare error status.
    #[error("the backend answered {status} with something other than the Prometheus API")]
    NotApi {
        /// The status.
        status: StatusCode,
        /// Its media type, if it named a well-formed one.
        media_type: Option<String>,
    },
}

impl BackendError {
    /// The class it counts in.
    pub(crate) fn outcome(&self) -> BackendOutcome {
        match self {
            Self::Unreachable(_) | Self::Tls(_) => BackendOutcome::Unreachable,
            Self::Timeout { .. } => BackendOutcome::Timeout,
            Self::TooLarge { .. } => BackendOutcome::TooLarge,
            Self::Unauthorized { .. } => BackendOutcome::Unauthorized,
            Self::RateLimited { .. } => BackendOutcome::Refused,
            Self::Interrupted(_) | Self::Redirected { .. } | Self::NotApi { .. } => {
                BackendOutcome::BadAnswer
            }
            Self::Api { status, error } => error.outcome(*status),
        }
    }

    /// The innermost cause, which names what happened ("Connection refused") and no address.
    pub(crate) fn root_cause(&self) -> Option<String> {
        let mut cause = self.source()?;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Some(cause.to_string())
    }
}

impl ApiError {
    /// Whether the question is at fault (`Refused`) or the backend.
    ///
    /// Spec: Prometheus HTTP API, format overview, and `web/api/v1/errors.go` of 3.x.
    fn outcome(&self, status: StatusCode) -> BackendOutcome {
        match self.kind.as_str() {
            "timeout" => BackendOutcome::Timeout,
            "internal" | "unavailable" => BackendOutcome::BadAnswer,
            "bad_data" | "execution" | "not_found" | "not_acceptable" => BackendOutcome::Refused,
            _other if status.is_server_error() => BackendOutcome::BadAnswer,
            // Not the question is wrong, but the address or the way in which it was asked.
            _other if matches!(status.as_u16(), 404 | 405) => BackendOutcome::BadAnswer,
            _other => BackendOutcome::Refused,
        }
    }
}
