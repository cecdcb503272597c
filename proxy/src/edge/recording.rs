//! What is told of a request when it is over, and of a long stream when it opens.

use std::{
    mem,
    time::{Duration, SystemTime},
};

use http::header;
use mcp_core::{
    call::{Noted, Truncation},
    promql::Form,
};
use pingora::protocols::http::ServerSession;

use super::{
    Edge, Side,
    context::{Context, Rpc},
    there::There,
};
use crate::{
    access_log::{Admission, Event, Record, Tls},
    metrics::{Finished, labels::HttpMethod},
};

impl Edge {
    /// Writes the record of a request that is over, and counts it.
    pub(super) fn record(&self, session: &ServerSession, context: &mut Context) {
        if context.unremarkable {
            return;
        }
        let (status, took) = (status(session), context.started.elapsed());
        // What another replica passed on is counted there.
        if context.hop.is_none() {
            self.metrics.request_finished(&Finished {
                method: HttpMethod::from(&session.req_header().method),
                status,
                outcome: context.outcome,
                rpc: context.rpc.as_ref().map(|rpc| rpc.method),
                took,
                bytes_in: wide(session.body_bytes_read()),
                bytes_out: wide(session.body_bytes_sent()),
            });
        }
        self.send_spans(session, context);
        let event = if context.stream.is_some() { Event::StreamEnd } else { Event::Request };
        let mut admission = mem::take(&mut context.admission);
        self.write(session, context, &mut admission, (event, status, took));
    }

    /// Writes the record of a long stream that has opened.
    pub(super) fn record_open(&self, session: &ServerSession, context: &mut Context, status: u16) {
        let mut admission = mem::take(&mut context.admission);
        let took = context.started.elapsed();
        self.write(session, context, &mut admission, (Event::StreamOpen, Some(status), took));
        // It has given its room back; what it still writes goes over the bound.
        context.admission = admission;
    }

    fn write(
        &self,
        session: &ServerSession,
        context: &Context,
        admission: &mut Admission,
        (event, status, took): (Event, Option<u16>, Duration),
    ) {
        let Some(rules) = self.access_log.rules() else { return };
        let mut hex = [0; CERTIFICATE_CHARS];
        let tls = tls(session, &mut hex);
        let header = session.req_header();
        let (rpc, rule) = (context.rpc.as_ref(), context.rule());
        let trace_id = context.trace.as_ref().map(|traced| traced.trace().digits());
        let mut told = Record {
            event,
            time: SystemTime::now(),
            request_id: context.id.as_ref().map_or(b"".as_slice(), |id| id.as_value().as_bytes()),
            trace_id: trace_id.as_ref().and_then(|digits| std::str::from_utf8(digits).ok()),
            replica: Some(self.sessions.cluster.me().as_str()),
            listener: Some(match &self.side {
                Side::Clients => "clients",
                Side::Replicas(_) => "replicas",
            }),
            method: header.method.as_str(),
            path: header.raw_path(),
            http_version: header.version,
            status,
            duration: took,
            bytes_in: wide(session.body_bytes_read()),
            bytes_out: wide(session.body_bytes_sent()),
            peer: session.client_addr().and_then(|address| address.as_inet().copied()),
            client: context.client_address,
            tls,
            user_agent: header.headers.get(header::USER_AGENT).map(http::HeaderValue::as_bytes),
            era: context.era,
            rpc_method: rpc.and_then(Rpc::name),
            rpc_id: rpc.and_then(Rpc::id),
            tool: rpc.and_then(|rpc| rpc.tool.as_deref()),
            prompt: rpc.and_then(|rpc| rpc.prompt.as_deref()),
            resource: rpc.and_then(|rpc| rpc.resource.as_deref()),
            arguments: rpc.and_then(|rpc| rpc.arguments.as_ref()),
            session: context.session.as_ref(),
            auth: context.auth,
            identity: context.identity(),
            rule: rule.as_deref(),
            limit: context.limit,
            worker: context.worker.map(|worker| worker.0),
            owner: context.owner.as_ref().map(|(node, worker)| (node.as_str(), worker.0)),
            hop: context.hops(),
            via: context.hop.as_ref().map(|hop| hop.from.as_str()),
            stream: context.stream,
            outcome: context.outcome,
            reason: context.reason,
            headers: rules.headers(&header.headers),
            ..Record::default()
        };
        add_served(&mut told, context);
        self.access_log.write(&told, admission);
    }
}

