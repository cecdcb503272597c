//! Writing answers.
//!
//! A whole answer leaves in one write: the header stays in the connection's buffer until the body
//! follows. A stream's header leaves with its first bytes.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Version, header};
use mcp_core::server::{Body, Ending, EventStream, Reply, StreamKind, era};
use pingora::{Error, ErrorType, Result, http::ResponseHeader, protocols::http::ServerSession};
use tokio::sync::watch;

use super::context::{Context, limit_of};
use crate::{
    metrics::{Metrics, labels},
    refusal::Refusal,
    request_id,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-cache, no-transform");
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const NO: HeaderValue = HeaderValue::from_static("no");

/// What a stream needs beside its connection.
pub(super) struct StreamTerms<'a> {
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) drain: watch::Receiver<bool>,
}

/// Answers a request that reaches no worker.
pub(super) async fn refuse(
    session: &mut ServerSession,
    context: &Context,
    refusal: Refusal,
) -> Result<()> {
    if refusal.closes() {
        session.set_keepalive(None);
    }
    let mut answer = header(refusal.status(), context)?;
    if refusal.status() == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header(header::RETRY_AFTER, "1")?;
    }
    if let Some(allow) = refusal.allow() {
        answer.insert_header(header::ALLOW, allow)?;
    }
    // JSON-RPC even here: a client that tries the newer generation first takes another body for a
    // sign that it must fall back to the older.
    let code = refusal.rpc_code();
    let body = format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{refusal}"}}}}"#);
    whole(session, answer, JSON, body.into()).await
}

/// Writes a worker's reply, to the end of its stream if it is one.
pub(super) async fn reply(
    session: &mut ServerSession,
    context: &mut Context,
    reply: Reply,
    terms: StreamTerms<'_>,
) -> Result<()> {
    let Reply { status, body, session: opened, retry_after, ending, call } = reply;
    context.call = call;
    context.note_ending(ending);
    count(ending, terms.metrics);
    let mut answer = header(status, context)?;
    if let Some(id) = opened {
        answer.insert_header(era::SESSION_ID, id.as_str())?;
    }
    if let Some(after) = retry_after {
        answer.insert_header(header::RETRY_AFTER, after.as_secs().max(1).to_string())?;
    }
    match body {
        Body::Json(json) => whole(session, answer, JSON, json).await,
        Body::Empty => empty(session, answer).await,
        Body::Events(events) => whole(session, answer, EVENTS, events).await,
        // Boxed: most answers are no streams, and the future of those that are not stays small.
        Body::Stream(stream) => Box::pin(events(session, answer, context, stream, terms)).await,
    }
}

fn count(ending: Ending, metrics: &Metrics) {
    if let Some(limit) = limit_of(ending) {
        metrics.limit_reached(limit);
    }
    if ending == Ending::Panicked {
        metrics.panicked();
    }
}

fn header(status: StatusCode, context: &Context) -> Result<ResponseHeader> {
    let mut answer = ResponseHeader::build_no_case(status, Some(6))?;
    if let Some(id) = &context.id {
        answer.insert_header(request_id::HEADER, id.as_value())?;
    }
    Ok(answer)
}

async fn whole(
    session: &mut ServerSession,
    mut answer: ResponseHeader,
    content_type: HeaderValue,
    body: Bytes,
) -> Result<()> {
    answer.insert_header(header::CONTENT_TYPE, content_type)?;
    answer.insert_header(header::CONTENT_LENGTH, body.len())?;
    session.write_response_header(Box::new(answer)).await?;
    session.write_response_body(body, true).await
}

async fn empty(session: &mut ServerSession, mut answer: ResponseHeader) -> Result<()> {
    if answer.status != StatusCode::NO_CONTENT {
        answer.insert_header(header::CONTENT_LENGTH, 0)?;
    }
    session.write_response_header(Box::new(answer)).await?;
    session.write_response_body(Bytes::new(), true).await
}

async fn events(
    session: &mut ServerSession,
    mut answer: ResponseHeader,
    context: &mut Context,
    mut stream: EventStream,
    mut terms: StreamTerms<'_>,
) -> Result<()> {
    let _open = terms.metrics.stream_opened(match stream.kind() {
        StreamKind::Call => labels::StreamKind::Call,
        StreamKind::Session => labels::StreamKind::Session,
        StreamKind::Listen => labels::StreamKind::Listen,
    });
    answer.insert_header(header::CONTENT_TYPE, EVENTS)?;
    answer.insert_header(header::CACHE_CONTROL, NO_STORE)?;
    // Spec: MCP 2026-07-28, Streamable HTTP: keeps nginx from holding the stream back.
    answer.insert_header("x-accel-buffering", NO)?;
    if session.req_header().version == Version::HTTP_11 {
        answer.insert_header(header::TRANSFER_ENCODING, CHUNKED)?;
    }
    // Until its end is known, a stream has ended because the client left.
    context.outcome = labels::Outcome::ClientGone;
    session.write_response_header(Box::new(answer)).await?;
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            next = stream.next() => match next {
                // Written in the arm's body: a write that is dropped half way loses bytes.
                Some(bytes) => session.write_response_body(bytes, false).await?,
                None => break,
            },
            gone = session.read_body_or_idle(true) => return left(gone),
            () = drained(&mut terms.drain), if !draining => {
                draining = true;
                if let Some(last) = stream.drain() {
                    if !last.is_empty() {
                        session.write_response_body(last, false).await?;
                    }
                    break;
                }
            }
        }
    }
    session.write_response_body(Bytes::new(), true).await?;
    if let Some(ending) = stream.ending() {
        context.note_ending(ending);
        count(ending, terms.metrics);
    }
    Ok(())
}

/// What it means that reading ended while we were answering: the client is gone.
pub(super) fn left<T, A>(read: Result<T>) -> Result<A> {
    Err(read.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed)))
}

async fn drained(drain: &mut watch::Receiver<bool>) {
    // A closed channel means that the server is gone, which is as good as draining.
    drop(drain.wait_for(|draining| *draining).await);
}
