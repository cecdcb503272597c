//! What is told of a run.

use std::{ops::RangeInclusive, time::Duration};

use tracing_subscriber::EnvFilter;

use super::{Check, filled, otlp::WrittenOtlp};
use crate::config::{LogFormat, LogSettings, Propagate, Telemetry, Traces, place::At, raw};

/// Range of the time that a request to the receiver may take.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);

/// Longest filter of the log, in bytes.
const LEVEL_BYTES_MAX: usize = 1024;

impl Check<'_> {
    pub(super) fn telemetry(&mut self, raw: raw::Telemetry) -> Telemetry {
        let at = At::from(["telemetry"]);
        let traces = self.traces(&at.key("traces"), raw.traces);
        Telemetry { traces, log: self.log(&at.key("log"), &raw.log) }
    }

    fn traces(&mut self, at: &At, raw: raw::Traces) -> Option<Traces> {
        let raw::Traces {
            endpoint,
            protocol,
            headers,
            header_files,
            sample_ratio,
            trust_parent,
            trusted_per_second_max,
            propagate,
            tls,
            queue_max,
            timeout,
        } = raw;
        let sample_ratio = self.share(&at.key("sample_ratio"), Some(&sample_ratio));
        let place = at.key("trusted_per_second_max");
        let trusted = self.count(&place, trusted_per_second_max, 0..=1_000_000);
        let queue_max = self.count(&at.key("queue_max"), queue_max, 64..=1 << 20);
        let propagate = match propagate {
            raw::Propagate::Off => Propagate::Off,
            raw::Propagate::Traceparent => Propagate::Traceparent,
            raw::Propagate::Tracestate => Propagate::Tracestate,
        };
        let timeout = self.span(&at.key("timeout"), &timeout, TIMEOUT);
        let endpoint = filled(endpoint.as_deref());
        let is_described = !headers.is_empty() || !header_files.is_empty() || tls.is_some();
        if endpoint.is_none() && !is_described {
            return None;
        }
        let written = WrittenOtlp {
            endpoint,
            path: "/v1/traces",
            protocol,
            headers,
            header_files: &header_files,
            tls: tls.as_ref(),
            timeout,
        };
        Some(Traces {
            receiver: self.otlp(at, written)?,
            sample_ratio: sample_ratio?,
            trust_parent,
            trusted_per_second_max: u32::try_from(trusted).unwrap_or(u32::MAX),
            propagate,
            queue_max,
        })
    }

    fn log(&mut self, at: &At, raw: &raw::Log) -> LogSettings {
        let level = filled(raw.level.as_deref().map(str::trim));
        if let Some(text) = level
            && (text.len() > LEVEL_BYTES_MAX || EnvFilter::builder().parse(text).is_err())
        {
            let mend = "write a level, or pairs as in `info,promgate=debug`";
            self.faults.push(&at.key("level"), "cannot be read as a filter of the log", mend);
        }
        let format = match raw.format {
            raw::LogFormat::Text => LogFormat::Text,
            raw::LogFormat::Json => LogFormat::Json,
        };
        LogSettings { format, level: level.map(str::to_owned) }
    }
}
