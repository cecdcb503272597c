//! Passing a request on to the replica that owns its session.
//!
//! Pingora's proxy does it: the header goes first, the body is held until it is whole, since what the caller may
//! use depends on the message, and the answer streams back as it comes. Only what the other replica needs is passed
//! on: no token, no cookie, no header that is not named here.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, header};
use mcp_core::server::{Reply, era};
use parking_lot::Mutex;
use pingora::{Error, ErrorSource, ErrorType, http::RequestHeader, protocols::http::ServerSession};

use super::aim::Away;
use crate::refusal::Denial;

/// Headers of a client that another replica needs.
const PASSED_ON: [HeaderName; 8] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("last-event-id"),
    era::SESSION_ID,
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];

/// A request on its way to another replica.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) away: Away,
    /// The body as far as it has come.
    pub(super) body: BytesMut,
    /// Whether the other replica may have acted on it.
    pub(super) sent: bool,
    /// Whether it was tried once more.
    pub(super) retried: bool,
    /// Version of the ring by which its port was found shut.
    pub(super) ring_refused: Option<u64>,
    /// Whether no connection could be made, so that nothing of the body has been read.
    pub(super) unconnected: bool,
    /// Why it is not passed on after all.
    pub(super) denied: Option<Denial>,
    /// The id of the request that was refused.
    pub(super) id_raw: Option<Box<str>>,
    /// A reply of ours that takes the place of the other replica's. Behind a lock, since it may hold what cannot be
    /// shared, and Pingora shares what holds it.
    pub(super) answered: Mutex<Option<Box<Reply>>>,
}

impl Forward {
    pub(super) fn new(away: Away) -> Self {
        Self {
            away,
            body: BytesMut::new(),
            sent: false,
            retried: false,
            ring_refused: None,
            unconnected: false,
            denied: None,
            id_raw: None,
            answered: Mutex::new(None),
        }
    }
}

/// Leaves only what the other replica needs. Headers that mirror arguments (`Mcp-Param-…`) belong to the stateless era,
/// which is passed on by replicas without workers alone.
pub(super) fn strip(header: &mut RequestHeader) {
    let names: Vec<HeaderName> = header.headers.keys().cloned().collect();
    for name in names {
        if !PASSED_ON.contains(&name) && !name.as_str().starts_with("mcp-param-") {
            header.remove_header(&name);
        }
    }
}

/// Whether an error came from the client's side.
pub(super) fn is_of_client(error: &Error) -> bool {
    *error.esource() == ErrorSource::Downstream
}

/// Whether the other replica's port is shut: nobody listens there.
pub(super) fn is_shut(error: &Error) -> bool {
    *error.etype() == ErrorType::ConnectRefused
}

/// Takes the next piece of the body. Returns the whole once it is there.
///
/// # Errors
/// The body is larger than allowed.
pub(super) fn hold(
    forward: &mut Forward,
    piece: Option<&Bytes>,
    bytes_max: usize,
) -> Result<(), TooLarge> {
    if let Some(piece) = piece {
        if forward.body.len() + piece.len() > bytes_max {
            return Err(TooLarge);
        }
        forward.body.extend_from_slice(piece);
    }
    Ok(())
}

/// The body is larger than allowed.
#[derive(Debug)]
pub(super) struct TooLarge;

/// Whether the body that was held is there again when the request is tried once more.
pub(super) fn can_be_repeated(session: &ServerSession, forward: &Forward) -> bool {
    !forward.sent && !forward.retried && !session.retry_buffer_truncated()
}
