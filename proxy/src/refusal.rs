//! Why the edge answers a request itself, and how.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode};

use crate::{
    access_log::identity::Identity,
    metrics::labels::{Label as _, Limit, Outcome, Rejection},
};

/// A request that never reaches a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such path.
    #[error("not found: this server has one endpoint, the one set by server.transport.http.path")]
    Path,
    /// The endpoint does not take the method.
    #[error("method not allowed: the endpoint takes POST, GET and DELETE")]
    Method,
    /// The revision of the request has POST only.
    #[error("method not allowed: protocol version 2026-07-28 has POST only")]
    MethodOfEra,
    /// No `Host`, or several.
    #[error("the request needs exactly one Host header")]
    HostMissing,
    /// A `Host` that is not served.
    #[error("this Host is not served; add it to server.transport.http.allowed_hosts")]
    HostForbidden,
    /// An `Origin` that is not served.
    #[error("this Origin is not served; add it to server.transport.http.allowed_origins")]
    OriginForbidden,
    /// Content-Length together with Transfer-Encoding.
    #[error("Content-Length and Transfer-Encoding must not stand together")]
    TwoLengths,
    /// Transfer-Encoding other than `chunked`.
    #[error("Transfer-Encoding must be `chunked` and nothing else")]
    TransferEncoding,
    /// More than one Content-Length, or one that is not a number.
    #[error("Content-Length must appear once and be a number")]
    ContentLength,
    /// A target that is neither a path nor this host's absolute form.
    #[error("the request target must be a path")]
    Target,
    /// `Upgrade`.
    #[error("Upgrade is not supported")]
    Upgrade,
    /// `Accept` allows neither form of answer.
    #[error("Accept must allow application/json or text/event-stream")]
    NotAcceptable,
    /// `Content-Type` is not JSON.
    #[error("Content-Type must be application/json")]
    ContentType,
    /// A compressed body.
    #[error("Content-Encoding is not supported; send the body as it is")]
    ContentEncoding,
    /// A body over the limit.
    #[error("the body is larger than this server takes")]
    BodyTooLarge,
    /// A body that did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// A body that broke off or is badly framed.
    #[error("the body broke off or is badly framed")]
    BodyBroken,
    /// A body where none belongs.
    #[error("GET and DELETE take no body")]
    BodyUnexpected,
    /// Too many bodies are arriving at once.
    #[error("too many bytes of requests are arriving at once; try again later")]
    BodiesTooLarge,
    /// No token where one is needed.
    #[error("authentication is required: send an access token as `Authorization: Bearer`")]
    TokenMissing,
    /// A token that is not accepted. The words are the same whatever the reason: the difference would
    /// teach whoever tries.
    #[error("the access token is not valid for this server")]
    TokenRefused,
    /// A token sent in a way that is not allowed, or several.
    #[error("send exactly one access token, as `Authorization: Bearer`, and none in the URL")]
    TokenMisplaced,
    /// The keys of a token's issuer are not at hand.
    #[error("access tokens cannot be checked at the moment; try again later")]
    TokenUncheckable,
    /// A good token that the policy does not let in.
    #[error("this server's policy does not let this token in")]
    Forbidden,
    /// A good token without a scope that is needed.
    #[error("the access token lacks a scope that this needs")]
    ScopeMissing,
    /// A tool that the caller may not use.
    #[error("the caller may not use this tool")]
    ToolForbidden,
    /// More than the caller's share in this time.
    #[error("too many requests; wait as Retry-After says")]
    RateLimited,
    /// A document of `.well-known` asked for with another method.
    #[error("method not allowed: this document takes GET, HEAD and OPTIONS")]
    MethodOfDocument,
    /// A document of `.well-known` that is not at hand.
    #[error("the authorization server's metadata is not at hand; try again later")]
    DocumentUnavailable,
    /// The replica that owns the session cannot be reached.
    #[error("the replica that owns this session cannot be reached; try again")]
    ReplicaUnreachable,
    /// The replica that owns the session went away while it answered.
    #[error(
        "the replica that owns this session went away before it answered; the request may have been served"
    )]
    ReplicaGone,
    /// Passed on too often, or its session was given away meanwhile: the replicas do not agree yet who owns it.
    #[error("the replicas do not agree yet who owns this session; try again")]
    NotAgreed,
    /// A request on the port of the replicas that none of them signed.
    #[error("this port is for replicas of this server")]
    HopRefused,
    /// Whether the session exists cannot be found out.
    #[error("sessions cannot be looked up at the moment; try again later")]
    SessionStore,
    /// Its access record could not be written, and nothing is served without one.
    #[error(
        "requests cannot be recorded at the moment, and none is served unrecorded; try again later"
    )]
    Unrecordable,
    /// Headers larger than another replica takes.
    #[error("the headers are larger than this server takes")]
    HeadersTooLarge,
    /// A fault of ours.
    #[error("the server failed")]
    Internal,
}