/// TLS of the connection, where there is some.
fn tls<'s>(session: &'s ServerSession, hex: &'s mut [u8; CERTIFICATE_CHARS]) -> Option<Tls<'s>> {
    let digest = session.digest()?.ssl_digest.as_deref()?;
    Some(Tls {
        version: version_of_tls(&digest.version),
        cipher: &digest.cipher,
        client: hexadecimal(&digest.cert_digest, hex),
    })
}

/// Adds what is known of who served the request, here or at another replica. Most requests are no calls and come without TLS, so
/// that what is told of calls and certificates is kept out of the way.
fn add_served<'a>(record: &mut Record<'a>, context: &'a Context) {
    if let Some(client) = &context.client {
        record.protocol_version = Some(client.protocol_version());
        record.client_name = client.name();
        record.client_version = client.version();
    }
    match (&context.call, &context.there) {
        (Some(call), _) => add_call(record, call.notes()),
        (None, Some(there)) => add_there(record, there),
        (None, None) => {}
    }
}

#[inline(never)]
fn add_call<'a>(record: &mut Record<'a>, noted: Noted<'a>) {
    record.backend = noted.backend;
    record.tenant = noted.tenant;
    record.upstream_status = noted.upstream_status;
    record.upstream_time = noted.upstream_time;
    record.retries = noted.retries;
    record.query_fingerprint = noted.fingerprint;
    record.query_form = noted.query_form.map(Form::label);
    if let Some(shape) = noted.shape {
        record.query_metrics = &shape.metrics;
        record.query_functions = &shape.functions;
        record.query_labels = &shape.labels;
    }
    record.query = noted.query;
    record.range = noted.range;
    record.step = noted.step;
    record.rows = noted.rows;
    record.rows_total = noted.rows_total;
    record.answer_bytes = noted.bytes;
    record.truncated = noted.truncation.map(Truncation::label);
}

#[inline(never)]
fn add_there<'a>(record: &mut Record<'a>, there: &'a There) {
    record.backend = there.backend.as_deref();
    record.tenant = there.tenant.as_deref();
    record.upstream_status = there.status;
    record.upstream_time = there.time;
    record.retries = there.retries;
    record.query_fingerprint = there.fingerprint.as_deref();
    record.query_form = there.form();
    record.query_metrics = &there.metrics;
    record.query_functions = &there.functions;
    record.query_labels = &there.labels;
    record.query = there.query.as_deref();
    record.range = there.range;
    record.step = there.step;
    record.rows = there.rows;
    record.rows_total = there.rows_total;
    record.answer_bytes = there.bytes;
    record.truncated = there.truncation();
    record.protocol_version = there.protocol_version.as_deref().or(record.protocol_version);
    record.client_name = there.client_name.as_deref().or(record.client_name);
    record.client_version = there.client_version.as_deref().or(record.client_version);
}

/// The status answered; none while only a 100 was.
pub(super) fn status(session: &ServerSession) -> Option<u16> {
    let written = session.response_written().map(|answer| answer.status);
    written.filter(|status| !status.is_informational()).map(|status| status.as_u16())
}

/// Characters of a SHA-256 in hexadecimal digits.
const CERTIFICATE_CHARS: usize = 64;

/// The number of a version of TLS, of which Pingora tells how rustls calls it.
fn version_of_tls(name: &str) -> &str {
    match name {
        "TLSv1_2" => "1.2",
        "TLSv1_3" => "1.3",
        other => other,
    }
}

/// The digest of a certificate in hexadecimal digits; empty where there is none.
#[inline(never)]
fn hexadecimal<'h>(digest: &[u8], hex: &'h mut [u8; CERTIFICATE_CHARS]) -> &'h str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut length = 0;
    for (place, nibble) in hex.iter_mut().zip(nibbles) {
        *place = DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        length += 1;
    }
    hex.get(..length).and_then(|hex| std::str::from_utf8(hex).ok()).unwrap_or_default()
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
