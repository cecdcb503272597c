//! The facts of a record, one after the other.

use std::net::{IpAddr, SocketAddr};

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

/// Facts that stand beside each other and are the same in many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::access_log) enum Run {
    /// What was asked for, and where.
    Target,
    /// What the client says of itself.
    Client,
    /// What it calls. By itself, since each client calls several methods.
    Method,
}

impl Run {
    pub(in crate::access_log) const COUNT: usize = 3;

    /// Its place among all.
    pub(in crate::access_log) const fn index(self) -> usize {
        match self {
            Self::Target => 0,
            Self::Client => 1,
            Self::Method => 2,
        }
    }
}

/// A text of a run.
#[derive(Debug, Clone, Copy)]
pub(in crate::access_log) enum Said<'a> {
    /// It is not known.
    Nothing,
    /// One of our own words.
    Word(&'static str),
    /// A text of ours or of the operator.
    Text(&'a str),
    /// A client's text.
    Client(&'a [u8]),
}

impl<'a> Said<'a> {
    /// Its bytes, where there are some.
    pub(in crate::access_log) const fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Nothing => None,
            Self::Word(word) => Some(word.as_bytes()),
            Self::Text(text) => Some(text.as_bytes()),
            Self::Client(text) => Some(text),
        }
    }

    /// Shows it to somebody.
    pub(in crate::access_log) fn show(self, field: Field, seer: &mut (impl See<'a> + ?Sized)) {
        match self {
            Self::Nothing => {}
            Self::Word(word) => seer.word(field, word),
            Self::Text(text) => seer.text(field, text),
            Self::Client(text) => seer.client(field, text),
        }
    }

    fn by_client(text: Option<&'a str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Client(text.as_bytes()))
    }
}

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

    /// Sees the other end of the connection, and the client.
    fn addresses(&mut self, peer: Option<SocketAddr>, client: Option<IpAddr>) {
        self.each_address(peer, client);
    }

    /// Sees each of both for itself.
    fn each_address(&mut self, peer: Option<SocketAddr>, client: Option<IpAddr>) {
        if let Some(peer) = peer {
            self.value(Field::Peer, Value::Socket(peer));
        }
        if let Some(client) = client {
            self.value(Field::Client, Value::Address(client));
        }
    }

    /// Sees facts that are the same in many records.
    fn run(&mut self, _run: Run, facts: &[(Field, Said<'a>)]) {
        for (field, said) in facts {
            said.show(*field, self);
        }
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
    ///
    /// No loops over lists of fields: to make a list of what is mostly not known costs more than to ask for each.
    pub(in crate::access_log) fn visit(&self, seer: &mut impl See<'a>) {
        seer.number(Field::Version, SCHEMA_VERSION);
        if let Some(event) = self.event.word() {
            seer.word(Field::Event, event);
        }
        seer.value(Field::Time, Value::Time(self.time));
        seer.client(Field::RequestId, self.request_id);
        if let Some(trace) = self.trace_id {
            seer.text(Field::TraceId, trace);
        }
        self.visit_http(seer);
        self.visit_mcp(seer);
        self.visit_caller(seer);
        self.visit_upstream(seer);
        self.visit_query(seer);
        self.visit_answer(seer);
        self.visit_end(seer);
    }

    fn visit_http(&self, seer: &mut impl See<'a>) {
        let target = [
            (Field::Replica, self.replica.map_or(Said::Nothing, Said::Text)),
            (Field::Listener, self.listener.map_or(Said::Nothing, Said::Word)),
            (Field::Method, Said::Client(self.method.as_bytes())),
            (Field::Path, Said::Client(plain_path(self.path))),
            (Field::HttpVersion, Said::Word(version(self.http_version))),
        ];
        seer.run(Run::Target, &target);
        if let Some(status) = self.status {
            seer.number(Field::Status, status.into());
        }
        seer.value(Field::DurationMs, Value::Span(self.duration));
        seer.number(Field::BytesIn, self.bytes_in);
        seer.number(Field::BytesOut, self.bytes_out);
        seer.addresses(self.peer, self.client);
        if let Some(tls) = self.tls {
            seer.text(Field::TlsVersion, tls.version);
            seer.text(Field::TlsCipher, tls.cipher);
            if !tls.client.is_empty() {
                seer.text(Field::TlsClient, tls.client);
            }
        }
    }

    fn visit_mcp(&self, seer: &mut impl See<'a>) {
        let client = [
            (Field::UserAgent, self.user_agent.map_or(Said::Nothing, Said::Client)),
            (Field::Era, self.era.map_or(Said::Nothing, Said::Word)),
            (Field::ProtocolVersion, Said::by_client(self.protocol_version)),
            (Field::ClientName, Said::by_client(self.client_name)),
            (Field::ClientVersion, Said::by_client(self.client_version)),
        ];
        seer.run(Run::Client, &client);
        if let Some(method) = self.rpc_method {
            seer.run(Run::Method, &[(Field::RpcMethod, Said::Client(method.as_bytes()))]);
        }
        if let Some(id) = self.rpc_id {
            seer.client(Field::RpcId, id);
        }
        if let Some(tool) = self.tool {
            seer.client(Field::Tool, tool.as_bytes());
        }
        if let Some(prompt) = self.prompt {
            seer.client(Field::Prompt, prompt.as_bytes());
        }
        if let Some(resource) = self.resource {
            seer.client(Field::Resource, plain_uri(resource));
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
            if let Some(issuer) = &identity.issuer {
                seer.text(Field::Issuer, issuer);
            }
            if let Some(subject) = &identity.subject {
                seer.text(Field::Subject, subject);
            }
            if let Some(client) = &identity.client_id {
                seer.text(Field::ClientId, client);
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
        if !self.query_metrics.is_empty() {
            seer.value(Field::QueryMetrics, Value::ClientList(self.query_metrics));
        }
        if !self.query_functions.is_empty() {
            seer.value(Field::QueryFunctions, Value::ClientList(self.query_functions));
        }
        if !self.query_labels.is_empty() {
            seer.value(Field::QueryLabels, Value::ClientList(self.query_labels));
        }
        if let Some(query) = self.query {
            seer.client(Field::Query, query.as_bytes());
        }
        if let Some(range) = self.range {
            seer.value(Field::RangeMs, Value::Span(range));
        }
        if let Some(step) = self.step {
            seer.value(Field::StepMs, Value::Span(step));
        }
    }

    fn visit_answer(&self, seer: &mut impl See<'a>) {
        if let Some(rows) = self.rows {
            seer.number(Field::Rows, rows);
        }
        if let Some(rows) = self.rows_total {
            seer.number(Field::RowsTotal, rows);
        }
        if let Some(bytes) = self.answer_bytes {
            seer.number(Field::AnswerBytes, bytes);
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
