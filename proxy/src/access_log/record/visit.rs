//! The facts of a record, one after the other.

use super::{Event, Record};
use crate::{
    access_log::{Field, RuledHeaders, Value},
    field::SCHEMA_VERSION,
    metrics::labels::Label as _,
};

/// What stands for a target that is no path.
pub(super) const NOT_A_PATH: &str = "(not a path)";

/// What stands for the address of a resource that may hold a user and a password.
pub(super) const NOT_SHOWN: &str = "(not shown)";

/// Whoever looks at the facts of a record. The kinds of which a record has most have a way of their own, for whoever has
/// one for them.
pub(in crate::access_log) trait See<'a> {
    /// Sees a fact.
    fn value(&mut self, field: Field, value: Value<'a>);

    /// Sees one of our own words.
    fn word(&mut self, field: Field, word: &'static str) {
        self.value(field, Value::Word(word));
    }

    /// Sees a text of ours or of the operator.
    fn text(&mut self, field: Field, text: &'a str) {
        self.value(field, Value::Text(text));
    }

    /// Sees a client's text.
    fn client(&mut self, field: Field, text: &'a [u8]) {
        self.value(field, Value::Client(text));
    }

    /// Sees a number.
    fn number(&mut self, field: Field, number: u64) {
        self.value(field, Value::Number(number));
    }
}

impl<'a, F: FnMut(Field, Value<'a>)> See<'a> for F {
    fn value(&mut self, field: Field, value: Value<'a>) {
        self(field, value);
    }
}

