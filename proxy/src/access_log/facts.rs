//! A record as filters see it.

use super::{Field, Tell, Value, plain};
use crate::expression::Facts;

/// The facts of a record that are not objects, before any rule of the log: a filter shows nothing.
/// Seldom wanted, so it is kept out of the way of each record.
#[inline(never)]
pub(super) fn of(told: &impl Tell) -> Facts {
    let mut facts = Facts::none();
    told.record().visit(&mut |field, value| add(&mut facts, field, value));
    facts
}

fn add(facts: &mut Facts, field: Field, value: Value<'_>) {
    let bytes_max = field.bytes_max();
    let mut written = Vec::new();
    match value {
        Value::Word(word) => return facts.text(field, word),
        Value::Text(text) => return facts.text(field, text),
        Value::Client(text) => {
            let text = text.get(..bytes_max.min(text.len())).unwrap_or_default();
            return facts.text(field, &String::from_utf8_lossy(text));
        }
        Value::Number(number) => return facts.number(field, number),
        Value::Span(span) => return facts.decimal(field, span.as_secs_f64() * 1000.0),
        Value::List(texts) | Value::ClientList(texts) => {
            return facts.list(field, texts.iter().map(|text| &**text));
        }
        Value::Headers(_) | Value::Arguments(_) => return,
        Value::Time(time) => plain::time(&mut written, time),
        Value::Socket(peer) => plain::socket(&mut written, peer),
        Value::Address(address) => plain::address(&mut written, address),
        Value::Seat(node, worker) => return facts.text(field, &format!("{node}/{worker}")),
    }
    facts.text(field, &String::from_utf8_lossy(&written));
}
