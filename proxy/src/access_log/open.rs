//! From settings to sinks that run.

use std::sync::Arc;

use super::{
    AccessLogError, Field, Format, Kind, Sink,
    admission::{Gate, Gates},
    chain::{AuditKeys, ChainId},
    output::Output,
    queue::Queue,
    sink::{file::LogFileOutput, otlp::OtlpOutput, stdout::Stream, syslog::SyslogOutput},
    writer::{Sealing, Writer},
};
use crate::{
    config::{self, Audit, Records, Target, WhenFull},
    metrics::{Metrics, SinkCounters},
    otlp::Resource,
};

/// Bytes of a record around its fields.
const AROUND_BYTES: usize = 256;

/// Bytes of a field around its text.
const FIELD_BYTES: usize = 8;

/// Texts of a list that are reckoned with.
const LIST_TEXTS: usize = 4;

/// Bytes of a header and of an argument that are reckoned with, name included.
const HEADER_BYTES: usize = 512;
const ARGUMENT_BYTES: usize = 2048;

/// Opens a sink and starts its thread.
pub(super) fn sink(
    config: &config::Sink,
    audit: &Audit,
    (resource, metrics): (Resource<'_>, &Metrics),
) -> Result<Sink, AccessLogError> {
    let output: Box<dyn Output> = match &config.target {
        Target::Stdout => Box::new(Stream::stdout()?),
        Target::File(file) => Box::new(LogFileOutput::open(file, config.chain)?),
        Target::Syslog(syslog) => Box::new(SyslogOutput::new(syslog)?),
        Target::Otlp(otlp) => Box::new(OtlpOutput::new(otlp, config.when_full, resource)?),
    };
    onto(output, config, audit, metrics.sink(config.name.as_str())?)
}

/// Starts the thread of a sink that writes to this output.
pub(super) fn onto(
    output: Box<dyn Output>,
    config: &config::Sink,
    audit: &Audit,
    counters: SinkCounters,
) -> Result<Sink, AccessLogError> {
    let config::Sink { name, target: _, format, chain, filter, sample, when_full, queue_bytes_max } =
        config;
    let queue = Arc::new(Queue::new(*queue_bytes_max, *when_full, counters));
    let sink = Sink {
        name: name.as_str().to_owned(),
        queue,
        format: (*format).into(),
        filter: filter.clone(),
        sample: *sample,
    };
    let writer = Writer {
        name: sink.name.clone(),
        queue: Arc::clone(&sink.queue),
        output,
        format: sink.format,
        sealing: if *chain { sealing(audit)? } else { None },
    };
    writer.start().map_err(AccessLogError::Thread)?;
    Ok(sink)
}

/// How chains are sealed; not at all without a key.
fn sealing(audit: &Audit) -> Result<Option<Sealing>, AccessLogError> {
    let keys = AuditKeys::new(&audit.keys)?;
    let Some(key) = keys.first().cloned() else { return Ok(None) };
    Ok(Some(Sealing {
        keys,
        key,
        chain: ChainId::random()?,
        interval: audit.checkpoint_interval,
        records: audit.checkpoint_records,
    }))
}

/// The sinks that do not lose records, those that refuse before those that let wait.
pub(super) fn gates(config: &config::AccessLog, sinks: &[Sink]) -> Option<Gates> {
    let each = config.sinks.iter().zip(sinks).enumerate();
    let mut gates: Vec<Gate> = each
        .filter(|(_, (config, _))| config.when_full != WhenFull::Drop)
        .map(|(place, (config, sink))| Gate {
            place,
            queue: Arc::clone(&sink.queue),
            when_full: config.when_full,
        })
        .collect();
    gates.sort_by_key(|gate| matches!(gate.when_full, WhenFull::Block(_)));
    if gates.is_empty() {
        return None;
    }
    let smallest = config.sinks.iter().map(|sink| sink.queue_bytes_max).min().unwrap_or(usize::MAX);
    let bytes = record_bytes(config).min(smallest);
    Some(Gates {
        all: gates.into(),
        sinks: sinks.len(),
        record_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
    })
}

/// Bytes that a record takes at most, but for escapes and for lists and arguments longer than most.
fn record_bytes(config: &config::AccessLog) -> usize {
    let Records { arguments, .. } = &config.records;
    let arguments: usize = arguments.iter().map(|tool| tool.arguments.len()).max().unwrap_or(0);
    let headers = config.included_headers.len() + config.redacted_headers.len();
    let shown = Field::ALL.iter().filter(|field| config.records.shows(**field));
    let fields: usize = shown.map(|field| field_bytes(*field)).sum();
    AROUND_BYTES + fields + headers * HEADER_BYTES + arguments * ARGUMENT_BYTES
}

fn field_bytes(field: Field) -> usize {
    let text = match field.kind() {
        Kind::Time | Kind::Number | Kind::Milliseconds | Kind::Word => 24,
        Kind::Address => 64,
        Kind::Text | Kind::Client => field.bytes_max(),
        Kind::List | Kind::ClientList => field.bytes_max() * LIST_TEXTS,
        Kind::Object => 0,
    };
    let names = [field.name(), field.ecs_name(), field.otel_name()];
    FIELD_BYTES + names.map(str::len).into_iter().max().unwrap_or(0) + text
}

impl From<config::SinkFormat> for Format {
    fn from(format: config::SinkFormat) -> Self {
        match format {
            config::SinkFormat::Json => Self::Json,
            config::SinkFormat::Ecs => Self::Ecs,
            config::SinkFormat::Otlp => Self::Otlp,
        }
    }
}

impl From<Format> for config::SinkFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Ecs => Self::Ecs,
            Format::Otlp => Self::Otlp,
        }
    }
}
