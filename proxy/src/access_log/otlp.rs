//! A record as one entry of a `ScopeLogs` message: a `LogRecord` of the `OpenTelemetry` protocol.
//!
//! Written by hand, since a record has one nested level and its parts are at hand as bytes. A length stands before
//! what it counts, which is not known then: it gets as many bytes as the longest needs, filled up with zeros that
//! protobuf allows. Spec: `opentelemetry-proto` 1.x, `logs/v1/logs.proto` and `common/v1/common.proto`.

use std::time::SystemTime;

use super::{
    Event, Field, Record, Value, chain, json, line, plain,
    redact::{Rule, Rules, put_plain},
};
use crate::{field::SCHEMA_VERSION, metrics::labels::Outcome};

/// Wire types. Spec: protocol buffers, encoding.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;

/// Field numbers of `LogRecord`.
const TIME: u8 = 1;
const SEVERITY: u8 = 2;
const SEVERITY_TEXT: u8 = 3;
const BODY: u8 = 5;
const ATTRIBUTES: u8 = 6;
const TRACE_ID: u8 = 9;
const OBSERVED_TIME: u8 = 11;
const EVENT_NAME: u8 = 12;

/// Field numbers of `AnyValue`.
const STRING: u8 = 1;
const INT: u8 = 3;
const DOUBLE: u8 = 4;
const ARRAY: u8 = 5;
const KEY_VALUES: u8 = 6;

/// Field number of `log_records` in `ScopeLogs`.
const LOG_RECORDS: u8 = 2;

/// Longest text of an argument written, in bytes. It was kept no longer.
const ARGUMENT_BYTES_MAX: usize = 4096;

/// Appends the record, with its tag and length, as an entry of `ScopeLogs.log_records`.
#[inline(never)]
pub(super) fn write(record: &Record<'_>, rules: &Rules, out: &mut Vec<u8>) {
    message(out, LOG_RECORDS, |out| {
        let since_epoch = record.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for field in [TIME, OBSERVED_TIME] {
            tag(out, field, FIXED_64);
            out.extend_from_slice(&plain::nanoseconds(since_epoch).to_le_bytes());
        }
        let (number, name) = severity(record);
        tag(out, SEVERITY, VARINT);
        out.push(number);
        string(out, SEVERITY_TEXT, name.as_bytes());
        let (event, body) = match record.event {
            Event::Request => ("promgate.request", "request finished"),
            Event::StreamOpen => ("promgate.stream_open", "stream opened"),
            Event::StreamEnd => ("promgate.stream_end", "stream ended"),
        };
        string(out, EVENT_NAME, event.as_bytes());
        message(out, BODY, |out| string(out, STRING, body.as_bytes()));
        attribute(out, Field::Version, |out| int(out, SCHEMA_VERSION));
        record.visit(&mut |field, value| match rules.rule(field) {
            Rule::Leave => {}
            Rule::Show => put(out, field, value, rules),
            Rule::Redact(redaction) => attribute(out, field, |out| {
                text(out, |out| rules.put_redacted(out, (field, redaction), value));
            }),
        });
    });
}

/// Appends what the log says of itself as an entry.
pub(super) fn write_event(event: &chain::Event, time: SystemTime, out: &mut Vec<u8>) {
    let (name, number) = match event {
        chain::Event::RecordsDropped(records) => ("records", *records),
        chain::Event::RequestsRefused(requests) => ("requests", *requests),
        // No chain is sent by OTLP.
        chain::Event::ChainStart(_) | chain::Event::Checkpoint(_) => return,
    };
    message(out, LOG_RECORDS, |out| {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for field in [TIME, OBSERVED_TIME] {
            tag(out, field, FIXED_64);
            out.extend_from_slice(&plain::nanoseconds(since_epoch).to_le_bytes());
        }
        tag(out, SEVERITY, VARINT);
        out.push(17);
        string(out, SEVERITY_TEXT, b"ERROR");
        string(out, EVENT_NAME, ["promgate.", event.name()].concat().as_bytes());
        message(out, BODY, |out| string(out, STRING, event.name().as_bytes()));
        attribute(out, Field::Version, |out| int(out, SCHEMA_VERSION));
        named(out, ["promgate.audit.", name].concat().as_bytes(), |out| int(out, number));
    });
}

/// How many bytes the first entries have that fit together into `bytes_max`, and how many they are: at least one.
pub(super) fn entries(bytes: &[u8], bytes_max: usize) -> (usize, u64) {
    let (mut taken, mut count) = (0, 0);
    while let Some(length) = bytes.get(taken..).and_then(entry_bytes) {
        if count > 0 && taken + length > bytes_max {
            break;
        }
        taken += length;
        count += 1;
    }
    if count == 0 { (bytes.len(), 1) } else { (taken, count) }
}

/// Bytes of the first entry, its tag and its length of three bytes included.
fn entry_bytes(bytes: &[u8]) -> Option<usize> {
    let [_tag, low, middle, high] = *bytes.first_chunk()?;
    let bits = |byte: u8, place: u32| usize::from(byte & 0x7f) << place;
    Some(4 + (bits(low, 0) | bits(middle, 7) | bits(high, 14))).filter(|end| *end <= bytes.len())
}

fn put(out: &mut Vec<u8>, field: Field, value: Value<'_>, rules: &Rules) {
    match (field, value) {
        (Field::TraceId, Value::Text(id)) => trace_id(out, id),
        (Field::Peer, Value::Socket(peer)) => {
            attribute(out, field, |out| text(out, |out| plain::address(out, peer.ip())));
            named(out, b"network.peer.port", |out| int(out, u64::from(peer.port())));
        }
        (field, value) => attribute(out, field, |out| any(out, field, value, rules)),
    }
}

