//! Reading a request's body within its bounds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora::{ErrorType, protocols::http::ServerSession};

use crate::{config::HttpLimits, refusal::Refusal};

/// How long the rest of a body is read and dropped that nobody wants. A client that is still sending
/// when its connection closes may never see why.
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// A whole body.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    _held: Option<Held>,
}

impl Body {
    /// One that was read before, by somebody who has its share of all bodies.
    pub(super) const fn of(bytes: Bytes) -> Self {
        Self { bytes, _held: None }
    }
}

/// Bytes of all bodies that took more than one read, and so may be waited for.
#[derive(Debug)]
pub(crate) struct Bodies {
    bytes_max: usize,
    bytes: AtomicUsize,
}

/// A share of [`Bodies`].
#[derive(Debug)]
pub(super) struct Held {
    bodies: Arc<Bodies>,
    bytes: usize,
}

impl Bodies {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes: AtomicUsize::new(0) })
    }

    /// How many there are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Held {
    pub(super) fn none_of(bodies: &Arc<Bodies>) -> Self {
        Self { bodies: Arc::clone(bodies), bytes: 0 }
    }

    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        let before = self.bodies.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        let fits = before.saturating_add(bytes) <= self.bodies.bytes_max;
        if fits { Ok(()) } else { Err(Refusal::BodiesTooLarge) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bodies.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the whole body.
///
/// One timeout bounds it all: Pingora's own is per read, and HTTP/2 has none.
pub(super) async fn read(
    session: &mut ServerSession,
    bodies: &Arc<Bodies>,
    limits: &HttpLimits,
) -> Result<Body, Refusal> {
    let bytes_max = limits.body_bytes_max;
    if declared_length(session).is_some_and(|length| length > bytes_max) {
        return Err(Refusal::BodyTooLarge);
    }
    if awaits_continue(session) && session.write_continue_response().await.is_err() {
        return Err(Refusal::BodyBroken);
    }
    tokio::time::timeout(limits.body_timeout, read_all(session, bodies, bytes_max))
        .await
        .unwrap_or(Err(Refusal::BodyTimeout))
}

/// Reads and drops what is left of the body. `false` when that was not the whole.
pub(super) async fn discard(session: &mut ServerSession) -> bool {
    if session.is_body_done() {
        return true;
    }
    let rest = async {
        loop {
            match session.read_request_body().await {
                Ok(Some(_dropped)) => {}
                Ok(None) => return true,
                Err(_broken) => return false,
            }
        }
    };
    tokio::time::timeout(DISCARD_TIME, rest).await.unwrap_or(false)
}

async fn read_all(
    session: &mut ServerSession,
    bodies: &Arc<Bodies>,
    bytes_max: usize,
) -> Result<Body, Refusal> {
    // Nearly every body is one piece, which needs no copy and is not waited with.
    let first = read_piece(session).await?.unwrap_or_default();
    if first.len() > bytes_max {
        return Err(Refusal::BodyTooLarge);
    }
    if session.is_body_done() {
        return Ok(Body { bytes: first, _held: None });
    }
    let mut held = Held::none_of(bodies);
    held.add(first.len())?;
    let mut body = BytesMut::from(first);
    while let Some(piece) = read_piece(session).await? {
        if body.len() + piece.len() > bytes_max {
            return Err(Refusal::BodyTooLarge);
        }
        held.add(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(Body { bytes: body.freeze(), _held: Some(held) })
}

async fn read_piece(session: &mut ServerSession) -> Result<Option<Bytes>, Refusal> {
    session.read_request_body().await.map_err(|error| {
        let slow = *error.etype() == ErrorType::ReadTimedout;
        if slow { Refusal::BodyTimeout } else { Refusal::BodyBroken }
    })
}

pub(super) fn declared_length(session: &ServerSession) -> Option<usize> {
    session.get_header(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the client waits for leave to send its body. Pingora does not give it by itself.
///
/// Spec: RFC 9110 §10.1.1.
pub(super) fn awaits_continue(session: &ServerSession) -> bool {
    session.response_written().is_none()
        && session.req_header().version != Version::HTTP_10
        && session
            .get_header(header::EXPECT)
            .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
