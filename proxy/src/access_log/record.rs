//! One record: named facts.

mod see;
mod visit;

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

pub(super) use self::see::{Run, Said, See};
use super::{
    Format, ecs,
    identity::Identity,
    line, otlp,
    pseudonym::Pseudonym,
    redact::{Arguments, RuledHeaders, Rules},
};
use crate::metrics::labels::{Limit, Outcome};

/// What a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Event {
    /// A request that is over.
    #[default]
    Request,
    /// A long stream that has opened.
    StreamOpen,
    /// A request that was a long stream, and is over.
    StreamEnd,
}

impl Event {
    /// The word of the record; none for a request.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Request => None,
            Self::StreamOpen => Some("stream_open"),
            Self::StreamEnd => Some("stream_end"),
        }
    }
}

/// What is known of one request. What is `None` is left out of the record.
///
/// There is no field that could hold a URL with its query, a body, a session id, a token, or headers and arguments
/// that no rule names, so none of these can be logged by mistake.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// What it tells of.
    pub event: Event,
    /// When the request ended, or its stream opened.
    pub time: SystemTime,
    /// Its id, as answered to the client.
    pub request_id: &'a [u8],
    /// Whether we made that id, so that no detector has to look at it.
    pub made_id: bool,
    /// W3C trace id, 32 hexadecimal digits.
    pub trace_id: Option<&'a str>,
    /// Name of the replica that writes the record.
    pub replica: Option<&'a str>,
    /// Which port took the request.
    pub listener: Option<&'static str>,
    /// HTTP method.
    pub method: &'a str,
    /// The request's path as it came. From a `?` or `#` on nothing is written.
    pub path: &'a [u8],
    /// Version of HTTP that the client spoke.
    pub http_version: http::Version,
    /// Status answered; `None` when no answer was begun.
    pub status: Option<u16>,
    /// Time from the request's header to the last byte of its answer.
    pub duration: Duration,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were written.
    pub bytes_out: u64,
    /// Address of the other end of the connection.
    pub peer: Option<SocketAddr>,
    /// The client's address, as trusted proxies or the replica tell it that passed the request on.
    pub client: Option<IpAddr>,
    /// TLS of the connection.
    pub tls: Option<&'a Tls<'a>>,
    /// Value of `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// MCP generation of the request.
    pub era: Option<&'static str>,
    /// MCP protocol version.
    pub protocol_version: Option<&'a str>,
    /// Name that the MCP client gave itself.
    pub client_name: Option<&'a str>,
    /// Version that the MCP client gave itself.
    pub client_version: Option<&'a str>,
    /// JSON-RPC method, as the client wrote it.
    pub rpc_method: Option<&'a str>,
    /// Id of the JSON-RPC request, without the quotes of a text.
    pub rpc_id: Option<&'a [u8]>,
    /// Tool, as the client wrote it.
    pub tool: Option<&'a str>,
    /// Prompt, as the client wrote it.
    pub prompt: Option<&'a str>,
    /// Address of a resource, as the client wrote it. Neither user, query nor fragment is written.
    pub resource: Option<&'a str>,
    /// Pseudonym of the session.
    pub session: Option<&'a Pseudonym>,
    /// What became of authentication.
    pub auth: Option<&'static str>,
    /// Who calls, as far as the configuration lets it be seen.
    pub identity: Option<&'a Identity>,
    /// The rule that let the caller use the tool, or what kept the caller out.
    pub rule: Option<&'a str>,
    /// The configured bound that was reached.
    pub limit: Option<Limit>,
    /// The call of a tool.
    pub call: Option<&'a Call<'a>>,
    /// Arguments that a rule names.
    pub arguments: Option<&'a Arguments>,
    /// Name of the replica that passed the request on.
    pub via: Option<&'a str>,
    /// Number of the worker that served the request.
    pub worker: Option<u16>,
    /// Name of the replica that owns the session, and the number of its worker.
    pub owner: Option<(&'a str, u16)>,
    /// How many replicas the request passed through before this one.
    pub hop: u8,
    /// Kind of a long stream.
    pub stream: Option<&'static str>,
    /// How the request ended; not written of a stream that opens.
    pub outcome: Outcome,
    /// Why it was refused, in one word of ours.
    pub reason: Option<&'static str>,
    /// Headers that a rule names.
    pub headers: Option<RuledHeaders<'a>>,
}