/// Appends the fields of an `AnyValue`.
fn any(out: &mut Vec<u8>, field: Field, value: Value<'_>, rules: &Rules) {
    let bytes_max = field.bytes_max();
    match value {
        Value::Word(word) => string(out, STRING, word.as_bytes()),
        Value::Text(value) => text(out, |out| put_plain(out, value.as_bytes(), bytes_max)),
        Value::Client(value) => text(out, |out| rules.put_field(out, field, value, put_plain)),
        Value::Number(number) => int(out, number),
        Value::Time(time) => text(out, |out| plain::time(out, time)),
        Value::Span(span) => {
            tag(out, DOUBLE, FIXED_64);
            out.extend_from_slice(&span.as_secs_f64().to_le_bytes());
        }
        Value::Socket(peer) => text(out, |out| plain::socket(out, peer)),
        Value::Address(address) => text(out, |out| plain::address(out, address)),
        Value::Seat(node, worker) => text(out, |out| {
            put_plain(out, node.as_bytes(), bytes_max);
            out.push(b'/');
            json::number(out, u64::from(worker));
        }),
        Value::List(texts) => list(out, texts, |out, text| {
            put_plain(out, text.as_bytes(), bytes_max);
        }),
        Value::ClientList(texts) => list(out, texts, |out, text| {
            rules.put_field(out, field, text.as_bytes(), put_plain);
        }),
        Value::Headers(headers) => message(out, KEY_VALUES, |out| {
            for (name, shown) in headers.iter() {
                key_value(out, 1, name.as_bytes(), |out| {
                    text(out, |out| line::header(out, shown, rules, put_plain));
                });
            }
        }),
        Value::Arguments(arguments) => message(out, KEY_VALUES, |out| {
            for (name, value) in arguments.iter() {
                key_value(out, 1, name.as_bytes(), |out| {
                    text(out, |out| put_plain(out, value, ARGUMENT_BYTES_MAX));
                });
            }
        }),
    }
}

/// Appends the `array_value` of an `AnyValue`.
fn list(out: &mut Vec<u8>, texts: &[Box<str>], put: impl Fn(&mut Vec<u8>, &str)) {
    message(out, ARRAY, |out| {
        for value in texts {
            // `ArrayValue.values`
            message(out, 1, |out| text(out, |out| put(out, value)));
        }
    });
}

/// Spec: OpenTelemetry, logs data model, severity: INFO, WARN, ERROR.
const fn severity(record: &Record<'_>) -> (u8, &'static str) {
    match record.outcome {
        Outcome::Ok | Outcome::ClientGone => (9, "INFO"),
        Outcome::CallerError
        | Outcome::Rejected
        | Outcome::NotFound
        | Outcome::Unauthenticated
        | Outcome::Forbidden
        | Outcome::RateLimited
        | Outcome::UnknownSession
        | Outcome::TooLarge
        | Outcome::SlowClient => (13, "WARN"),
        Outcome::BackendError
        | Outcome::Overloaded
        | Outcome::Timeout
        | Outcome::Unavailable
        | Outcome::Internal => (17, "ERROR"),
    }
}

fn trace_id(out: &mut Vec<u8>, id: &str) {
    let Ok(number) = u128::from_str_radix(id, 16) else { return };
    string(out, TRACE_ID, &number.to_be_bytes());
}

fn attribute(out: &mut Vec<u8>, field: Field, put: impl FnOnce(&mut Vec<u8>)) {
    named(out, field.otel_name().as_bytes(), put);
}

fn named(out: &mut Vec<u8>, name: &[u8], put: impl FnOnce(&mut Vec<u8>)) {
    key_value(out, ATTRIBUTES, name, put);
}

/// Appends a `KeyValue`.
fn key_value(out: &mut Vec<u8>, field: u8, name: &[u8], put: impl FnOnce(&mut Vec<u8>)) {
    message(out, field, |out| {
        string(out, 1, name);
        message(out, 2, put);
    });
}

/// Appends the `string_value` of an `AnyValue`.
fn text(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    message(out, STRING, put);
}

/// Appends the `int_value` of an `AnyValue`.
fn int(out: &mut Vec<u8>, number: u64) {
    tag(out, INT, VARINT);
    varint(out, number);
}

/// Appends text or bytes whose length is known.
fn string(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    tag(out, field, BYTES);
    varint(out, u64::try_from(bytes.len()).unwrap_or_default());
    out.extend_from_slice(bytes);
}

fn tag(out: &mut Vec<u8>, field: u8, wire_type: u8) {
    out.push(field << 3 | wire_type);
}

fn varint(out: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    while rest > 0x7f {
        out.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_bits(rest));
}

/// Appends what `put` writes, after its length in three bytes: 2 MiB, and no record comes near that.
fn message(out: &mut Vec<u8>, field: u8, put: impl FnOnce(&mut Vec<u8>)) {
    const LENGTH_BYTES: usize = 3;
    tag(out, field, BYTES);
    let place = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    put(out);
    let length = u64::try_from(out.len() - place - LENGTH_BYTES).unwrap_or_default();
    if let Some(bytes) = out.get_mut(place..).and_then(<[u8]>::first_chunk_mut) {
        *bytes = [low_bits(length) | 0x80, low_bits(length >> 7) | 0x80, low_bits(length >> 14)];
    }
}

fn low_bits(number: u64) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

#[cfg(test)]
mod tests;
