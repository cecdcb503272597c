//! Reading a request's body within its bounds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::{ErrorType, protocols::http::ServerSession};

use crate::refusal::Refusal;

/// Reads the whole body.
///
/// One timeout bounds it all: Pingora's own is per read, and HTTP/2 has none.
pub(super) async fn read(
    session: &mut ServerSession,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, Refusal> {
    if declared_length(session).is_some_and(|length| length > bytes_max) {
        return Err(Refusal::BodyTooLarge);
    }
    if expects_continue(session) && session.write_continue_response().await.is_err() {
        return Err(Refusal::BodyBroken);
    }
    tokio::time::timeout(timeout, read_all(session, bytes_max))
        .await
        .unwrap_or(Err(Refusal::BodyTimeout))
}

async fn read_all(session: &mut ServerSession, bytes_max: usize) -> Result<Bytes, Refusal> {
    // Nearly every body is one piece, which then needs no copy.
    let Some(first) = read_piece(session).await? else { return Ok(Bytes::new()) };
    let Some(second) = read_piece(session).await? else {
        return if first.len() > bytes_max { Err(Refusal::BodyTooLarge) } else { Ok(first) };
    };
    let mut body = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(piece) = next {
        if body.len() + piece.len() > bytes_max {
            return Err(Refusal::BodyTooLarge);
        }
        body.extend_from_slice(&piece);
        next = read_piece(session).await?;
    }
    Ok(body.freeze())
}

async fn read_piece(session: &mut ServerSession) -> Result<Option<Bytes>, Refusal> {
    session.read_request_body().await.map_err(|error| {
        let slow = *error.etype() == ErrorType::ReadTimedout;
        if slow { Refusal::BodyTimeout } else { Refusal::BodyBroken }
    })
}

fn declared_length(session: &ServerSession) -> Option<usize> {
    session.get_header(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Spec: RFC 9110 §10.1.1. Pingora does not answer it by itself.
fn expects_continue(session: &ServerSession) -> bool {
    session
        .get_header(header::EXPECT)
        .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
