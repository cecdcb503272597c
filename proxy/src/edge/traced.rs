//! The spans of a request: what is kept on its way for them, and how they are written when it is over.

use std::{sync::Arc, time::Instant};

use http::{HeaderMap, Version};
use mcp_core::{
    server::{Client, wire::Message},
    tools::TOOL_NAMES,
    trace::{Parent, Trace},
};
use pingora::{http::RequestHeader, protocols::http::ServerSession};

use super::{
    Edge,
    context::{Context, Rpc},
    recording::status,
};
use crate::{
    metrics::labels::{Label as _, Outcome, RpcMethod},
    telemetry::mark_trace,
    trace::{
        Place, Traced, Tracer, attribute,
        span::{Attributes, Head, Kind, Spans},
    },
};

/// What is kept of a request for its spans. Where it is not sampled, nothing.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// Where its call leaves spans.
    call: Option<Arc<Trace>>,
    /// When its worker began, and ended.
    worker: Option<(Instant, Instant)>,
    /// When it was passed on to another replica.
    passed_on: Option<Instant>,
    /// Code of the JSON-RPC error that it was answered with.
    error_code: Option<i32>,
}

impl Context {
    /// Lines that are logged from now on say which trace they belong to.
    fn mark_trace(&self) {
        if let Some(traced) = &self.trace {
            mark_trace(traced.trace());
        }
    }

    fn is_sampled(&self) -> bool {
        self.trace.as_ref().is_some_and(Traced::is_sampled)
    }

    /// Notes the trace that a message names, and what its call is told of it.
    pub(super) fn note_trace(&mut self, message: &Message<'_>, tracer: &Tracer) {
        let Message::Request(request) = message else { return };
        if let Some(parent) = request.meta.traceparent() {
            let state = request.meta.tracestate();
            tracer.named(&mut self.trace, &parent, state.as_deref());
            self.mark_trace();
        }
    }

    /// The trace for the call that is about to begin, if it asks backends.
    pub(super) fn begin_call(&mut self, tracer: &Tracer) -> Option<Arc<Trace>> {
        let calls = self.rpc.as_ref().is_some_and(|rpc| rpc.method == RpcMethod::ToolsCall);
        let of = self.trace.as_ref().filter(|_| calls)?;
        self.spent.call = tracer.call(of);
        self.spent.call.clone()
    }

    /// A worker begins.
    pub(super) fn worker_begins(&mut self) {
        if self.is_sampled() {
            let now = Instant::now();
            self.spent.worker = Some((now, now));
        }
    }

    /// The worker has ended, as far as is known now.
    pub(super) fn worker_ended(&mut self) {
        if let Some((_, ended)) = &mut self.spent.worker {
            *ended = Instant::now();
        }
    }

    /// The answer's code, where it is a JSON-RPC error.
    pub(super) const fn note_error_code(&mut self, code: Option<i32>) {
        self.spent.error_code = code;
    }

    /// The request is passed on.
    pub(super) fn passed_on(&mut self) {
        if self.is_sampled() {
            self.spent.passed_on = Some(Instant::now());
        }
    }
}

impl Edge {
    /// Finds the trace of a client's request.
    pub(super) fn begin_trace(&self, headers: &HeaderMap, context: &mut Context) {
        context.trace = self.tracer.begin(headers);
        context.mark_trace();
    }

    /// Finds the trace of a request that another replica passed on; one that does not trace leaves it to us.
    pub(super) fn trace_arrived(&self, context: &mut Context) {
        let hop = context.hop.as_ref().and_then(|hop| hop.trace.as_ref());
        let arrived = hop.and_then(|hop| self.tracer.arrived(hop));
        context.trace = arrived.or_else(|| self.tracer.begin(&HeaderMap::new()));
        context.mark_trace();
    }

    /// The client has been let in.
    pub(super) fn trace_let_in(&self, context: &mut Context) {
        if let Some(traced) = &mut context.trace {
            self.tracer.let_in(traced);
        }
    }

