//! Passing a request on to the replica that owns its session.
//!
//! Pingora's proxy does it: the header goes first, the body is held until it is whole, since what the caller may
//! use depends on the message, and the answer streams back as it comes. Only what the other replica needs is passed
//! on: no token, no cookie, no header that is not named here.

use std::{sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, header};
use mcp_core::server::{Reply, era};
use parking_lot::Mutex;
use pingora::{Error, ErrorSource, ErrorType, http::RequestHeader, prelude::HttpPeer};

use super::{
    aim::Away,
    body::{Bodies, Held},
};
use crate::{
    refusal::{Denial, Refusal},
    sessions::Sessions,
};

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

/// Largest headers that are passed on, in bytes. What is larger than the other side takes would cost the connection, and
/// with it the requests of others.
pub(super) const HEADERS_BYTES_MAX: usize = 32 << 10;

/// How often a request is tried again that the other replica has not begun, since it ends the connection. It has few of
/// them from us.
pub(super) const REFUSALS_MAX: u8 = 4;

/// A request on its way to another replica.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) away: Away,
    /// The body as far as it has come.
    pub(super) body: BytesMut,
    /// Its share of all bodies that are arriving.
    held: Option<Held>,
    /// Whether a piece of the body has been read.
    pub(super) touched: bool,
    /// The body, once all of it has come.
    pub(super) whole: Option<Bytes>,
    /// Whether the other replica may have acted on it.
    pub(super) sent: bool,
    /// When it had been passed on whole.
    pub(super) sent_at: Option<Instant>,
    /// Whether it was tried once more.
    pub(super) retried: bool,
    setbacks: Setbacks,
    /// Version of the ring by which its port was found shut.
    pub(super) ring_refused: Option<u64>,
    /// Why it is not passed on after all.
    pub(super) denied: Option<Denial>,
    /// The id of the request that was refused.
    pub(super) id_raw: Option<Box<str>>,
    /// A reply of ours that takes the place of the other replica's. Behind a lock, since it may hold what cannot be
    /// shared, and Pingora shares what holds it.
    pub(super) answered: Mutex<Option<Box<Reply>>>,
}

/// Why a request comes back from another replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setback {
    /// Nobody listens there, so nothing was sent.
    Shut,
    /// The other side says that it has not begun: the stream was refused, or its connection is being ended.
    Refused,
    /// Anything else.
    Failed,
}

/// How often each of them happened. They are counted apart: a replica that ends refuses streams first and shuts its port
/// then, and a request may meet both.
#[derive(Debug, Default)]
struct Setbacks {
    shut: u8,
    refused: u8,
    failed: u8,
}

impl Forward {
    pub(super) fn new(away: Away) -> Self {
        Self {
            away,
            body: BytesMut::new(),
            held: None,
            touched: false,
            whole: None,
            sent: false,
            sent_at: None,
            retried: false,
            setbacks: Setbacks::default(),
            ring_refused: None,
            denied: None,
            id_raw: None,
            answered: Mutex::new(None),
        }
    }
}

impl Forward {
    /// The way to the replica that serves the request; `None` when we do, or nobody does.
    ///
    /// The ring may have changed since the request was placed. Then it goes where it belongs by now, which is no second
    /// try: nothing was sent.
    pub(super) fn way(&mut self, sessions: &Sessions) -> Option<HttpPeer> {
        if !self.retried
            && let Some(peer) = sessions.cluster.peer(&self.away.node)
        {
            return Some(peer);
        }
        let way = sessions.way(&self.away.session)?;
        (self.away.node, self.away.worker) = (way.node, way.worker);
        Some(way.peer)
    }

    /// Notes that it came back. Says whether it may be tried again: never when the other replica may have acted on it.
    pub(super) fn came_back(&mut self, setback: Setback) -> bool {
        self.retried = true;
        if setback == Setback::Refused {
            (self.sent, self.sent_at) = (false, None);
        }
        let Setbacks { shut, refused, failed } = &mut self.setbacks;
        let (count, most) = match setback {
            Setback::Shut => (shut, 1),
            Setback::Refused => (refused, REFUSALS_MAX),
            Setback::Failed => (failed, 1),
        };
        *count = count.saturating_add(1);
        *count <= most && !self.sent
    }

    /// Whether we can serve it ourselves: nobody has begun it, and its body is at hand or still to be read.
    pub(super) fn is_servable(&self) -> bool {
        !self.sent && (!self.touched || self.whole.is_some())
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// The body, or all that are arriving, are larger than allowed.
    pub(super) fn hold(
        &mut self,
        piece: Option<&Bytes>,
        (bodies, bytes_max): (&Arc<Bodies>, usize),
    ) -> Result<(), Refusal> {
        self.whole = None;
        let Some(piece) = piece else { return Ok(()) };
        self.touched |= !piece.is_empty();
        if self.body.len() + piece.len() > bytes_max {
            return Err(Refusal::BodyTooLarge);
        }
        self.held.get_or_insert_with(|| Held::none_of(bodies)).add(piece.len())?;
        self.body.extend_from_slice(piece);
        Ok(())
    }

    /// Notes whether all of it is on its way to the other replica.
    pub(super) fn note_sent(&mut self, is_whole: bool) {
        self.sent |= is_whole;
        self.sent_at = is_whole.then(Instant::now);
    }

    /// All of the body has come: gives it.
    pub(super) fn completed(&mut self) -> Bytes {
        let body = self.body.split().freeze();
        self.whole = Some(body.clone());
        body
    }

    /// Begins anew: the body comes again from its first piece.
    pub(super) fn begin(&mut self) {
        self.body.clear();
        self.held = None;
    }
}

/// Leaves only what the other replica needs. Headers that mirror arguments (`Mcp-Param-…`) belong to the stateless era,
/// which is passed on by replicas without workers alone.
pub(super) fn strip(header: &mut RequestHeader) -> usize {
    let names: Vec<HeaderName> = header.headers.keys().cloned().collect();
    for name in names {
        if !PASSED_ON.contains(&name) && !name.as_str().starts_with("mcp-param-") {
            header.remove_header(&name);
        }
    }
    header.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Whether an error came from the client's side.
pub(super) fn is_of_client(error: &Error) -> bool {
    *error.esource() == ErrorSource::Downstream
}

/// Whether the other replica's port is shut: nobody listens there.
pub(super) fn is_shut(error: &Error) -> bool {
    *error.etype() == ErrorType::ConnectRefused
}

#[cfg(test)]
mod tests;
