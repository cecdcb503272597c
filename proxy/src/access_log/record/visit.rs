//! The facts of a record, one after the other.

use super::{Call, Event, Record, Run, Said, See, Tls};
use crate::{
    access_log::{Field, RuledHeaders, Value, identity::Identity},
    metrics::labels::Label as _,
};

/// What stands for a target that is no path.
pub(super) const NOT_A_PATH: &str = "(not a path)";

/// What stands for the address of a resource that may hold a user and a password.
pub(super) const NOT_SHOWN: &str = "(not shown)";

impl<'a> Record<'a> {
    /// Shows every fact that is known, in the order of [`Field::ALL`], as it is known: rules are not applied but for
    /// identity, arguments and headers, which are never known in another form.
    ///
    /// No loops over lists of fields: to make a list of what is mostly not known costs more than to ask for each.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a record that is made where it is seen need not come into being"
    )]
    pub(in crate::access_log) fn visit(&self, seer: &mut impl See<'a>) {
        seer.begin(self.event, self.time);
        if self.made_id {
            seer.made(Field::RequestId, self.request_id);
        } else {
            seer.client(Field::RequestId, self.request_id);
        }
        if let Some(trace) = self.trace_id {
            seer.text(Field::TraceId, trace);
        }
        self.visit_http(seer);
        self.visit_mcp(seer);
        self.visit_caller(seer);
        if let Some(call) = self.call {
            call.visit(seer);
        }
        if let Some(arguments) = self.arguments {
            seer.value(Field::Arguments, Value::Arguments(arguments));
        }
        self.visit_end(seer);
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `visit`")]
    fn visit_http(&self, seer: &mut impl See<'a>) {
        let target = [
            self.replica.map_or(Said::Nothing, Said::Text),
            self.listener.map_or(Said::Nothing, Said::Word),
            Said::Client(self.method.as_bytes()),
            Said::Client(plain_path(self.path)),
            Said::Word(version(self.http_version)),
        ];
        debug_assert_eq!(target.len(), Run::Target.fields().len());
        seer.run(Run::Target, &target);
        if let Some(status) = self.status {
            seer.number(Field::Status, status.into());
        }
        seer.span(Field::DurationMs, self.duration);
        seer.number(Field::BytesIn, self.bytes_in);
        seer.number(Field::BytesOut, self.bytes_out);
        seer.addresses(self.peer, self.client);
        if let Some(tls) = self.tls {
            tls.visit(seer);
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `visit`")]
    fn visit_mcp(&self, seer: &mut impl See<'a>) {
        let client = [
            self.user_agent.map_or(Said::Nothing, Said::Client),
            self.era.map_or(Said::Nothing, Said::Word),
            Said::by_client(self.protocol_version),
            Said::by_client(self.client_name),
            Said::by_client(self.client_version),
        ];
        debug_assert_eq!(client.len(), Run::Client.fields().len());
        seer.run(Run::Client, &client);
        if let Some(method) = self.rpc_method {
            seer.run(Run::Method, &[Said::Client(method.as_bytes())]);
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

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `visit`")]
    fn visit_caller(&self, seer: &mut impl See<'a>) {
        if let Some(auth) = self.auth {
            seer.word(Field::Auth, auth);
        }
        if let Some(identity) = self.identity {
            identity.visit(seer);
        }
        if let Some(rule) = self.rule {
            seer.text(Field::Rule, rule);
        }
        if let Some(limit) = self.limit {
            seer.word(Field::Limit, limit.label());
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `visit`")]
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

impl<'a> Tls<'a> {
    #[inline(never)]
    fn visit(&self, seer: &mut impl See<'a>) {
        seer.text(Field::TlsVersion, self.version);
        seer.text(Field::TlsCipher, self.cipher);
        if !self.client.is_empty() {
            seer.text(Field::TlsClient, self.client);
        }
    }
}

impl Identity {
    #[inline(never)]
    fn visit<'a>(&'a self, seer: &mut impl See<'a>) {
        if let Some(issuer) = &self.issuer {
            seer.text(Field::Issuer, issuer);
        }
        if let Some(subject) = &self.subject {
            seer.text(Field::Subject, subject);
        }
        if let Some(client) = &self.client_id {
            seer.text(Field::ClientId, client);
        }
        if !self.groups.is_empty() {
            seer.value(Field::Groups, Value::List(&self.groups));
        }
    }
}

impl<'a> Call<'a> {
    /// Not inlined, as other facts that come by themselves: a request that has none pays for each line of code in its way.
    #[inline(never)]
    fn visit(&self, seer: &mut impl See<'a>) {
        self.visit_upstream(seer);
        self.visit_query(seer);
        self.visit_answer(seer);
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
            seer.span(Field::UpstreamMs, time);
        }
        if let Some(retries) = self.retries {
            seer.number(Field::Retries, retries.into());
        }
    }

    fn visit_query(&self, seer: &mut impl See<'a>) {
        if let Some(fingerprint) = self.fingerprint {
            seer.text(Field::QueryFingerprint, fingerprint);
        }
        if let Some(form) = self.form {
            seer.word(Field::QueryForm, form);
        }
        if !self.metrics.is_empty() {
            seer.value(Field::QueryMetrics, Value::ClientList(self.metrics));
        }
        if !self.functions.is_empty() {
            seer.value(Field::QueryFunctions, Value::ClientList(self.functions));
        }
        if !self.labels.is_empty() {
            seer.value(Field::QueryLabels, Value::ClientList(self.labels));
        }
        if let Some(query) = self.query {
            seer.client(Field::Query, query.as_bytes());
        }
        if let Some(range) = self.range {
            seer.span(Field::RangeMs, range);
        }
        if let Some(step) = self.step {
            seer.span(Field::StepMs, step);
        }
    }

    fn visit_answer(&self, seer: &mut impl See<'a>) {
        if let Some(rows) = self.rows {
            seer.number(Field::Rows, rows);
        }
        if let Some(rows) = self.rows_total {
            seer.number(Field::RowsTotal, rows);
        }
        if let Some(bytes) = self.bytes {
            seer.number(Field::AnswerBytes, bytes);
        }
        if let Some(truncated) = self.truncated {
            seer.word(Field::Truncated, truncated);
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
