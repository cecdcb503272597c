//! What another replica sends: its signature, and what it says of the caller.

use std::time::SystemTime;

use bytes::Bytes;
use http::Method;
use pingora::protocols::http::ServerSession;

use super::{Edge, context::Context};
use crate::{
    access_log::shown_id,
    cluster::{CONTROL_BODY_BYTES_MAX, CONTROL_PREFIX},
    gate::Pass,
    hop::{self, Hop, HopChecker},
    hygiene,
    live::Live,
    metrics::labels,
    refusal::{Denial, Refusal},
    request_id::RequestId,
    telemetry::mark_request,
};

/// What a replica asks for.
pub(super) enum Arrival {
    /// That we serve a request of a caller whom it let in.
    Request(Pass, Box<Hop>),
    /// Something between the replicas.
    Control(Box<Hop>),
}

/// Checks that a replica sent the request.
pub(super) fn admit(
    session: &ServerSession,
    live: &Live,
    checker: &HopChecker,
) -> Result<Arrival, Denial> {
    let header = session.req_header();
    // HTTP/2 alone is spoken here, which frames a body in one way only.
    hygiene::check_framing(&header.headers, Bytes::new)?;
    let mut values = header.headers.get_all(hop::HOP).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("unsigned"));
    };
    let path = header.uri.path();
    let hop = checker
        .check(value.as_bytes(), header.method.as_str(), path, SystemTime::now())
        .map_err(|why| refused(why.word()))?;
    if path.starts_with(CONTROL_PREFIX) {
        return Ok(Arrival::Control(Box::new(hop)));
    }
    let mut pass = live.gate.arrived(hop.caller.clone());
    pass.caller.edition = live.edition.clone();
    Ok(Arrival::Request(pass, Box::new(hop)))
}

/// Reads the body of a control message.
pub(super) async fn control_body(session: &mut ServerSession) -> Result<Vec<u8>, Denial> {
    let mut body = Vec::new();
    while session.req_header().method == Method::POST {
        match session.read_request_body().await {
            Ok(Some(piece)) if body.len() + piece.len() <= CONTROL_BODY_BYTES_MAX => {
                body.extend_from_slice(&piece);
            }
            Ok(Some(_)) => return Err(Refusal::BodyTooLarge.into()),
            Ok(None) => break,
            Err(_broken) => return Err(Refusal::BodyBroken.into()),
        }
    }
    Ok(body)
}

pub(super) fn refused(why: &'static str) -> Denial {
    Denial { why: Some(why), ..Refusal::HopRefused.into() }
}

impl Edge {
    /// The request came through another replica, which gave it its name.
    pub(super) fn arrived(&self, context: &mut Context, hop: Box<Hop>) {
        self.metrics.hop(labels::Hop::Received);
        context.id = RequestId::of_replica(&hop.request_id).or_else(|| context.id.take());
        if let Some(id) = &context.id {
            mark_request(&shown_id(id.as_value()));
        }
        context.client_address = hop.client;
        context.hop = Some(hop);
        self.trace_arrived(context);
    }
}
