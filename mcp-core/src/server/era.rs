//! Which of the two MCP generations a message belongs to, and whether its headers agree.
//!
//! A request that carries its protocol version in `_meta` is stateless; `initialize` opens a session of
//! the older revisions, and everything else that is older belongs to one.
//!
//! Spec: MCP 2026-07-28, Versioning and Streamable HTTP.

use http::{HeaderMap, HeaderName, StatusCode};
use rmcp::{
    ErrorData,
    model::{ErrorCode, InitializeRequestParams, ProtocolVersion},
};
use serde_json::value::RawValue;

use super::{
    mirror,
    wire::{Message, Request},
};
use crate::session::SessionId;

/// `Mcp-Session-Id`.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Where a message goes.
#[derive(Debug)]
pub enum Route {
    /// `initialize`: opens a session.
    Initialize(Box<InitializeRequestParams>),
    /// A message in a session.
    Session(SessionId),
    /// A message that stands for itself.
    Stateless(ProtocolVersion),
}

/// Why a message goes nowhere.
#[derive(Debug)]
pub enum RouteError {
    /// The session id is no id that we could have given.
    UnknownSession,
    /// Anything else, with the status and the JSON-RPC error to answer.
    Refused(StatusCode, Box<ErrorData>),
}

/// What a [`RouteError`] is about, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteFault {
    /// The session does not exist.
    SessionUnknown,
    /// A session id is needed and missing, or given twice.
    SessionMissing,
    /// A protocol version that we do not speak.
    ProtocolVersion,
    /// Headers that say something else than the body.
    HeaderMismatch,
    /// Metadata that the era requires is missing.
    Metadata,
}

impl RouteError {
    /// What the error is about.
    #[must_use]
    pub fn fault(&self) -> RouteFault {
        match self {
            Self::UnknownSession => RouteFault::SessionUnknown,
            Self::Refused(_, error) => match error.code {
                ErrorCode::UNSUPPORTED_PROTOCOL_VERSION => RouteFault::ProtocolVersion,
                ErrorCode::HEADER_MISMATCH => RouteFault::HeaderMismatch,
                ErrorCode::INVALID_REQUEST => RouteFault::SessionMissing,
                _ => RouteFault::Metadata,
            },
        }
    }
}

impl From<ErrorData> for RouteError {
    fn from(error: ErrorData) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, Box::new(error))
    }
}

/// Decides where `message` goes.
///
/// # Errors
/// [`RouteError`] when its headers and body contradict each other, or it names neither an era nor a
/// session.
pub fn route(message: &Message<'_>, headers: &HeaderMap) -> Result<Route, RouteError> {
    if let Message::Request(request) = message {
        let opening = initialize(request);
        if let Some(Ok(params)) = opening {
            return Ok(Route::Initialize(params));
        }
        if let Some(version) = stateless_version(request, headers)? {
            return Ok(Route::Stateless(version));
        }
        if let Some(Err(error)) = opening {
            return Err(error.into());
        }
    }
    let version = mirror::single(headers, &mirror::PROTOCOL_VERSION).map_err(header_mismatch)?;
    if version.is_some_and(is_stateless_version) && matches!(message, Message::Notification(_)) {
        return Ok(Route::Stateless(ProtocolVersion::LATEST));
    }
    session(headers).map(Route::Session)
}

/// The session that a request of the older revisions names.
///
/// # Errors
/// [`RouteError`] when it names none, or its version header names a version that is unknown.
pub fn session(headers: &HeaderMap) -> Result<SessionId, RouteError> {
    let version = mirror::single(headers, &mirror::PROTOCOL_VERSION).map_err(header_mismatch)?;
    if let Some(version) = version
        && !ProtocolVersion::KNOWN_VERSIONS.iter().any(|known| known.as_str() == version)
    {
        return Err(unsupported(version).into());
    }
    let mut ids = headers.get_all(SESSION_ID).iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) => {
            SessionId::parse(id.as_bytes()).map_err(|_malformed| RouteError::UnknownSession)
        }
        (None, _) => Err(ErrorData::invalid_request(
            "the Mcp-Session-Id header is missing: send `initialize` first and repeat the id that it answers, \
             or send requests of protocol version 2026-07-28 with their `_meta`",
            None,
        )
        .into()),
        (Some(_), Some(_)) => {
            Err(ErrorData::invalid_request("the Mcp-Session-Id header appears more than once", None).into())
        }
    }
}

/// Whether the `MCP-Protocol-Version` header names a revision without sessions.
#[must_use]
pub fn names_stateless_version(headers: &HeaderMap) -> bool {
    headers
        .get(mirror::PROTOCOL_VERSION)
        .and_then(|version| version.to_str().ok())
        .is_some_and(is_stateless_version)
}

/// The parameters of `initialize`; `None` for other methods. One that is not well formed may still be a
/// request of the stateless era, which knows no such method.
fn initialize(request: &Request<'_>) -> Option<Result<Box<InitializeRequestParams>, ErrorData>> {
    if request.method != "initialize" {
        return None;
    }
    let params = serde_json::from_str(request.params.map_or("{}", RawValue::get)).map(Box::new);
    Some(params.map_err(|error| {
        ErrorData::invalid_params(format!("invalid params of initialize: {error}"), None)
    }))
}

/// Versions are dates, so that they compare as text; what is no date is of no era.
fn is_stateless_version(version: &str) -> bool {
    let is_date = version.len() == 10
        && version.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date && version >= ProtocolVersion::NO_INITIALIZE.as_str()
}

/// The version of a request that stands for itself; `None` for one that does not.
fn stateless_version(
    request: &Request<'_>,
    headers: &HeaderMap,
) -> Result<Option<ProtocolVersion>, RouteError> {
    let (in_body, has_capabilities) = (request.meta.version(), request.meta.has_capabilities());
    let in_header = mirror::single(headers, &mirror::PROTOCOL_VERSION).map_err(header_mismatch)?;

    let opens_stateless = request.method == "server/discover"
        || (in_body.is_some() && has_capabilities)
        || in_body.is_some_and(is_stateless_version)
        || in_header.is_some_and(is_stateless_version);
    if !opens_stateless {
        return Ok(None);
    }
    let Some(in_body) = in_body else {
        return Err(missing_meta(META_VERSION).into());
    };
    let Some(in_header) = in_header else {
        return Err(header_mismatch("the MCP-Protocol-Version header is missing".to_owned()));
    };
    if in_header != in_body {
        return Err(header_mismatch(format!(
            "the MCP-Protocol-Version header `{in_header}` does not match the protocolVersion `{in_body}` in _meta"
        )));
    }
    let known = ProtocolVersion::KNOWN_VERSIONS.iter().find(|known| known.as_str() == in_body);
    let Some(version) = known else { return Err(unsupported(in_body).into()) };
    if !has_capabilities {
        return Err(missing_meta(META_CAPABILITIES).into());
    }
    mirror::check(headers, request).map_err(header_mismatch)?;
    Ok(Some(version.clone()))
}

fn missing_meta(key: &str) -> ErrorData {
    ErrorData::invalid_params(
        format!("request _meta is missing or has malformed required fields: {key}"),
        None,
    )
}

fn unsupported(version: &str) -> ErrorData {
    let data = serde_json::json!({
        "requested": version,
        "supported": ProtocolVersion::KNOWN_VERSIONS,
    });
    ErrorData::new(
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
        "unsupported protocol version",
        Some(data),
    )
}

fn header_mismatch(message: String) -> RouteError {
    ErrorData::header_mismatch(message, None).into()
}
