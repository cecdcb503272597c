use std::collections::BTreeMap;

use super::*;
use crate::{
    access_log::{Format, Tell as _, trial},
    config::{Records, Redaction},
};

/// A field of a message: its number, and what it holds.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Number(u64),
    Fixed(u64),
    Bytes(Vec<u8>),
}

/// Reads a message as any reader of protobuf does.
fn parts_of(mut bytes: &[u8]) -> Vec<(u64, Part)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for place in 0.. {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let part = match tag & 7 {
            0 => Part::Number(varint(&mut bytes)),
            1 => {
                let (fixed, rest) = bytes.split_first_chunk().unwrap();
                bytes = rest;
                Part::Fixed(u64::from_le_bytes(*fixed))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (held, rest) = bytes.split_at(length);
                bytes = rest;
                Part::Bytes(held.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        parts.push((tag >> 3, part));
    }
    parts
}

fn held(part: &Part) -> &[u8] {
    let Part::Bytes(bytes) = part else { panic!("{part:?}") };
    bytes
}

/// An `AnyValue` in words.
fn value(bytes: &[u8]) -> String {
    let parts = parts_of(bytes);
    let [(kind, part)] = &parts[..] else { panic!("one value: {parts:?}") };
    match (kind, part) {
        (1, Part::Bytes(text)) => String::from_utf8(text.clone()).unwrap(),
        (3, Part::Number(number)) => number.to_string(),
        (4, Part::Fixed(bits)) => format!("{:?}", f64::from_bits(*bits)),
        (5, Part::Bytes(list)) => {
            let values = parts_of(list);
            let values: Vec<_> = values.iter().map(|(_, part)| value(held(part))).collect();
            format!("[{}]", values.join(","))
        }
        (6, Part::Bytes(list)) => {
            let pairs = parts_of(list);
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(_, part)| {
                    let (key, value) = key_value(held(part));
                    format!("{key}={value}")
                })
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
        other => panic!("{other:?}"),
    }
}

fn key_value(bytes: &[u8]) -> (String, String) {
    let parts = parts_of(bytes);
    let [(1, key), (2, held_value)] = &parts[..] else { panic!("{parts:?}") };
    (String::from_utf8(held(key).to_vec()).unwrap(), value(held(held_value)))
}

struct Read {
    fields: BTreeMap<u64, Part>,
    attributes: Vec<(String, String)>,
}

fn read(record: &Record<'_>, records: Records) -> Read {
    let bytes = trial::bytes(record, Format::Otlp, &trial::rules(records));
    let entries = parts_of(&bytes);
    let [(2, entry)] = &entries[..] else { panic!("one entry: {entries:?}") };
    let mut read = Read { fields: BTreeMap::new(), attributes: Vec::new() };
    for (number, part) in parts_of(held(entry)) {
        if number == 6 {
            read.attributes.push(key_value(held(&part)));
        } else {
            assert_eq!(read.fields.insert(number, part), None, "field {number} once");
        }
    }
    read
}

impl Read {
    fn attribute(&self, name: &str) -> Option<&str> {
        let mut of_name = self.attributes.iter().filter(|(key, _)| key == name);
        let found = of_name.next().map(|(_, value)| value.as_str());
        assert_eq!(of_name.next(), None, "{name} once");
        found
    }
}

#[test]
fn a_record_is_a_log_record() {
    let record = Record { trace_id: Some("0af7651916cd43dd8448eb211c80319c"), ..trial::record() };
    let read = read(&record, Records::default());
    let time = Part::Fixed(1_795_201_714_007_000_000);
    assert_eq!((&read.fields[&1], &read.fields[&11]), (&time, &time));
    assert_eq!(read.fields[&2], Part::Number(9));
    assert_eq!(held(&read.fields[&3]), b"INFO");
    assert_eq!(value(held(&read.fields[&5])), "request finished");
    assert_eq!(held(&read.fields[&9])[..4], [0x0a, 0xf7, 0x65, 0x19]);
    assert_eq!(held(&read.fields[&9]).len(), 16);
    assert_eq!(held(&read.fields[&12]), b"promgate.request");
    for (name, wanted) in [
        ("http.response.status_code", "200"),
        ("network.peer.address", "10.0.200.7"),
        ("network.peer.port", "38288"),
        ("gen_ai.tool.name", "prometheus_query"),
        ("promgate.duration", "0.012034"),
        ("promgate.query.metrics", "[up]"),
        ("promgate.owner", "local/3"),
    ] {
        assert_eq!(read.attribute(name), Some(wanted), "{name}");
    }
}

#[test]
fn every_field_has_a_name_of_its_own() {
    trial::full(|record| {
        let read = read(record, Records::default());
        for field in Field::ALL {
            let own = matches!(field, Field::Time | Field::TraceId | Field::Event);
            assert_eq!(read.attribute(field.otel_name()).is_some(), !own, "{field:?}");
        }
        assert_eq!(read.attribute("promgate.arguments"), Some("{query=up}"));
        assert_eq!(read.attribute("promgate.headers"), Some("{accept=*/*}"));
        assert_eq!(read.attribute("user.roles"), Some("[sre,dev]"));
    });
}

#[test]
fn severity_follows_the_outcome() {
    let of = |outcome| {
        let read = read(&Record { outcome, ..trial::record() }, Records::default());
        String::from_utf8(held(&read.fields[&3]).to_vec()).unwrap()
    };
    assert_eq!(of(Outcome::Forbidden), "WARN");
    assert_eq!(of(Outcome::Internal), "ERROR");
}

#[test]
fn rules_hold_here_too_and_text_is_utf_8() {
    let records = Records {
        fields_excluded: vec![Field::RpcId],
        fields_redacted: vec![(Field::Peer, Redaction::Mask), (Field::Tool, Redaction::Length)],
        ..Records::default()
    };
    let read = read(&Record { user_agent: Some(b"a\xffb"), ..trial::record() }, records);
    assert_eq!(read.attribute("jsonrpc.request.id"), None);
    assert_eq!(read.attribute("network.peer.address"), Some("***"));
    assert_eq!(read.attribute("network.peer.port"), None);
    assert_eq!(read.attribute("gen_ai.tool.name"), Some("len:16"));
    assert_eq!(read.attribute("user_agent.original"), Some("a\u{fffd}b"));
}

#[test]
fn entries_stand_one_after_the_other() {
    let rules = trial::rules(Records::default());
    let mut out = trial::bytes(&trial::record(), Format::Otlp, &rules);
    trial::record().write(Format::Otlp, &rules, &mut out);
    assert_eq!(parts_of(&out).len(), 2);
}