    /// Has the spans of a request sent that is over.
    pub(super) fn send_spans(&self, session: &ServerSession, context: &Context) {
        let Some(traced) = context.trace.as_ref().filter(|traced| traced.is_sampled()) else {
            return;
        };
        let over =
            Over { session, context, traced, ended: Instant::now(), path: &self.live.load().path };
        self.tracer.send(|spans| {
            over.edge(spans);
            over.hop(spans);
            over.worker(spans);
            if let Some(call) = &context.spent.call {
                spans.of_call(traced.trace(), &call.take());
            }
        });
    }
}

/// A request that is over.
struct Over<'a> {
    session: &'a ServerSession,
    context: &'a Context,
    traced: &'a Traced,
    ended: Instant,
    /// Path of the MCP endpoint.
    path: &'a str,
}

impl Over<'_> {
    fn head<'n>(&self, at: Parent, name: [&'n str; 2], kind: Kind) -> Head<'n> {
        Head {
            at,
            parent: Some(self.traced.at(Place::Edge).span),
            is_remote: false,
            name,
            kind,
            started: self.context.started,
            ended: self.ended,
            link: None,
            failed: false,
        }
    }

    /// The request itself.
    ///
    /// Spec: semantic conventions for HTTP, "HTTP server". A server's span has failed if its own side did.
    fn edge(&self, spans: &mut Spans<'_>) {
        let (header, status) = (self.session.req_header(), status(self.session));
        let context = self.context;
        // A client that left before it was answered is no failure of ours.
        let unanswered = context.outcome != Outcome::ClientGone;
        let failed = status.map_or(unanswered, |status| status >= 500) || is_ours(context.outcome);
        // Who has leave has asked for the endpoint.
        let route = if context.pass.is_some() { self.path } else { "" };
        let head = Head {
            parent: self.traced.parent(),
            is_remote: self.traced.parent().is_some(),
            link: self.traced.link(),
            failed,
            ..self.head(self.traced.at(Place::Edge), [method(header), route], Kind::Server)
        };
        spans.add(&head, |to| {
            to.text(&attribute::HTTP_METHOD, method(header));
            let tls = self.session.digest().and_then(|digest| digest.ssl_digest.as_ref());
            to.text(&attribute::URL_SCHEME, if tls.is_some() { "https" } else { "http" });
            if !route.is_empty() {
                to.text(&attribute::HTTP_ROUTE, route);
                to.text(&attribute::URL_PATH, route);
            }
            to.text(&attribute::PROTOCOL_VERSION, version(header.version));
            let address = self.session.server_addr().and_then(|address| address.as_inet());
            if let Some(address) = address {
                to.address(&attribute::SERVER_ADDRESS, address.ip());
                to.int(&attribute::SERVER_PORT, address.port());
            }
            to.http_end(status, failed.then(|| context.outcome.label()));
            to.text(&attribute::OUTCOME, context.outcome.label());
            if let Some(reason) = context.reason {
                to.text(&attribute::REASON, reason);
            }
            if let Some(era) = context.era {
                to.text(&attribute::ERA, era);
            }
            if let Some((node, _)) = &context.owner {
                to.text(&attribute::OWNER, node.as_str());
            }
            if context.hops() > 0 {
                to.int(&attribute::HOPS, context.hops());
            }
            if let (Some(rpc), None) = (&context.rpc, context.spent.worker) {
                to.text(&attribute::MCP_METHOD, rpc_method(rpc));
            }
        });
    }

    /// Passing it on to another replica.
    fn hop(&self, spans: &mut Spans<'_>) {
        let (Some(started), Some((node, _))) = (self.context.spent.passed_on, &self.context.owner)
        else {
            return;
        };
        let (header, status) = (self.session.req_header(), status(self.session));
        let failed = status.is_none_or(|status| status >= 400);
        let at = self.traced.at(Place::Hop);
        let head = Head { started, failed, ..self.head(at, [method(header), "hop"], Kind::Client) };
        spans.add(&head, |to| {
            to.text(&attribute::HTTP_METHOD, method(header));
            let (host, port) = host_and_port(node.as_str());
            to.text(&attribute::SERVER_ADDRESS, host);
            if let Some(port) = port {
                to.int(&attribute::SERVER_PORT, port);
            }
            to.http_end(status, failed.then_some(self.context.outcome.label()));
        });
    }

    /// The message in its worker.
    ///
    /// Spec: semantic conventions for MCP, "Server"; of those for JSON-RPC what they have beside.
    fn worker(&self, spans: &mut Spans<'_>) {
        let context = self.context;
        let (Some((started, ended)), Some(rpc)) = (context.spent.worker, &context.rpc) else {
            return;
        };
        let failed = context.spent.error_code.is_some()
            || !matches!(context.outcome, Outcome::Ok | Outcome::ClientGone);
        // Where the client has left, nobody saw the worker end: it was stopped.
        let ended = if context.outcome == Outcome::ClientGone { self.ended } else { ended };
        let at = self.traced.at(Place::Worker);
        let tool = tool(rpc);
        let name = [rpc_method(rpc), tool.unwrap_or_default()];
        let head = Head { started, ended, failed, ..self.head(at, name, Kind::Server) };
        spans.add(&head, |to| {
            to.text(&attribute::MCP_METHOD, rpc_method(rpc));
            to.text(&attribute::RPC_SYSTEM, "jsonrpc");
            to.text(&attribute::RPC_METHOD, rpc_method(rpc));
            if let Some(tool) = tool {
                to.text(&attribute::GEN_AI_OPERATION, "execute_tool");
                to.text(&attribute::GEN_AI_TOOL, tool);
            }
            let revision = context.client.as_ref().map(Client::protocol_version);
            if let Some(revision) = revision.filter(|revision| is_revision(revision)) {
                to.text(&attribute::MCP_VERSION, revision);
            }
            rpc_id(rpc, to);
            to.text(&attribute::PROTOCOL_NAME, "http");
            to.text(&attribute::PROTOCOL_VERSION, version(self.session.req_header().version));
            to.text(&attribute::TRANSPORT, "tcp");
            if let Some(worker) = context.worker {
                to.int(&attribute::WORKER, worker.0);
            }
            if let Some(code) = context.spent.error_code {
                let code = code.to_string();
                to.text(&attribute::RPC_STATUS, &code);
                to.text(&attribute::ERROR_TYPE, &code);
            } else if failed {
                to.text(&attribute::ERROR_TYPE, mcp_error(context.outcome, tool.is_some()));
            }
        });
    }
}

