//! The file as an operator writes it, and its JSON Schema.
//!
//! These types mirror the file and hold nothing but its form; their comments are the descriptions
//! that `promgate schema` prints. The loader holds a file against that schema (`form.rs`), so the
//! two cannot differ. What the values mean is decided in `check.rs`.

use std::collections::BTreeMap;

use mcp_core::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod admission;
mod backend;
mod cluster;
mod jwt;
mod oauth;
mod records;
mod schema;
mod sessions;
mod sinks;
mod telemetry;
mod tools;

pub(super) use admission::{Authorization, RateLimits, RateText, ToolLimit, Who};
pub(super) use backend::{Auth, AuthKind, Backend};
pub(super) use cluster::{Cluster, ClusterTls, DnsPeers, FilePeers, Peers, Probe, SrvPeers};
pub(super) use jwt::{Condition, Issuer, Jwt, JwtLocal, JwtValidation, OneOrMore, Strategy};
pub(super) use oauth::{AuthorizationServer, ProtectedResource};
pub(super) use records::{
    AccessLogs, ArgumentForm, Detector, IdentityForm, Queries, RecordFields, RecordIdentity,
    Redaction,
};
pub(super) use schema::{schema, written_schema};
pub(super) use sessions::{Redis, Sessions, StoreKind, WhenDown};
pub(super) use sinks::{
    Audit, Facility, Fraction, Fsync, OtlpProtocol, Sink, SinkFormat, SinkKind, SinkTls, WhenFull,
};
pub(super) use telemetry::{Log, LogFormat, Propagate, Telemetry, Traces};
pub(super) use tools::Tools;

/// A length of time: numbers with units (`ms`, `s`, `m`, `h`, `d`), as in `30s` or `1h30m`.
#[derive(Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    title = "a duration",
    extend("examples" = ["30s", "5m", "1h30m"], "pattern" = r"^(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h|d|w))+)$")
)]
pub(super) struct Span(pub(super) String);

/// A number of bytes, plain or with a unit (`KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`).
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    title = "a size",
    extend(
        "type" = ["string", "integer"],
        "minimum" = 0,
        "examples" = ["1MiB", "64KiB"],
        "pattern" = r"^[0-9]+ *(B|KiB|MiB|GiB|kB|MB|GB)?$"
    )
)]
pub(super) struct Size(pub(super) String);

/// A secret. Best given as `${VARIABLE}`, or in a file named by the key's `_file` sibling.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(title = "text")]
pub(super) struct SecretText(#[schemars(with = "String")] pub(super) Secret);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

fn span(text: &str) -> Span {
    Span(text.to_owned())
}

fn size(text: &str) -> Size {
    Size(text.to_owned())
}

/// Configuration of Promgate.
///
/// In values, `${VAR}`, `${VAR:-default}` and `$VAR` are replaced from the environment; `$$` is a
/// dollar sign. Top-level keys that begin with `x-` are not read: they may hold YAML anchors.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Promgate configuration", extend("patternProperties" = { "^x-": true }))]
pub(super) struct Config {
    /// The process and its listeners.
    pub(super) server: Server,
    /// What happens to a request before it reaches a worker.
    pub(super) middleware: Middleware,
    /// What is told of a run beside metrics and the access log: traces, and the program's own log.
    pub(super) telemetry: Telemetry,
    /// Sessions of clients that speak MCP up to revision 2025-11-25.
    pub(super) sessions: Sessions,
    /// Replicas that share sessions. Without this section there are no others.
    pub(super) cluster: Option<Cluster>,
    /// Bounds of the tools' questions and answers.
    pub(super) tools: Tools,
    /// Who may use which tools on which backends.
    pub(super) authorization: Authorization,
    /// OAuth authorization server metadata, served here too.
    pub(super) oauth_authorization_server: AuthorizationServer,
    /// OAuth protected resource metadata: tells clients where to get a token.
    pub(super) oauth_protected_resource: ProtectedResource,
    /// The metrics backends by name; at least one. A name is 1 to 64 of letters, digits, `.`, `_`
    /// and `-`.
    pub(super) backends: BTreeMap<String, Backend>,
}

/// The process and its listeners.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    /// Name given to MCP clients.
    pub(super) name: String,
    /// Version given to MCP clients; Promgate's own when absent.
    pub(super) version: Option<String>,
    /// How clients reach Promgate.
    pub(super) transport: Transport,
    /// The listener of `/metrics`, `/healthz` and `/readyz`.
    pub(super) admin: Admin,
    /// Number of MCP workers; `0` is one for each processor core. With `none` sessions and calls are passed to the
    /// other replicas of `cluster`.
    pub(super) workers: Workers,
    /// Bounds of each worker.
    pub(super) limits: WorkerLimits,
    /// How long calls in flight may go on after SIGTERM.
    pub(super) drain_timeout: Span,
    /// How often this file and the files that it names are looked at for changes; `0s` is never.
    pub(super) reload_interval: Span,
    /// Path of the socket through which a new process takes over the listeners of this one, at most 107 bytes long. A
    /// relative path starts at the folder of the configuration file.
    pub(super) upgrade_socket: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            name: "promgate".to_owned(),
            version: None,
            transport: Transport::default(),
            admin: Admin::default(),
            workers: Workers("0".to_owned()),
            limits: WorkerLimits::default(),
            drain_timeout: span("30s"),
            reload_interval: span("5s"),
            upgrade_socket: None,
        }
    }
}

