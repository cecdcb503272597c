//! Writing answers.
//!
//! A whole answer leaves in one write: the header stays in the connection's buffer until the body
//! follows. A stream's header leaves with its first bytes.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version, header};
use mcp_core::server::{Body, Ending, EventStream, Reply, StreamKind, era};
use pingora::{Error, ErrorType, Result, http::ResponseHeader, protocols::http::ServerSession};
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{
    Edge,
    context::{Context, limit_of},
    noted,
};
use crate::{
    cluster::{Answer, Cluster, Departure},
    gate::Leave,
    hop::HOP,
    metrics::{
        Metrics,
        labels::{self, Label as _},
    },
    refusal::Denial,
    request_id,
    well_known::Served,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-cache, no-transform");
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const NO: HeaderValue = HeaderValue::from_static("no");
/// When to try again, where nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a stream needs beside its connection.
pub(super) struct StreamTerms<'a> {
    pub(super) edge: &'a Edge,
    pub(super) drain: watch::Receiver<bool>,
    /// Where the replica is seen to leave through which the request came.
    pub(super) cluster: &'a Arc<Cluster>,
}

/// Answers a request that reaches no worker; `id_raw` is the id of its message, where that was read.
pub(super) async fn refuse(
    session: &mut ServerSession,
    context: &Context,
    denial: &Denial,
    id_raw: Option<&str>,
) -> Result<()> {
    let Denial { refusal, challenge, retry_after, .. } = denial;
    if refusal.closes() {
        session.set_keepalive(None);
    }
    let mut answer = header(refusal.status(), context)?;
    let unavailable = refusal.status() == StatusCode::SERVICE_UNAVAILABLE;
    if let Some(after) = retry_after.or(unavailable.then_some(RETRY_AFTER)) {
        answer.insert_header(header::RETRY_AFTER, after.as_secs().max(1).to_string())?;
    }
    if let Some(allow) = refusal.allow() {
        answer.insert_header(header::ALLOW, allow)?;
    }
    if let Some(challenge) = challenge {
        answer.insert_header(header::WWW_AUTHENTICATE, challenge.clone())?;
    }
    // JSON-RPC even here: a client that tries the newer generation first takes another body for a
    // sign that it must fall back to the older.
    let code = refusal.rpc_code();
    let id = id_raw.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
    let body =
        format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":"{refusal}"}}}}"#);
    whole(session, answer, JSON, body.into()).await
}

/// Answers with a document of `.well-known`.
pub(super) async fn document(
    session: &mut ServerSession,
    context: &mut Context,
    served: Served,
) -> Result<()> {
    context.outcome = labels::Outcome::Ok;
    let mut answer = header(served.status, context)?;
    for (name, value) in served.headers {
        answer.insert_header(name, value)?;
    }
    if served.body.is_empty() {
        return empty(session, answer).await;
    }
    whole(session, answer, JSON, served.body).await
}

/// Answers another replica.
pub(super) async fn control(
    session: &mut ServerSession,
    context: &mut Context,
    answer: Answer,
) -> Result<()> {
    context.outcome = labels::Outcome::Ok;
    let mut header = header(StatusCode::OK, context)?;
    header.insert_header(HOP, answer.header)?;
    whole(session, header, JSON, answer.body).await
}

/// Writes a worker's reply, to the end of its stream if it is one.
pub(super) async fn reply(
    session: &mut ServerSession,
    context: &mut Context,
    reply: Reply,
    terms: StreamTerms<'_>,
) -> Result<()> {
    let Reply { status, body, session: opened, retry_after, ending, error_code, call, client } =
        reply;
    context.call = call;
    context.note_error_code(error_code);
    if client.is_some() {
        context.client = client;
    }
    context.note_ending(ending);
    count(ending, &terms.edge.metrics);
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
    if context.hop.is_some() {
        noted::note_in(&mut answer, context)?;
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
    // A HEAD gets the length alone. Spec: RFC 9110 §9.3.2.
    let body = if session.req_header().method == Method::HEAD { Bytes::new() } else { body };
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
    terms: StreamTerms<'_>,
) -> Result<()> {
    let kind = match stream.kind() {
        StreamKind::Call => labels::StreamKind::Call,
        StreamKind::Session => labels::StreamKind::Session,
        StreamKind::Listen => labels::StreamKind::Listen,
    };
    let edge = terms.edge;
    let _open = edge.metrics.stream_opened(kind);
    context.stream = Some(kind.label());
    stream_headers(session, &mut answer)?;
    // Who only waits takes nobody's share, and is let go when its token has run out.
    let waits = !matches!(stream.kind(), StreamKind::Call);
    let leave = if waits { context.released() } else { None };
    let hop = context.hop.as_ref().filter(|_| waits);
    let from = hop.map(|hop| terms.cluster.departure(hop));
    let mut end = End { from, ..End::new(terms.drain, leave) };
    // Until its end is known, a stream has ended because the client left.
    context.outcome = labels::Outcome::ClientGone;
    let status = answer.status.as_u16();
    session.write_response_header(Box::new(answer)).await?;
    edge.record_open(session, context, status);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            next = stream.next() => match next {
                // Written in the arm's body: a write that is dropped half way loses bytes.
                Some(bytes) => session.write_response_body(bytes, false).await?,
                None => break,
            },
            gone = session.read_body_or_idle(true) => return left(gone),
            () = end.come(), if !told => {
                told = true;
                if close(session, &mut stream).await? {
                    break;
                }
            }
        }
    }
    session.write_response_body(Bytes::new(), true).await?;
    note_end(&stream, context, &edge.metrics);
    Ok(())
}

