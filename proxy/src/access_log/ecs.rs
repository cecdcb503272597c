//! A record as one line of JSON with the names of the Elastic Common Schema.
//!
//! Names have dots instead of nested objects, which Elasticsearch takes for the same. What the schema has no name for
//! stands under `promgate.`.

use super::{
    Event, Field, Record, Value, json, line, plain,
    redact::{Rule, Rules},
    short::Keys,
};
use crate::{field::SCHEMA_VERSION, metrics::labels::Outcome};

/// Version of the schema whose names these are.
const ECS_VERSION: &str = "9.1.0";

/// `,"name":` of every field; the longest name has 30 bytes.
static KEYS: Keys<40> = Keys::of(&Field::ECS_NAMES, "\":");

/// Appends the record as one JSON object and a line feed.
#[inline(never)]
pub(super) fn write(record: &Record<'_>, rules: &Rules, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"@timestamp":""#);
    plain::time(out, record.time);
    out.extend_from_slice(br#"","ecs.version":""#);
    out.extend_from_slice(ECS_VERSION.as_bytes());
    out.extend_from_slice(
        br#"","event.kind":"event","event.category":["web"],"event.dataset":"promgate.access","event.action":""#,
    );
    out.extend_from_slice(record.event.word().unwrap_or("request").as_bytes());
    out.extend_from_slice(br#"","promgate.schema":"#);
    json::number(out, SCHEMA_VERSION);
    if record.event != Event::StreamOpen && rules.shows(Field::Outcome) {
        out.extend_from_slice(br#","event.outcome":""#);
        out.extend_from_slice(outcome(record.outcome).as_bytes());
        out.push(b'"');
    }
    record.visit(&mut |field, value| match rules.rule(field) {
        Rule::Leave => {}
        Rule::Show => put(out, field, value, rules),
        Rule::Redact(redaction) => {
            KEYS.append_to(out, field);
            out.push(b'"');
            rules.put_redacted(out, (field, redaction), value);
            out.push(b'"');
        }
    });
    out.extend_from_slice(b"}\n");
}

fn put(out: &mut Vec<u8>, field: Field, value: Value<'_>, rules: &Rules) {
    KEYS.append_to(out, field);
    match (field, value) {
        (Field::DurationMs, Value::Span(span)) => json::number(out, plain::nanoseconds(span)),
        (Field::Peer, Value::Socket(peer)) => {
            line::put(out, field, Value::Address(peer.ip()), rules);
            out.extend_from_slice(br#","source.port":"#);
            json::number(out, u64::from(peer.port()));
        }
        (field, value) => line::put(out, field, value, rules),
    }
}

/// Whether what was asked for was done. Nobody knows of a client that left.
const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "success",
        Outcome::ClientGone => "unknown",
        Outcome::CallerError
        | Outcome::BackendError
        | Outcome::Rejected
        | Outcome::NotFound
        | Outcome::Unauthenticated
        | Outcome::Forbidden
        | Outcome::RateLimited
        | Outcome::UnknownSession
        | Outcome::TooLarge
        | Outcome::Overloaded
        | Outcome::SlowClient
        | Outcome::Timeout
        | Outcome::Unavailable
        | Outcome::Internal => "failure",
    }
}

#[cfg(test)]
mod tests;