/// A refusal with what belongs into its answer and its record.
#[derive(Debug, Clone)]
pub struct Denial {
    /// The refusal.
    pub refusal: Refusal,
    /// Why, in one word for the record; the refusal's own word where it is none.
    pub why: Option<&'static str>,
    /// Value of `WWW-Authenticate`.
    pub challenge: Option<HeaderValue>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// The configured bound that was reached, where the refusal alone does not say it.
    pub limit: Option<Limit>,
    /// Who is refused, where a token says it that was verified.
    pub identity: Option<Arc<Identity>>,
    /// What kept the caller out: the place of a condition, or a rule that would hold but for scopes.
    pub rule: Option<Arc<str>>,
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            why: None,
            challenge: None,
            retry_after: None,
            limit: None,
            identity: None,
            rule: None,
        }
    }
}

impl Denial {
    /// Why, in one word for the record; none for a fault of ours.
    #[must_use]
    pub fn why(&self) -> Option<&'static str> {
        self.why.or_else(|| self.refusal.reason().map(Rejection::label))
    }

    /// What it says of authentication, in one word for the record; none where it was not reached or is not concerned.
    #[must_use]
    pub const fn authenticated(&self) -> Option<&'static str> {
        if matches!(self.refusal, Refusal::TokenMissing) {
            Some("missing")
        } else if matches!(self.refusal, Refusal::TokenRefused | Refusal::TokenMisplaced) {
            Some("refused")
        } else if matches!(self.refusal, Refusal::TokenUncheckable) {
            Some("uncheckable")
        } else if self.identity.is_some() {
            Some("verified")
        } else {
            None
        }
    }

    /// The configured bound that was reached, if that is why.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        self.limit.or_else(|| self.refusal.limit())
    }
}