impl<'a> Record<'a> {
    /// Shows every fact that is known, in the order of [`Field::ALL`], as it is known: rules are not applied but for
    /// identity, arguments and headers, which are never known in another form.
    pub(in crate::access_log) fn visit(&self, seer: &mut impl See<'a>) {
        seer.number(Field::Version, SCHEMA_VERSION);
        if let Some(event) = self.event.word() {
            seer.word(Field::Event, event);
        }
        seer.value(Field::Time, Value::Time(self.time));
        seer.client(Field::RequestId, self.request_id.as_bytes());
        let mut text = |field, text: Option<&'a str>| {
            if let Some(text) = text {
                seer.text(field, text);
            }
        };
        text(Field::TraceId, self.trace_id);
        text(Field::Replica, self.replica);
        self.visit_http(seer);
        self.visit_mcp(seer);
        self.visit_caller(seer);
        self.visit_upstream(seer);
        self.visit_query(seer);
        self.visit_answer(seer);
        self.visit_end(seer);
    }

    fn visit_http(&self, seer: &mut impl See<'a>) {
        if let Some(listener) = self.listener {
            seer.word(Field::Listener, listener);
        }
        seer.client(Field::Method, self.method.as_bytes());
        seer.client(Field::Path, plain_path(self.path));
        seer.word(Field::HttpVersion, version(self.http_version));
        if let Some(status) = self.status {
            seer.number(Field::Status, status.into());
        }
        seer.value(Field::DurationMs, Value::Span(self.duration));
        seer.number(Field::BytesIn, self.bytes_in);
        seer.number(Field::BytesOut, self.bytes_out);
        if let Some(peer) = self.peer {
            seer.value(Field::Peer, Value::Socket(peer));
        }
        if let Some(client) = self.client {
            seer.value(Field::Client, Value::Address(client));
        }
        if let Some(tls) = self.tls {
            seer.text(Field::TlsVersion, tls.version);
            seer.text(Field::TlsCipher, tls.cipher);
            if !tls.client.is_empty() {
                seer.text(Field::TlsClient, tls.client);
            }
        }
        if let Some(agent) = self.user_agent {
            seer.client(Field::UserAgent, agent);
        }
    }

    fn visit_mcp(&self, seer: &mut impl See<'a>) {
        if let Some(era) = self.era {
            seer.word(Field::Era, era);
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
                seer.client(field, text);
            }
        }
        if let Some(session) = self.session {
            seer.text(Field::Session, session.as_str());
        }
    }

    fn visit_caller(&self, seer: &mut impl See<'a>) {
        if let Some(auth) = self.auth {
            seer.word(Field::Auth, auth);
        }
        if let Some(identity) = self.identity {
            for (field, text) in [
                (Field::Issuer, &identity.issuer),
                (Field::Subject, &identity.subject),
                (Field::ClientId, &identity.client_id),
            ] {
                if let Some(text) = text {
                    seer.text(field, text);
                }
            }
            if !identity.groups.is_empty() {
                seer.value(Field::Groups, Value::List(&identity.groups));
            }
        }
        if let Some(rule) = self.rule {
            seer.text(Field::Rule, rule);
        }
        if let Some(limit) = self.limit {
            seer.word(Field::Limit, limit.label());
        }
    }

    fn visit_upstream(&self, seer: &mut impl See<'a>) {
        if let Some(backend) = self.backend {
            seer.text(Field::Backend, backend);
        }
        if let Some(tenant) = self.tenant {
            seer.text(Field::Tenant, tenant);
        }
        if let Some(status) = self.upstream_status {
            seer.number(Field::UpstreamStatus, status.into());
        }
        if let Some(time) = self.upstream_time {
            seer.value(Field::UpstreamMs, Value::Span(time));
        }
        if let Some(retries) = self.retries {
            seer.number(Field::Retries, retries.into());
        }
    }

    fn visit_query(&self, seer: &mut impl See<'a>) {
        if let Some(fingerprint) = self.query_fingerprint {
            seer.text(Field::QueryFingerprint, fingerprint);
        }
        if let Some(form) = self.query_form {
            seer.word(Field::QueryForm, form);
        }
        for (field, names) in [
            (Field::QueryMetrics, self.query_metrics),
            (Field::QueryFunctions, self.query_functions),
            (Field::QueryLabels, self.query_labels),
        ] {
            if !names.is_empty() {
                seer.value(field, Value::ClientList(names));
            }
        }
        if let Some(query) = self.query {
            seer.client(Field::Query, query.as_bytes());
        }
        for (field, span) in [(Field::RangeMs, self.range), (Field::StepMs, self.step)] {
            if let Some(span) = span {
                seer.value(field, Value::Span(span));
            }
        }
    }

    fn visit_answer(&self, seer: &mut impl See<'a>) {
        for (field, number) in [
            (Field::Rows, self.rows),
            (Field::RowsTotal, self.rows_total),
            (Field::AnswerBytes, self.answer_bytes),
        ] {
            if let Some(number) = number {
                seer.number(field, number);
            }
        }
        if let Some(truncated) = self.truncated {
            seer.word(Field::Truncated, truncated);
        }
        if let Some(arguments) = self.arguments {
            seer.value(Field::Arguments, Value::Arguments(arguments));
        }
    }

    fn visit_end(&self, seer: &mut impl See<'a>) {
        if let Some(via) = self.via {
            seer.text(Field::Via, via);
        }
        if let Some(worker) = self.worker {
            seer.number(Field::Worker, worker.into());
        }
        if let Some((node, worker)) = self.owner {
            seer.value(Field::Owner, Value::Seat(node, worker));
            seer.number(Field::Hop, self.hop.into());
        }
        if let Some(stream) = self.stream {
            seer.word(Field::Stream, stream);
        }
        if self.event != Event::StreamOpen {
            seer.word(Field::Outcome, self.outcome.label());
        }
        if let Some(reason) = self.reason {
            seer.word(Field::Reason, reason);
        }
        if let Some(headers) = self.headers.filter(RuledHeaders::is_any) {
            seer.value(Field::Headers, Value::Headers(headers));
        }
    }
}

/// `path` without query and fragment.
///
/// A target that is not a path (absolute form, authority form) may hold a user and a password, so
/// nothing of it is written.
fn plain_path(path: &[u8]) -> &[u8] {
    if path.first() != Some(&b'/') {
        return if path == b"*" { path } else { NOT_A_PATH.as_bytes() };
    }
    path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}

/// The address of a resource without query and fragment; nothing of one in which a user or a password may stand.
fn plain_uri(uri: &str) -> &[u8] {
    let plain = uri.as_bytes().split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    if plain.contains(&b'@') { NOT_SHOWN.as_bytes() } else { plain }
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_11 => "1.1",
        http::Version::HTTP_2 => "2",
        _ => "other",
    }
}