/// Whether a request that ended so failed by our side's doing.
const fn is_ours(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Internal | Outcome::Timeout | Outcome::Unavailable)
}

/// An answer that says of itself that it is an error is a `tool_error`.
fn mcp_error(outcome: Outcome, is_tool: bool) -> &'static str {
    let said = matches!(outcome, Outcome::CallerError | Outcome::BackendError);
    if is_tool && said { "tool_error" } else { outcome.label() }
}

/// The method, if it is a usual one.
fn method(header: &RequestHeader) -> &str {
    match header.method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "TRACE" | "PATCH") => {
            known
        }
        _ => "_OTHER",
    }
}

/// The parts of a replica's name.
fn host_and_port(node: &str) -> (&str, Option<u16>) {
    let parts = node.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parts else { return (node, None) };
    (host.trim_matches(['[', ']']), Some(port))
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn rpc_method(rpc: &Rpc) -> &'static str {
    if rpc.method == RpcMethod::Other { "_OTHER" } else { rpc.method.label() }
}

/// The tool, if it is one of ours; another name is a client's text.
fn tool(rpc: &Rpc) -> Option<&'static str> {
    let called = rpc.tool.as_deref()?;
    TOOL_NAMES.into_iter().find(|name| *name == called)
}

/// The request's id, if it is a number: a text may hold anything. One of 13 digits or more may be that of a card.
fn rpc_id(rpc: &Rpc, to: &mut Attributes<'_, '_>) {
    let digits = rpc.id().and_then(|id| std::str::from_utf8(id).ok());
    if let Some(digits) =
        digits.filter(|id| id.len() <= 12 && id.bytes().all(|b| b.is_ascii_digit()))
    {
        to.text(&attribute::RPC_ID, digits);
    }
}

/// Whether it is a date, as all revisions are. One that a client only asked for may be anything.
fn is_revision(text: &str) -> bool {
    let good = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == 10 && text.bytes().enumerate().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replicas_name_has_a_host_and_a_port() {
        assert_eq!(host_and_port("a.example:8443"), ("a.example", Some(8443)));
        assert_eq!(host_and_port("[::1]:80"), ("::1", Some(80)));
        assert_eq!(host_and_port("local"), ("local", None));
    }
}
