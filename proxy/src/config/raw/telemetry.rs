//! What is told of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fraction, OtlpProtocol, SecretText, SinkTls, Span, span};

/// What is told of a run beside metrics and the access log.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// Traces of requests, for OpenTelemetry. Without `endpoint` none are made.
    pub(crate) traces: Traces,
    /// The program's own log, on standard error.
    pub(crate) log: Log,
}

/// Traces of requests, for OpenTelemetry.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Traces {
    /// Address of an OpenTelemetry receiver, such as `http://127.0.0.1:4317` for gRPC or `http://127.0.0.1:4318` for
    /// HTTP. For `http/protobuf` an address without a path gets `/v1/traces`. When absent there are no traces.
    pub(crate) endpoint: Option<String>,
    /// How the receiver is spoken to; `http/protobuf` when absent.
    pub(crate) protocol: Option<OtlpProtocol>,
    /// Further headers of each request to the receiver, by name.
    pub(crate) headers: BTreeMap<String, SecretText>,
    /// Files that hold the value of a further header, by the header's name.
    pub(crate) header_files: BTreeMap<String, String>,
    /// Share of requests that are traced, from `0` to `1`, as in `0.05`.
    pub(crate) sample_ratio: Fraction,
    /// Whether a client's `sampled` flag decides instead of `sample_ratio`, once the client has been let in.
    pub(crate) trust_parent: bool,
    /// Most traces in a second that such flags may switch on; beyond it `sample_ratio` decides.
    pub(crate) trusted_per_second_max: u64,
    /// What backends are told of a trace: `off` is nothing, `traceparent` is its id and our span's, `tracestate` is
    /// that and the client's `tracestate`.
    pub(crate) propagate: Propagate,
    /// TLS towards the receiver.
    pub(crate) tls: Option<SinkTls>,
    /// Most spans that wait to be sent; what is over it is dropped and counted.
    pub(crate) queue_max: u64,
    /// Longest time of one request to the receiver.
    pub(crate) timeout: Span,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: None,
            headers: BTreeMap::new(),
            header_files: BTreeMap::new(),
            sample_ratio: Fraction("1".to_owned()),
            trust_parent: false,
            trusted_per_second_max: 100,
            propagate: Propagate::default(),
            tls: None,
            queue_max: 8192,
            timeout: span("10s"),
        }
    }
}

/// What backends are told of a trace.
#[derive(Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Propagate {
    Off,
    #[default]
    Traceparent,
    Tracestate,
}

/// The program's own log, on standard error.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// `text`, or `json` for one object a line.
    pub(crate) format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or pairs of target and level, as in
    /// `info,promgate=debug`. The variable `PROMGATE_LOG` has priority.
    pub(crate) level: Option<String>,
}

/// How the lines of the log are written.
#[derive(Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}
