use serde_json::Value as Json;

use super::*;
use crate::{
    access_log::{Format, trial},
    config::{Records, Redaction},
};

fn read(record: &Record<'_>, records: Records) -> Json {
    let line = trial::written(record, Format::Ecs, &trial::rules(records));
    assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line:?}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_record_has_the_names_of_the_schema() {
    let value = read(&trial::record(), Records::default());
    for (name, wanted) in [
        ("@timestamp", "2026-11-20T19:08:34.007Z".into()),
        ("ecs.version", ECS_VERSION.into()),
        ("event.action", "request".into()),
        ("event.outcome", "success".into()),
        ("event.duration", 12_034_000.into()),
        ("source.ip", "10.0.200.7".into()),
        ("source.port", 38288.into()),
        ("client.ip", "192.0.2.9".into()),
        ("http.response.status_code", 200.into()),
        ("user_agent.original", "curl/8".into()),
        ("promgate.tool", "prometheus_query".into()),
        ("promgate.outcome", "ok".into()),
        ("promgate.query.metrics", serde_json::json!(["up"])),
    ] {
        assert_eq!(value[name], wanted, "{name}");
    }
}

#[test]
fn no_name_stands_twice_and_each_field_has_one() {
    trial::full(|record| {
        let line = trial::written(record, Format::Ecs, &trial::rules(Records::default()));
        for field in Field::ALL {
            let key = format!("\"{}\":", field.ecs_name());
            assert_eq!(line.matches(&key).count(), 1, "{key} in {line}");
        }
        let names: std::collections::HashSet<_> = Field::ALL.iter().map(|f| f.ecs_name()).collect();
        assert_eq!(names.len(), Field::COUNT);
    });
}

#[test]
fn an_outcome_is_a_success_or_not() {
    let of = |outcome| read(&Record { outcome, ..trial::record() }, Records::default());
    assert_eq!(of(Outcome::Forbidden)["event.outcome"], "failure");
    assert_eq!(of(Outcome::ClientGone)["event.outcome"], "unknown");
    let open = Record { event: Event::StreamOpen, ..trial::record() };
    let open = read(&open, Records::default());
    assert_eq!(open.get("event.outcome"), None);
    assert_eq!(open["event.action"], "stream_open");
}

#[test]
fn rules_hold_here_too() {
    let records = Records {
        fields_excluded: vec![Field::UserAgent, Field::Outcome],
        fields_redacted: vec![(Field::Peer, Redaction::Mask)],
        ..Records::default()
    };
    let value = read(&trial::record(), records);
    assert_eq!(value.get("user_agent.original"), None);
    assert_eq!(value.get("event.outcome"), None);
    assert_eq!((&value["source.ip"], value.get("source.port")), (&"***".into(), None));
}
