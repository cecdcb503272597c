//! What is told of a run.

use tracing_subscriber::EnvFilter;

use super::{Check, filled, otlp::WrittenOtlp};
use crate::config::{LogFormat, LogSettings, Propagate, Telemetry, Traces, place::At, raw};

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
        let sample_ratio = self.ratio(&at.key("sample_ratio"), &sample_ratio);
        let place = at.key("trusted_per_second_max");
        let trusted = self.count(&place, trusted_per_second_max, 0..=1_000_000);
        let queue_max = self.count(&at.key("queue_max"), queue_max, 64..=1 << 20);
        let propagate = match propagate {
            raw::Propagate::Off => Propagate::Off,
            raw::Propagate::Traceparent => Propagate::Traceparent,
            raw::Propagate::Tracestate => Propagate::Tracestate,
        };
        let header_files = &header_files;
        let ca_file = tls.ca_file.as_deref();
        let Some(endpoint) = filled(endpoint.as_deref()) else {
            if !headers.is_empty() || !header_files.is_empty() || ca_file.is_some() {
                self.faults.push_unless_known(
                    &at.key("endpoint"),
                    "is missing, though the receiver is described",
                    "write the receiver's address, such as `http://127.0.0.1:4318`",
                );
            }
            return None;
        };
        let timeout = &timeout;
        let written = WrittenOtlp { endpoint, protocol, headers, header_files, ca_file, timeout };
        let receiver = self.otlp(at, written)?;
        Some(Traces {
            receiver,
            sample_ratio,
            trust_parent,
            trusted_per_second_max: u32::try_from(trusted).unwrap_or(u32::MAX),
            propagate,
            queue_max,
        })
    }

    /// A share, from 0 to 1.
    pub(super) fn ratio(&mut self, at: &At, raw::Ratio(text): &raw::Ratio) -> f64 {
        let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        if ratio.is_none() {
            let mend = "write a number such as `0.05`, or `1` for all";
            self.faults.push(at, "not a share from 0 to 1", mend);
        }
        ratio.unwrap_or(0.0)
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
