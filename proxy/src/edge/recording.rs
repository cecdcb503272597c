//! What is told of a request when it is over, and of a long stream when it opens.

use std::{
    mem,
    time::{Duration, SystemTime},
};

use http::header;
use mcp_core::{
    call::{Noted, Truncation},
    hex,
    promql::Form,
    server::Client,
};
use pingora::protocols::http::ServerSession;

use super::{
    Edge, Side,
    context::{Context, Rpc},
    there::There,
};
use crate::{
    access_log::{Admission, Call, Event, Outline, Record, Rules, Tell, Tls},
    metrics::{Finished, labels::HttpMethod},
    request_id::RequestId,
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
        let (tls, call, rule) = (tls(session, &mut hex), call(context), context.rule());
        let trace_id = context.trace.as_ref().map(|traced| traced.trace().digits());
        let told = Told {
            edge: self,
            session,
            context,
            rules,
            event,
            status,
            took,
            time: SystemTime::now(),
            trace_id: trace_id.as_ref(),
            rule: rule.as_deref(),
            tls: tls.as_ref(),
            call: call.as_ref(),
        };
        self.access_log.write(&told, admission);
    }
}

/// A request, and what has to be worked out for its record.
struct Told<'t> {
    edge: &'t Edge,
    session: &'t ServerSession,
    context: &'t Context,
    rules: &'t Rules,
    event: Event,
    status: Option<u16>,
    took: Duration,
    time: SystemTime,
    trace_id: Option<&'t [u8; TRACE_ID_CHARS]>,
    rule: Option<&'t str>,
    tls: Option<&'t Tls<'t>>,
    call: Option<&'t Call<'t>>,
}

impl Tell for Told<'_> {
    fn request_id(&self) -> &[u8] {
        self.context.id.as_ref().map_or(b"".as_slice(), |id| id.as_value().as_bytes())
    }

    fn outline(&self) -> Outline {
        let Self { event, status, context, .. } = *self;
        Outline { event, status, outcome: context.outcome, reason: context.reason }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that only what is written of it is made")]
    fn record(&self) -> Record<'_> {
        let Self { edge, session, context, .. } = *self;
        let header = session.req_header();
        let (rpc, client) = (context.rpc.as_ref(), context.client.as_ref());
        let there = context.there.as_ref().filter(|_| context.call.is_none());
        Record {
            event: self.event,
            time: self.time,
            request_id: self.request_id(),
            made_id: context.id.as_ref().is_some_and(RequestId::is_ours),
            trace_id: self.trace_id.and_then(|digits| std::str::from_utf8(digits).ok()),
            replica: Some(edge.sessions.cluster.me().as_str()),
            listener: Some(match &edge.side {
                Side::Clients => "clients",
                Side::Replicas(_) => "replicas",
            }),
            method: header.method.as_str(),
            path: header.raw_path(),
            http_version: header.version,
            status: self.status,
            duration: self.took,
            bytes_in: wide(session.body_bytes_read()),
            bytes_out: wide(session.body_bytes_sent()),
            peer: session.client_addr().and_then(|address| address.as_inet().copied()),
            client: context.client_address,
            tls: self.tls,
            user_agent: header.headers.get(header::USER_AGENT).map(http::HeaderValue::as_bytes),
            era: context.era,
            protocol_version: there
                .and_then(|there| there.protocol_version.as_deref())
                .or_else(|| client.map(Client::protocol_version)),
            client_name: there
                .and_then(|there| there.client_name.as_deref())
                .or_else(|| client.and_then(Client::name)),
            client_version: there
                .and_then(|there| there.client_version.as_deref())
                .or_else(|| client.and_then(Client::version)),
            rpc_method: rpc.and_then(Rpc::name),
            rpc_id: rpc.and_then(Rpc::id),
            tool: rpc.and_then(|rpc| rpc.tool.as_deref()),
            prompt: rpc.and_then(|rpc| rpc.prompt.as_deref()),
            resource: rpc.and_then(|rpc| rpc.resource.as_deref()),
            session: context.session.as_ref(),
            auth: context.auth,
            identity: context.identity(),
            rule: self.rule,
            limit: context.limit,
            call: self.call,
            arguments: rpc.and_then(|rpc| rpc.arguments.as_ref()),
            via: context.hop.as_ref().map(|hop| hop.from.as_str()),
            worker: context.worker.map(|worker| worker.0),
            owner: context.owner.as_ref().map(|(node, worker)| (node.as_str(), worker.0)),
            hop: context.hops(),
            stream: context.stream,
            outcome: context.outcome,
            reason: context.reason,
            headers: self.rules.headers(&header.headers),
        }
    }
}

/// TLS of the connection, where there is some.
fn tls<'s>(session: &'s ServerSession, hex: &'s mut [u8; CERTIFICATE_CHARS]) -> Option<Tls<'s>> {
    let digest = session.digest()?.ssl_digest.as_deref()?;
    Some(Tls {
        version: version_of_tls(&digest.version),
        cipher: &digest.cipher,
        client: digits(&digest.cert_digest, hex),
    })
}

/// What is known of a tool's call, from here or from the replica that served it.
fn call(context: &Context) -> Option<Call<'_>> {
    match (&context.call, &context.there) {
        (Some(call), _) => Some(here(call.notes())),
        (None, Some(there)) => Some(elsewhere(there)),
        (None, None) => None,
    }
}

/// Kept out of the way of requests that are no calls, as the next one.
#[inline(never)]
fn here(noted: Noted<'_>) -> Call<'_> {
    let (metrics, functions, labels): (&[_], &[_], &[_]) = match noted.shape {
        Some(shape) => (&shape.metrics, &shape.functions, &shape.labels),
        None => (&[], &[], &[]),
    };
    Call {
        backend: noted.backend,
        tenant: noted.tenant,
        upstream_status: noted.upstream_status,
        upstream_time: noted.upstream_time,
        retries: noted.retries,
        fingerprint: noted.fingerprint,
        form: noted.query_form.map(Form::label),
        metrics,
        functions,
        labels,
        query: noted.query,
        range: noted.range,
        step: noted.step,
        rows: noted.rows,
        rows_total: noted.rows_total,
        bytes: noted.bytes,
        truncated: noted.truncation.map(Truncation::label),
    }
}

#[inline(never)]
fn elsewhere(there: &There) -> Call<'_> {
    Call {
        backend: there.backend.as_deref(),
        tenant: there.tenant.as_deref(),
        upstream_status: there.status,
        upstream_time: there.time,
        retries: there.retries,
        fingerprint: there.fingerprint.as_deref(),
        form: there.form(),
        metrics: &there.metrics,
        functions: &there.functions,
        labels: &there.labels,
        query: there.query.as_deref(),
        range: there.range,
        step: there.step,
        rows: there.rows,
        rows_total: there.rows_total,
        bytes: there.bytes,
        truncated: there.truncation(),
    }
}

/// The status answered; none while only a 100 was.
pub(super) fn status(session: &ServerSession) -> Option<u16> {
    let written = session.response_written().map(|answer| answer.status);
    written.filter(|status| !status.is_informational()).map(|status| status.as_u16())
}

/// Characters of a W3C trace id.
const TRACE_ID_CHARS: usize = 32;

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

/// A digest in hexadecimal digits; empty where there is none.
fn digits<'h>(digest: &[u8], hex: &'h mut [u8; CERTIFICATE_CHARS]) -> &'h str {
    hex::write(digest, hex);
    let length = CERTIFICATE_CHARS.min(digest.len() * 2);
    hex.get(..length).and_then(|hex| std::str::from_utf8(hex).ok()).unwrap_or_default()
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