/// What is known of the call of a tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call<'a> {
    /// Configured name of the backend that served the call.
    pub backend: Option<&'a str>,
    /// Tenant of the backend.
    pub tenant: Option<&'a str>,
    /// HTTP status of the backend's last answer.
    pub upstream_status: Option<u16>,
    /// Time that the backend took.
    pub upstream_time: Option<Duration>,
    /// How often the backend was asked again.
    pub retries: Option<u32>,
    /// Hash of the normalised PromQL.
    pub fingerprint: Option<&'a str>,
    /// How the PromQL was read, in one word.
    pub form: Option<&'static str>,
    /// Metrics that the PromQL names; in another dialect those alone that it selects from, as in `a{…}` or `a[5m]`.
    pub metrics: &'a [Box<str>],
    /// Functions of the PromQL.
    pub functions: &'a [Box<str>],
    /// Labels of the PromQL.
    pub labels: &'a [Box<str>],
    /// The PromQL, masked or clear.
    pub query: Option<&'a str>,
    /// Length of the time asked for.
    pub range: Option<Duration>,
    /// Step of a range query.
    pub step: Option<Duration>,
    /// Series or names in the tool's answer.
    pub rows: Option<u64>,
    /// Series or names that there are.
    pub rows_total: Option<u64>,
    /// Bytes of the tool's answer.
    pub bytes: Option<u64>,
    /// Why the tool's answer does not hold all that there is, in one word.
    pub truncated: Option<&'static str>,
}

/// TLS of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Tls<'a> {
    /// Its version.
    pub version: &'a str,
    /// The cipher suite.
    pub cipher: &'a str,
    /// SHA-256 of the other end's certificate, in hexadecimal digits; empty when it showed none.
    pub client: &'a str,
}

impl Default for Record<'_> {
    /// A record of which nothing is known.
    fn default() -> Self {
        Self {
            event: Event::Request,
            time: SystemTime::UNIX_EPOCH,
            request_id: b"",
            made_id: false,
            trace_id: None,
            replica: None,
            listener: None,
            method: "",
            path: b"",
            http_version: http::Version::HTTP_11,
            status: None,
            duration: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
            peer: None,
            client: None,
            tls: None,
            user_agent: None,
            era: None,
            protocol_version: None,
            client_name: None,
            client_version: None,
            rpc_method: None,
            rpc_id: None,
            tool: None,
            prompt: None,
            resource: None,
            session: None,
            auth: None,
            identity: None,
            rule: None,
            limit: None,
            call: None,
            arguments: None,
            via: None,
            worker: None,
            owner: None,
            hop: 0,
            stream: None,
            outcome: Outcome::Ok,
            reason: None,
            headers: None,
        }
    }
}

/// Whoever knows what a request's record is to say.
///
/// A record is made where it is written. As a line of JSON, which most logs have, most of it so never comes into being: facts go
/// from where they are known to where they are written.
pub trait Tell {
    /// The request's id, as answered to the client.
    fn request_id(&self) -> &[u8];

    /// The little that says whether it may be left out.
    fn outline(&self) -> Outline;

    /// All that is known of it. Asked for once for each form in use and once for filters, and the same each time.
    fn record(&self) -> Record<'_>;

    /// Appends its record to `out`, as `rules` let it be seen. JSON and ECS end with a line feed.
    fn write(&self, format: Format, rules: &Rules, out: &mut Vec<u8>) {
        match format {
            Format::Json => line::write(self, rules, out),
            Format::Ecs => ecs::write(&self.record(), rules, out),
            Format::Otlp => otlp::write(&self.record(), rules, out),
        }
    }
}

/// What of a record says whether a share that is taken of all may leave it out. The fields are those of [`Record`].
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "they are documented there")]
pub struct Outline {
    pub event: Event,
    pub status: Option<u16>,
    pub outcome: Outcome,
    pub reason: Option<&'static str>,
}

impl Tell for Record<'_> {
    fn request_id(&self) -> &[u8] {
        self.request_id
    }

    fn outline(&self) -> Outline {
        let Self { event, status, outcome, reason, .. } = *self;
        Outline { event, status, outcome, reason }
    }

    fn record(&self) -> Record<'_> {
        *self
    }
}

#[cfg(test)]
mod tests;