fn stream_headers(session: &ServerSession, answer: &mut ResponseHeader) -> Result<()> {
    answer.insert_header(header::CONTENT_TYPE, EVENTS)?;
    answer.insert_header(header::CACHE_CONTROL, NO_STORE)?;
    // Spec: MCP 2026-07-28, Streamable HTTP: keeps nginx from holding the stream back.
    answer.insert_header("x-accel-buffering", NO)?;
    if session.req_header().version == Version::HTTP_11 {
        answer.insert_header(header::TRANSFER_ENCODING, CHUNKED)?;
    }
    Ok(())
}

/// Notes how a stream ended; one that only waits has no ending of its own.
fn note_end(stream: &EventStream, context: &mut Context, metrics: &Metrics) {
    if let Some(ending) = stream.ending() {
        context.note_ending(ending);
        context.note_error_code(stream.error_code());
        count(ending, metrics);
    }
    context.worker_ended();
}

/// Ends a stream that only waits, with its last words. `false` when it is a call that goes on.
async fn close(session: &mut ServerSession, stream: &mut EventStream) -> Result<bool> {
    let Some(last) = stream.drain() else { return Ok(false) };
    if !last.is_empty() {
        session.write_response_body(last, false).await?;
    }
    Ok(true)
}

/// What ends a stream that only waits.
struct End {
    drain: watch::Receiver<bool>,
    /// The replica leaves through which the request came: it cannot end its client's stream by itself, and that
    /// client is to come back elsewhere.
    from: Option<Departure>,
    leave: Option<Leaving>,
}

/// A [`Leave`] that can be waited for.
struct Leaving {
    timer: Option<Pin<Box<Sleep>>>,
    retired: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl End {
    /// The wall clock may be set while a stream lasts; one that ends early or late by as much is opened anew.
    fn new(drain: watch::Receiver<bool>, leave: Option<Leave>) -> Self {
        let leave = leave.map(|Leave { until, retired }| {
            let left = |until: SystemTime| until.duration_since(SystemTime::now());
            let timer = until.map(|until| Box::pin(sleep(left(until).unwrap_or_default())));
            Leaving { timer, retired: Box::pin(retired.cancelled_owned()) }
        });
        Self { drain, from: None, leave }
    }

    /// Waits until the server drains, the caller's token has run out, or another configuration has to judge it.
    async fn come(&mut self) {
        let leave = async {
            let Some(Leaving { timer, retired }) = &mut self.leave else {
                return std::future::pending().await;
            };
            let run_out = async {
                match timer {
                    Some(timer) => timer.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = run_out => {}
                () = retired => {}
            }
        };
        tokio::select! {
            () = drained(&mut self.drain) => {}
            () = departed(&mut self.from) => {}
            () = leave => {}
        }
    }
}

async fn departed(from: &mut Option<Departure>) {
    match from {
        Some(from) => from.come().await,
        None => std::future::pending().await,
    }
}

/// What it means that reading ended while we were answering: the client is gone.
pub(super) fn left<T, A>(read: Result<T>) -> Result<A> {
    Err(read.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed)))
}

async fn drained(drain: &mut watch::Receiver<bool>) {
    // A closed channel means that the server is gone, which is as good as draining.
    drop(drain.wait_for(|draining| *draining).await);
}