impl Refusal {
    /// HTTP status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method | Self::MethodOfEra | Self::MethodOfDocument => {
                StatusCode::METHOD_NOT_ALLOWED
            }
            Self::TokenMissing | Self::TokenRefused => StatusCode::UNAUTHORIZED,
            Self::HostForbidden
            | Self::OriginForbidden
            | Self::Forbidden
            | Self::ScopeMissing
            | Self::HopRefused
            | Self::ToolForbidden => StatusCode::FORBIDDEN,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::HostMissing
            | Self::TwoLengths
            | Self::TransferEncoding
            | Self::ContentLength
            | Self::Target
            | Self::Upgrade
            | Self::TokenMisplaced
            | Self::BodyUnexpected
            | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::ContentType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodiesTooLarge
            | Self::TokenUncheckable
            | Self::DocumentUnavailable
            | Self::ReplicaUnreachable
            | Self::NotAgreed
            | Self::Unrecordable
            | Self::SessionStore => StatusCode::SERVICE_UNAVAILABLE,
            Self::ReplicaGone => StatusCode::BAD_GATEWAY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Why, as metrics say it; none for a fault of ours.
    #[must_use]
    pub const fn reason(self) -> Option<Rejection> {
        Some(match self {
            Self::Path => Rejection::Path,
            Self::Method | Self::MethodOfEra | Self::MethodOfDocument => Rejection::Method,
            Self::TokenMissing
            | Self::TokenRefused
            | Self::TokenMisplaced
            | Self::TokenUncheckable => Rejection::Token,
            Self::Forbidden | Self::ScopeMissing | Self::ToolForbidden => Rejection::Policy,
            Self::RateLimited => Rejection::Rate,
            Self::HostMissing | Self::HostForbidden => Rejection::Host,
            Self::OriginForbidden => Rejection::Origin,
            Self::TwoLengths
            | Self::TransferEncoding
            | Self::ContentLength
            | Self::BodyUnexpected => Rejection::Framing,
            Self::Target => Rejection::Target,
            Self::Upgrade => Rejection::Upgrade,
            Self::NotAcceptable => Rejection::Accept,
            Self::ContentType => Rejection::ContentType,
            Self::ContentEncoding => Rejection::ContentEncoding,
            Self::BodyTooLarge => Rejection::BodySize,
            Self::BodyTimeout => Rejection::BodyTime,
            Self::BodyBroken => Rejection::BodyTruncated,
            Self::BodiesTooLarge => Rejection::Overloaded,
            Self::HopRefused => Rejection::Hop,
            Self::HeadersTooLarge => Rejection::Headers,
            Self::Internal
            | Self::DocumentUnavailable
            | Self::ReplicaUnreachable
            | Self::ReplicaGone
            | Self::NotAgreed
            | Self::Unrecordable
            | Self::SessionStore => return None,
        })
    }

    /// How the request ended, as the access log says it.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Path => Outcome::NotFound,
            Self::BodyTooLarge | Self::HeadersTooLarge => Outcome::TooLarge,
            Self::BodyTimeout => Outcome::SlowClient,
            Self::BodiesTooLarge => Outcome::Overloaded,
            Self::ReplicaUnreachable
            | Self::ReplicaGone
            | Self::NotAgreed
            | Self::Unrecordable
            | Self::SessionStore => Outcome::Unavailable,
            Self::Internal => Outcome::Internal,
            Self::TokenMissing
            | Self::TokenRefused
            | Self::TokenMisplaced
            | Self::TokenUncheckable => Outcome::Unauthenticated,
            Self::Forbidden | Self::ScopeMissing | Self::ToolForbidden => Outcome::Forbidden,
            Self::RateLimited => Outcome::RateLimited,
            Self::DocumentUnavailable => Outcome::BackendError,
            Self::Method
            | Self::HopRefused
            | Self::MethodOfEra
            | Self::MethodOfDocument
            | Self::HostMissing
            | Self::HostForbidden
            | Self::OriginForbidden
            | Self::TwoLengths
            | Self::TransferEncoding
            | Self::ContentLength
            | Self::Target
            | Self::Upgrade
            | Self::NotAcceptable
            | Self::ContentType
            | Self::ContentEncoding
            | Self::BodyUnexpected
            | Self::BodyBroken => Outcome::Rejected,
        }
    }

    /// The configured bound that was reached, if that is why.
    #[must_use]
    pub const fn limit(self) -> Option<Limit> {
        if matches!(self, Self::BodyTooLarge) {
            Some(Limit::BodyBytes)
        } else if matches!(self, Self::BodyTimeout) {
            Some(Limit::BodyTime)
        } else if matches!(self, Self::BodiesTooLarge) {
            Some(Limit::Bodies)
        } else {
            None
        }
    }

    /// The JSON-RPC error code of the answer.
    #[must_use]
    pub const fn rpc_code(self) -> i32 {
        // Internal error, or invalid request.
        let ours = matches!(
            self,
            Self::Internal
                | Self::BodiesTooLarge
                | Self::RateLimited
                | Self::TokenUncheckable
                | Self::DocumentUnavailable
                | Self::ReplicaUnreachable
                | Self::ReplicaGone
                | Self::NotAgreed
                | Self::Unrecordable
                | Self::SessionStore
        );
        if ours { -32603 } else { -32600 }
    }

    /// Value of `Allow` that goes with the status.
    #[must_use]
    pub const fn allow(self) -> Option<&'static str> {
        if matches!(self, Self::Method) {
            Some("POST, GET, DELETE")
        } else if matches!(self, Self::MethodOfEra) {
            Some("POST")
        } else if matches!(self, Self::MethodOfDocument) {
            Some("GET, HEAD, OPTIONS")
        } else {
            None
        }
    }

    /// Whether a body may still be on its way whose end is not in doubt, so that it can be read and
    /// dropped.
    #[must_use]
    pub const fn leaves_body(self) -> bool {
        !self.closes() || matches!(self, Self::BodyTooLarge | Self::BodiesTooLarge)
    }

    /// Whether the connection must not be used again: where a request ends may be in doubt, or its
    /// rest is still on the way.
    #[must_use]
    pub const fn closes(self) -> bool {
        matches!(
            self,
            Self::TwoLengths
                | Self::TransferEncoding
                | Self::ContentLength
                | Self::Target
                | Self::Upgrade
                | Self::BodyTooLarge
                | Self::BodyTimeout
                | Self::BodyBroken
                | Self::BodyUnexpected
                | Self::BodiesTooLarge
                | Self::Internal
        )
    }
}
