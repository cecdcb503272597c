//! How a line of the log is written.

use std::{
    fmt::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
    },
    registry::LookupSpan,
};

use super::marks::{Marked, marked};
use crate::config::LogFormat;

/// Lines so far, by level. They are counted for the process, to which its log belongs.
static LINES: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

/// How many lines were logged so far at each level: errors, warnings, information, what is for debugging, each step.
#[must_use]
pub fn lines_logged() -> [u64; 5] {
    LINES.each_ref().map(|lines| lines.load(Ordering::Relaxed))
}

const fn lines_of(level: Level) -> &'static AtomicU64 {
    let [errors, warnings, information, debugging, steps] = &LINES;
    match level {
        Level::ERROR => errors,
        Level::WARN => warnings,
        Level::INFO => information,
        Level::DEBUG => debugging,
        Level::TRACE => steps,
    }
}

/// Writes lines for people, or one JSON object each.
#[derive(Debug)]
pub(super) enum Lines {
    Text(Format<Full>),
    Json,
}

impl Lines {
    pub(super) fn new(format: LogFormat, colour: bool) -> Self {
        match format {
            LogFormat::Text => Self::Text(Format::default().with_ansi(colour)),
            LogFormat::Json => Self::Json,
        }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        lines_of(*event.metadata().level()).fetch_add(1, Ordering::Relaxed);
        match (self, marked()) {
            (Self::Text(format), None) => format.format_event(context, writer, event),
            (Self::Text(format), Some(marked)) => {
                let mut line = String::with_capacity(256);
                format.format_event(context, Writer::new(&mut line), event)?;
                write!(writer, "{} request_id={}", line.trim_end(), marked.id())?;
                if let Some(trace) = marked.trace {
                    write!(writer, " trace_id={trace}")?;
                }
                writer.write_char('\n')
            }
            (Self::Json, marked) => writeln!(writer, "{}", json(event, marked.as_ref())),
        }
    }
}

impl Marked {
    fn id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}

/// One object: time, level, target and message, then the fields, then what is known of the request.
fn json(event: &Event<'_>, marked: Option<&Marked>) -> String {
    // What comes through the `log` crate says where it comes from in fields of its own.
    let normalised = event.normalized_metadata();
    let metadata = normalised.as_ref().unwrap_or_else(|| event.metadata());
    let mut fields = Fields { message: None, others: String::new() };
    event.record(&mut fields);
    let Fields { message, others } = fields;
    let mut line = String::with_capacity(256);
    line.push_str("{\"time\":");
    push_text(&mut line, &format!("{:.6}", Timestamp::now()));
    for (key, value) in [
        ("level", level(*metadata.level())),
        ("target", metadata.target()),
        ("message", message.as_deref().unwrap_or_default()),
    ] {
        push_pair(&mut line, key, value);
    }
    if !others.is_empty() {
        line.push_str(",\"fields\":{");
        // Each begins with a comma.
        line.push_str(others.get(1..).unwrap_or_default());
        line.push('}');
    }
    if let Some(marked) = marked {
        push_pair(&mut line, "request_id", marked.id());
        if let Some(trace) = marked.trace {
            push_pair(&mut line, "trace_id", &trace.to_string());
        }
    }
    line.push('}');
    line
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn push_pair(line: &mut String, key: &str, value: &str) {
    line.push(',');
    push_text(line, key);
    line.push(':');
    push_text(line, value);
}

fn push_text(line: &mut String, text: &str) {
    // Text is always JSON.
    line.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// Gathers the fields of an event: the message, and the others as members of an object, each after a comma.
struct Fields {
    message: Option<String>,
    others: String,
}

impl Fields {
    fn text(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = Some(value.to_owned()),
            name if name.starts_with("log.") => {}
            name => push_pair(&mut self.others, name, value),
        }
    }

    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.others.push(',');
        push_text(&mut self.others, field.name());
        // Writing to a text does not fail.
        write!(self.others, ":{value}").unwrap_or_default();
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !field.name().starts_with("log.") {
            self.bare(field, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }
}
