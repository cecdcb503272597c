//! What is told of a run: the settings, in checked form.

use super::{Otlp, Share};

/// What is told of a run beside metrics and the access log; the default is what stands where nothing is configured.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Where traces go; none: none are made.
    pub traces: Option<Traces>,
    /// The program's own log.
    pub log: LogSettings,
}

/// Which requests are traced, and where their spans go.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Who receives them.
    pub receiver: Otlp,
    /// Share of requests that are traced.
    pub sample_ratio: Share,
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