/// A number of workers, or `none`.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    title = "a whole number, or `none`,",
    extend(
        "type" = ["integer", "string"],
        "minimum" = 0,
        "examples" = ["none"],
        "pattern" = "^([0-9]+|none)$"
    )
)]
pub(super) struct Workers(pub(super) String);

/// How clients reach Promgate.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Transport {
    /// `http` for streamable HTTP, `stdio` for standard input and output.
    #[serde(rename = "type")]
    pub(super) kind: TransportKind,
    /// The HTTP listener.
    pub(super) http: Http,
}

#[derive(Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TransportKind {
    #[default]
    Http,
    Stdio,
}

/// The HTTP listener.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http {
    /// Address and port to listen on. `:8080` is port 8080 of every IPv4 address, `[::]:8080` of
    /// every address; port 0 takes a free one.
    pub(super) host: String,
    /// Path of the MCP endpoint. It is served with and without a slash at its end.
    pub(super) path: String,
    /// Accept HTTP/2 without TLS, from clients that know beforehand.
    pub(super) h2c: bool,
    /// `Host` values served: `*`, names or addresses, with a port or for every port. When empty:
    /// `localhost`, `127.0.0.1`, `::1` and the host of `oauth_protected_resource.resource`.
    pub(super) allowed_hosts: Vec<String>,
    /// `Origin` values served, such as `https://app.example.com`; without a port, for every port;
    /// `*` for all. When empty: http and https of `localhost`, `127.0.0.1` and `[::1]`.
    pub(super) allowed_origins: Vec<String>,
    /// Addresses and networks, such as `10.0.0.0/8`, of proxies in front. What they say of a client's address,
    /// and with the strategy `external` of its token, is believed.
    pub(super) trusted_proxies: Vec<String>,
    /// Bounds on what a client may send.
    pub(super) limits: HttpLimits,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            host: "127.0.0.1:8080".to_owned(),
            path: "/mcp".to_owned(),
            h2c: true,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            limits: HttpLimits::default(),
        }
    }
}

/// Bounds on what a client may send.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HttpLimits {
    /// Largest request body; a larger one is answered with 413.
    pub(super) body_bytes_max: Size,
    /// Largest sum of request bodies that are arriving at once; beyond it, 503.
    pub(super) bodies_bytes_max: Size,
    /// Longest time from the first byte of a request's header to its last.
    pub(super) header_timeout: Span,
    /// Longest time from the end of the header to the last byte of the body.
    pub(super) body_timeout: Span,
    /// How long a connection may stay open without a request.
    pub(super) idle_timeout: Span,
    /// How long one write of an answer may wait for a client that does not read.
    pub(super) write_timeout: Span,
    /// Most connections open at once.
    pub(super) connections_max: u64,
    /// Most connections open at once from one address. Raise it behind a load balancer.
    pub(super) connections_per_address_max: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: size("4MiB"),
            bodies_bytes_max: size("256MiB"),
            header_timeout: span("10s"),
            body_timeout: span("30s"),
            idle_timeout: span("75s"),
            write_timeout: span("30s"),
            connections_max: 20_000,
            connections_per_address_max: 2_000,
        }
    }
}

/// The admin listener. Whoever reaches it may look: keep it off public addresses.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    /// Address and port to listen on, or `off`.
    pub(super) host: String,
    /// Bearer token of calls that change something, at least 16 characters. Without one nothing can be changed there.
    pub(super) token: Option<SecretText>,
    /// File that holds the token.
    pub(super) token_file: Option<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { host: "127.0.0.1:9091".to_owned(), token: None, token_file: None }
    }
}

/// Bounds of each worker.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WorkerLimits {
    /// Most calls in flight at once; one more is answered with 503.
    pub(super) calls_per_worker_max: u64,
    /// Most `subscriptions/listen` streams open at once; one more is answered with 503.
    pub(super) listeners_per_worker_max: u64,
    /// A call that takes longer is ended and answered with an error.
    pub(super) call_timeout: Span,
    /// A call that has said nothing for this long is answered as a stream, so that
    /// intermediaries see bytes.
    pub(super) stream_after: Span,
    /// Interval of the comments that keep an open stream alive.
    pub(super) keep_alive: Span,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            calls_per_worker_max: 10_000,
            listeners_per_worker_max: 10_000,
            call_timeout: span("2m"),
            stream_after: span("5s"),
            keep_alive: span("15s"),
        }
    }
}

/// What happens to a request before it reaches a worker.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Middleware {
    /// The access log: one JSON line for each request.
    pub(super) access_logs: AccessLogs,
    /// Who is let in: verification of bearer tokens.
    pub(super) jwt: Jwt,
    /// How much each address and each principal may ask for.
    pub(super) rate_limits: RateLimits,
}
