//! The facts of a record, one after the other.

use super::{Event, Record};
use crate::{
    access_log::{Field, RuledHeaders, Value},
    field::SCHEMA_VERSION,
    metrics::labels::Label as _,
};

impl<'a> Record<'a> {
    /// Shows every fact that is known, in the order of [`Field::ALL`], as it is known: rules are not applied but for
    /// identity, arguments and headers, which are never known in another form.
    pub fn visit(&self, see: &mut impl FnMut(Field, Value<'a>)) {
        see(Field::Version, Value::Number(SCHEMA_VERSION));
        if let Some(event) = self.event.word() {
            see(Field::Event, Value::Word(event));
        }
        see(Field::Time, Value::Time(self.time));
        see(Field::RequestId, Value::Client(self.request_id.as_bytes()));
        let mut text = |field, text: Option<&'a str>| {
            if let Some(text) = text {
                see(field, Value::Text(text));
            }
        };
        text(Field::TraceId, self.trace_id);
        text(Field::Replica, self.replica);
        self.visit_http(see);
        self.visit_mcp(see);
        self.visit_caller(see);
        self.visit_upstream(see);
        self.visit_query(see);
        self.visit_answer(see);
        self.visit_end(see);
    }

    fn visit_http(&self, see: &mut impl FnMut(Field, Value<'a>)) {
        if let Some(listener) = self.listener {
            see(Field::Listener, Value::Word(listener));
        }
        see(Field::Method, Value::Client(self.method.as_bytes()));
        see(Field::Path, Value::Client(plain_path(self.path)));
        see(Field::HttpVersion, Value::Word(version(self.http_version)));
        if let Some(status) = self.status {
            see(Field::Status, Value::Number(status.into()));
        }
        see(Field::DurationMs, Value::Span(self.duration));
        see(Field::BytesIn, Value::Number(self.bytes_in));
        see(Field::BytesOut, Value::Number(self.bytes_out));
        if let Some(peer) = self.peer {
            see(Field::Peer, Value::Socket(peer));
        }
        if let Some(client) = self.client {
            see(Field::Client, Value::Address(client));
        }
        if let Some(tls) = self.tls {
            see(Field::TlsVersion, Value::Text(tls.version));
            see(Field::TlsCipher, Value::Text(tls.cipher));
            if !tls.client.is_empty() {
                see(Field::TlsClient, Value::Text(tls.client));
            }
        }
        if let Some(agent) = self.user_agent {
            see(Field::UserAgent, Value::Client(agent));
        }
    }

    fn visit_mcp(&self, see: &mut impl FnMut(Field, Value<'a>)) {
        if let Some(era) = self.era {
            see(Field::Era, Value::Word(era));
        }
        let bytes = |text: Option<&'a str>| text.map(str::as_bytes);
        let facts = [
            (Field::ProtocolVersion, bytes(self.protocol_version)),
            (Field::ClientName, bytes(self.client_name)),
            (Field::ClientVersion, bytes(self.client_version)),
            (Field::RpcMethod, bytes(self.rpc_method)),
            (Field::RpcId, self.rpc_id),
            (Field::Tool, bytes(self.tool)),
            (Field::Prompt, bytes(self.prompt)),
            (Field::Resource, self.resource.map(plain_uri)),
        ];
        for (field, text) in facts {
            if let Some(text) = text {
                see(field, Value::Client(text));
            }
        }
        if let Some(session) = self.session {
            see(Field::Session, Value::Text(session.as_str()));
        }
    }

    fn visit_caller(&self, see: &mut impl FnMut(Field, Value<'a>)) {
        if let Some(auth) = self.auth {
            see(Field::Auth, Value::Word(auth));
        }
        if let Some(identity) = self.identity {
            for (field, text) in [
                (Field::Issuer, &identity.issuer),
                (Field::Subject, &identity.subject),
                (Field::ClientId, &identity.client_id),
            ] {
                if let Some(text) = text {
                    see(field, Value::Text(text));
                }
            }
            if !identity.groups.is_empty() {
                see(Field::Groups, Value::List(&identity.groups));
            }
        }
        if let Some(rule) = self.rule {
            see(Field::Rule, Value::Text(rule));
        }
        if let Some(limit) = self.limit {
            see(Field::Limit, Value::Word(limit.label()));
        }
    }

    fn visit_upstream(&self, see: &mut impl FnMut(Field, Value<'a>)) {
        let number = |number: Option<u64>| number.map(Value::Number);
        let facts = [
            (Field::Backend, self.backend.map(Value::Text)),
            (Field::Tenant, self.tenant.map(Value::Text)),
            (Field::UpstreamStatus, number(self.upstream_status.map(u64::from))),
            (Field::UpstreamMs, self.upstream_time.map(Value::Span)),
            (Field::Retries, number(self.retries.map(u64::from))),
        ];
        for (field, value) in facts {
            if let Some(value) = value {
                see(field, value);
            }
        }
    }

    fn visit_query(&self, see: &mut impl FnMut(Field, Value<'a>)) {
        if let Some(fingerprint) = self.query_fingerprint {
            see(Field::QueryFingerprint, Value::Text(fingerprint));
        }
        if let Some(form) = self.query_form {
            see(Field::QueryForm, Value::Word(form));
        }
        for (field, names) in [
            (Field::QueryMetrics, self.query_metrics),
            (Field::QueryFunctions, self.query_functions),
            (Field::QueryLabels, self.query_labels),
        ] {
            if !names.is_empty() {
                see(field, Value::ClientList(names));
            }
        }
        if let Some(query) = self.query {
            see(Field::Query, Value::Client(query.as_bytes()));
        }
        for (field, span) in [(Field::RangeMs, self.range), (Field::StepMs, self.step)] {
            if let Some(span) = span {
                see(field, Value::Span(span));
            }
        }
    }

    fn visit_answer(&self, see: &mut impl FnMut(Field, Value<'a>)) {
        for (field, number) in [
            (Field::Rows, self.rows),
            (Field::RowsTotal, self.rows_total),
            (Field::AnswerBytes, self.answer_bytes),
        ] {
            if let Some(number) = number {
                see(field, Value::Number(number));
            }
        }
        if let Some(truncated) = self.truncated {
            see(Field::Truncated, Value::Word(truncated));
        }
        if let Some(arguments) = self.arguments {
            see(Field::Arguments, Value::Arguments(arguments));
        }
    }

    fn visit_end(&self, see: &mut impl FnMut(Field, Value<'a>)) {
        if let Some(via) = self.via {
            see(Field::Via, Value::Text(via));
        }
        if let Some(worker) = self.worker {
            see(Field::Worker, Value::Number(worker.into()));
        }
        if let Some((node, worker)) = self.owner {
            see(Field::Owner, Value::Seat(node, worker));
            see(Field::Hop, Value::Number(self.hop.into()));
        }
        if let Some(stream) = self.stream {
            see(Field::Stream, Value::Word(stream));
        }
        if self.event != Event::StreamOpen {
            see(Field::Outcome, Value::Word(self.outcome.label()));
        }
        if let Some(reason) = self.reason {
            see(Field::Reason, Value::Word(reason));
        }
        if let Some(headers) = self.headers.filter(RuledHeaders::is_any) {
            see(Field::Headers, Value::Headers(headers));
        }
    }
}

/// `path` without query and fragment.
///
/// A target that is not a path (absolute form, authority form) may hold a user and a password, so
/// nothing of it is written.
fn plain_path(path: &[u8]) -> &[u8] {
    if path.first() != Some(&b'/') {
        return if path == b"*" { path } else { b"(not a path)" };
    }
    path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

/// The address of a resource without query and fragment; nothing of one that holds a user or a password.
fn plain_uri(uri: &str) -> &[u8] {
    let plain = uri.as_bytes().split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    if plain.contains(&b'@') { b"(not shown)" } else { plain }
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_11 => "1.1",
        http::Version::HTTP_2 => "2",
        _ => "other",
    }
}
