//! The settings that the program runs on, in checked form, and the road to them.
//!
//! [`load()`] is that road: it reads the YAML file that an operator wrote, expands variables, holds
//! it against the schema and checks what it means. A [`Config`] is valid as a whole.
//!
//! The modules stand in the order of their use: each names only those before it, and the types
//! below.

use std::{net::SocketAddr, num::NonZeroU16, path::PathBuf, time::Duration};

use http::HeaderName;
use ipnet::IpNet;
use mcp_core::{
    config::{BackendConfig, ToolLimits, WorkerLimits},
    secret::Secret,
};

mod admission;
mod cluster;
mod records;
mod sinks;
mod stamp;
mod telemetry;

mod file;

mod place;

mod locate;

mod fault;

mod expand;
mod source;

mod hint;
mod raw;

mod form;
mod units;

mod check;

mod load;

mod certificates;

#[cfg(test)]
mod tests;

pub use admission::{
    Authentication, Authorization, AuthorizationServer, Issuer, KeySource, ProtectedResource, Rate,
    RateLimits, Rule, Verification, Who,
};
pub use certificates::CertificateEnd;
pub use cluster::{
    Cluster, ClusterTls, Peers, Probe, RedisStore, SessionStore, Sessions, WhenDown,
};
pub use expand::{Environment, NotText, ProcessEnvironment};
pub use fault::{ConfigFaults, Fault};
pub use load::{load, load_for_stdio, parse};
pub use records::{
    ArgumentForm, Detectors, Identity, IdentityForm, Queries, Records, Redaction, ToolArguments,
};
pub use sinks::{
    Audit, Fsync, LogFile, Otlp, OtlpProtocol, Share, Sink, SinkFormat, SinkName, SinkTls, Syslog,
    SyslogAddress, Target, WhenFull,
};
pub use stamp::Source;
pub use telemetry::{LogFormat, LogSettings, Propagate, Telemetry, Traces};
pub use units::span;

pub use crate::expression::Expression;

/// A whole, valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The process and its listeners.
    pub server: Server,
    /// The access log.
    pub access_log: AccessLog,
    /// Traces, and the program's own log.
    pub telemetry: Telemetry,
    /// How callers prove who they are.
    pub authentication: Authentication,
    /// Who may use what.
    pub authorization: Authorization,
    /// How much each caller may ask for.
    pub rate_limits: RateLimits,
    /// What is told of this server as an OAuth resource.
    pub protected_resource: Option<ProtectedResource>,
    /// The authorization server whose metadata is served here too.
    pub authorization_server: Option<AuthorizationServer>,
    /// Sessions, beyond the bounds of each worker.
    pub sessions: Sessions,
    /// Other replicas; none when this one is alone.
    pub cluster: Option<Cluster>,
    /// Bounds of each worker, sessions included.
    pub worker_limits: WorkerLimits,
    /// Bounds of the tools.
    pub tools: ToolLimits,
    /// The backends, sorted by name; at least one.
    pub backends: Vec<BackendConfig>,
    /// The files that it was read from: its own, secrets, keys, certificates.
    pub sources: Vec<Source>,
}

/// The process and its listeners.
#[derive(Debug, Clone)]
pub struct Server {
    /// Name given to MCP clients.
    pub name: String,
    /// Version given to MCP clients; Promgate's own unless configured.
    pub version: String,
    /// How clients reach us when `serve` is run.
    pub transport: Transport,
    /// The HTTP listener.
    pub http: Http,
    /// Listener of `/metrics`, `/healthz` and `/readyz`; none when off.
    pub admin: Option<SocketAddr>,
    /// What a caller must show to change something through that listener; none: nothing can be changed there.
    pub admin_token: Option<Secret>,
    /// Number of MCP workers; none: requests are answered by other replicas.
    pub workers: Option<NonZeroU16>,
    /// Socket through which a new process takes over from this one.
    pub upgrade_socket: Option<PathBuf>,
    /// How long calls in flight may go on after SIGTERM.
    pub drain_timeout: Duration,
    /// How often the configuration and the files that it names are looked at for changes; never when none.
    pub reload_interval: Option<Duration>,
}

/// How clients reach us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http,
    /// Standard input and output.
    Stdio,
}

/// The HTTP listener.
#[derive(Debug, Clone)]
pub struct Http {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Path of the MCP endpoint: starts with `/`, does not end with it.
    pub path: String,
    /// Accept HTTP/2 without TLS, by prior knowledge.
    pub h2c: bool,
    /// `Host` values served.
    pub allowed_hosts: Vec<HostRule>,
    /// `Origin` values served; a request without `Origin` is not of a browser and passes.
    pub allowed_origins: Vec<OriginRule>,
    /// Networks of proxies in front, whose word about a client's address, or its token, is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what a client may send.
    pub limits: HttpLimits,
}

/// One allowed `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRule {
    /// `*`: every host.
    Any,
    /// This host, lower case, IPv6 without brackets; with a port, only that port.
    Exact {
        /// Name or address.
        host: String,
        /// Port, or any.
        port: Option<u16>,
    },
}

/// One allowed `Origin`. Spec: RFC 6454 §6.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginRule {
    /// `*`: every origin.
    Any,
    /// Scheme, host and port must be equal; without a port any port of that host passes.
    Exact {
        /// Scheme, lower case.
        scheme: String,
        /// Name or address, lower case, IPv6 without brackets.
        host: String,
        /// Port, or any.
        port: Option<u16>,
    },
}

/// Bounds on what a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Largest request body, in bytes.
    pub body_bytes_max: usize,
    /// Most bytes of request bodies that may be arriving at once, over all connections.
    pub bodies_bytes_max: usize,
    /// Limit from the first byte of a request's header to its last.
    pub header_timeout: Duration,
    /// Limit from the end of the header to the last byte of the body.
    pub body_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long one write of an answer may wait for a client that does not read.
    pub write_timeout: Duration,
    /// Most connections open at once.
    pub connections_max: usize,
    /// Most connections open at once from one address.
    pub connections_per_address_max: usize,
}

/// The access log.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// Where records go, each under a name of its own; nowhere when empty.
    pub sinks: Vec<Sink>,
    /// Keys and checkpoints.
    pub audit: Audit,
    /// Request headers written into the record in the clear, unless another rule says otherwise.
    pub included_headers: Vec<HeaderName>,
    /// Request headers that never appear, not even masked.
    pub excluded_headers: Vec<HeaderName>,
    /// Request headers whose presence is recorded with the value masked whole.
    pub redacted_headers: Vec<HeaderName>,
    /// What records say, and in which form.
    pub records: Records,
}

impl AccessLog {
    /// One that goes nowhere.
    #[must_use]
    pub fn off() -> Self {
        Self {
            sinks: Vec::new(),
            audit: Audit::default(),
            included_headers: Vec::new(),
            excluded_headers: Vec::new(),
            redacted_headers: Vec::new(),
            records: Records::default(),
        }
    }

    /// One of JSON lines that goes to one place, as `output` says it.
    #[must_use]
    pub fn to(target: Target, queue_bytes_max: usize) -> Self {
        let sink = Sink::plain(SinkName::of_output(), target, queue_bytes_max);
        Self { sinks: vec![sink], ..Self::off() }
    }
}

/// The JSON Schema of the file as it is written, draft 2020-12, as pretty JSON with a line end.
#[must_use]
pub fn schema_json() -> String {
    format!("{:#}\n", raw::written_schema())
}
