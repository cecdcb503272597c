//! What is told of a run: the settings, in checked form.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use url::Url;

/// What is told of a run beside metrics and the access log.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Where traces go; none: none are made.
    pub traces: Option<Traces>,
    /// The program's own log.
    pub log: LogSettings,
}

/// Which requests are traced, and where their spans go.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Who receives them.
    pub receiver: Otlp,
    /// Share of requests that are traced, 0 to 1.
    pub sample_ratio: f64,
    /// Whether the client's `sampled` flag decides, once the client is let in.
    pub trust_parent: bool,
    /// Most traces in a second that such flags may switch on.
    pub trusted_per_second_max: u32,
    /// What backends are told of a trace.
    pub propagate: Propagate,
    /// Most spans that wait to be sent or are being sent; what is over it is dropped and counted.
    pub queue_max: usize,
}

/// What backends are told of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagate {
    /// Nothing.
    Off,
    /// `traceparent`: the trace's id, our span's, and whether it is sampled.
    Traceparent,
    /// That, and `tracestate` as the client sent it.
    Tracestate,
}

/// The program's own log; the default is what stands where nothing is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// How its lines are written.
    pub format: LogFormat,
    /// What is logged, as a filter that was read once; none: what the command logs by itself.
    pub level: Option<String>,
}

/// How the lines of the program's own log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Who receives OpenTelemetry data.
///
/// Spec: OTLP 1.10.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// Its base address.
    pub endpoint: Url,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Further headers of each request; every value is marked sensitive.
    pub headers: HeaderMap,
    /// Certificate authorities to trust instead of the public ones, PEM.
    pub ca_pem: Option<Arc<[u8]>>,
    /// Limit of one request, from connecting to the last byte of its answer.
    pub timeout: Duration,
}

/// How a receiver of OpenTelemetry data is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// A unary call over HTTP/2.
    Grpc,
    /// A POST of the binary protobuf.
    HttpProtobuf,
}
