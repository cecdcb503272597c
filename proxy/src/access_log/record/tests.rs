use std::net::{Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::{
    access_log::{Field, Value, redact::Rule, trial},
    config::{Records, Redaction},
};

fn line(record: &Record<'_>) -> String {
    trial::written(record, Format::Json, &trial::rules(Records::default()))
}

fn read(record: &Record<'_>) -> Json {
    let line = line(record);
    assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line:?}");
    serde_json::from_str(&line).unwrap()
}

fn record() -> Record<'static> {
    trial::record()
}

#[test]
fn a_full_record_is_this_line() {
    assert_eq!(
        line(&record()),
        concat!(
            r#"{"v":1,"time":"2026-11-20T19:08:34.007Z","request_id":"r-1","replica":"local","#,
            r#""listener":"clients","method":"POST","path":"/mcp","http_version":"1.1","#,
            r#""status":200,"duration_ms":12.034,"bytes_in":151,"bytes_out":0,"#,
            r#""peer":"10.0.200.7:38288","client":"192.0.2.9","user_agent":"curl/8","#,
            r#""era":"session","protocol_version":"2025-11-25","client_name":"inspector","#,
            r#""client_version":"0.9.1","rpc_method":"tools/call","rpc_id":"7","#,
            r#""tool":"prometheus_query","auth":"off","backend":"eu","#,
            r#""upstream_status":200,"upstream_ms":8.500,"retries":0,"#,
            r#""query_fingerprint":"00112233aabbccdd","query_form":"parsed","query_metrics":["up"],"#,
            r#""rows":3,"rows_total":3,"answer_bytes":512,"worker":3,"owner":"local/3","hop":0,"#,
            r#""outcome":"ok"}"#,
            "\n"
        )
    );
}

#[test]
fn a_refusal_says_why_in_one_word() {
    let refused = Record {
        outcome: Outcome::Unauthenticated,
        reason: Some("bad_signature"),
        auth: Some("refused"),
        limit: Some(Limit::AddressRate),
        ..record()
    };
    let value = read(&refused);
    assert_eq!(value["outcome"], "unauthenticated");
    assert_eq!(value["reason"], "bad_signature");
    assert_eq!(value["auth"], "refused");
    assert_eq!(value["limit"], "address_rate");
}

#[test]
fn what_is_not_known_is_left_out() {
    let bare = Record { outcome: Outcome::ClientGone, ..Record::default() };
    let value = read(&bare);
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let wanted = [
        "bytes_in",
        "bytes_out",
        "duration_ms",
        "http_version",
        "method",
        "outcome",
        "path",
        "request_id",
        "time",
        "v",
    ];
    assert_eq!(keys, wanted);
}

#[test]
fn a_stream_says_when_it_opens_and_when_it_ends() {
    let stream = Record { stream: Some("session"), ..record() };
    let open = read(&Record { event: Event::StreamOpen, ..stream });
    assert_eq!((&open["event"], &open["stream"]), (&"stream_open".into(), &"session".into()));
    assert_eq!(open.get("outcome"), None, "nobody knows yet");
    let end = read(&Record { event: Event::StreamEnd, ..stream });
    assert_eq!((&end["event"], &end["outcome"]), (&"stream_end".into(), &"ok".into()));
    assert!(line(&stream).starts_with(r#"{"v":1,"time":"#));
    let open = line(&Record { event: Event::StreamOpen, ..stream });
    assert!(open.starts_with(r#"{"v":1,"event":"stream_open","time":"#), "{open}");
}

#[test]
fn fields_are_shown_once_and_in_their_order() {
    let mut seen = Vec::new();
    trial::full(|record| {
        record.visit(&mut |field, _| seen.push(field));
        assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
        let missing: Vec<_> = Field::ALL.iter().filter(|field| !seen.contains(field)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    });
}

#[test]
fn a_query_a_fragment_and_an_authority_never_show() {
    let shown = |path: &'static [u8]| read(&Record { path, ..record() })["path"].clone();
    assert_eq!(shown(b"/mcp?access_token=canary"), "/mcp");
    assert_eq!(shown(b"/a#canary"), "/a");
    assert_eq!(shown(b"http://user:canary@host/mcp"), "(not a path)");
    assert_eq!(shown(b"canary:443"), "(not a path)");
    assert_eq!(shown(b"*"), "*");
    assert_eq!(shown(b""), "(not a path)");
    let shown = |uri| read(&Record { resource: Some(uri), ..record() })["resource"].clone();
    assert_eq!(shown("prom://eu/rules?token=canary#canary"), "prom://eu/rules");
    assert_eq!(shown("https://user:canary@host/x"), "(not shown)");
    assert_eq!(shown("prom://eu/owner@canary"), "(not shown)", "a user could stand anywhere");
    // Whoever reads the list of fields has to know these.
    assert!(Field::Path.meaning().contains(visit::NOT_A_PATH));
    assert!(Field::Resource.meaning().contains(visit::NOT_SHOWN));
}

#[test]
fn a_clients_text_is_cut_and_cannot_break_the_line() {
    let long = "x y".repeat(400);
    let value = read(&Record {
        path: &[b'/'; 1000],
        user_agent: Some(long.as_bytes()),
        rpc_method: Some(&long),
        tool: Some("a\"},\n{\"b"),
        ..record()
    });
    assert_eq!(value["path"].as_str().unwrap().len(), 512 + 3);
    assert_eq!(value["user_agent"].as_str().unwrap().len(), 256 + 3);
    assert_eq!(value["rpc_method"].as_str().unwrap().len(), 128 + 3);
    assert_eq!(value["tool"], "a\"},\n{\"b");
}

#[test]
fn an_ipv6_peer_stands_in_brackets() {
    let peer = Some(SocketAddr::from((Ipv6Addr::LOCALHOST, 80)));
    assert_eq!(read(&Record { peer, ..record() })["peer"], "[::1]:80");
    let client = Some(IpAddr::from(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(read(&Record { client, ..record() })["client"], "10.0.0.1");
}

#[test]
fn the_headers_that_rules_show_are_an_object_of_the_record() {
    let rules = trial::rules_with(Records::default(), |config| {
        config.included_headers = vec![http::header::ACCEPT];
        config.redacted_headers = vec![http::header::AUTHORIZATION];
    });
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer canary"));
    let shown = |headers| {
        let record = Record { headers: rules.headers(headers), ..record() };
        serde_json::from_str::<Json>(&trial::written(&record, Format::Json, &rules)).unwrap()
    };
    let wanted = serde_json::json!({"accept": "*/*", "authorization": "***"});
    assert_eq!(shown(&headers)["headers"], wanted);
    assert_eq!(shown(&HeaderMap::new()).get("headers"), None);
}

#[test]
fn lost_records_are_told_of_in_one_line() {
    let mut out = Vec::new();
    let event = crate::access_log::chain::Event::RecordsDropped(17);
    event.write_to(&mut out, crate::config::SinkFormat::Json, record().time);
    let wanted =
        r#"{"v":1,"event":"records_dropped","time":"2026-11-20T19:08:34.007Z","records":17"#;
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

proptest! {
    #[test]
    fn any_facts_make_one_line_of_json(
        path in proptest::collection::vec(any::<u8>(), 0..600),
        user_agent in proptest::collection::vec(any::<u8>(), 0..300),
        rpc_id in proptest::collection::vec(any::<u8>(), 0..64),
        tool in any::<String>(),
        status in any::<u16>(),
        micros in any::<u64>(),
    ) {
        let value = read(&Record {
            path: &path,
            user_agent: Some(&user_agent),
            rpc_id: Some(&rpc_id),
            tool: Some(&tool),
            status: Some(status),
            duration: Duration::from_micros(micros),
            ..record()
        });
        prop_assert_eq!(&value["status"], status);
        prop_assert!(value["duration_ms"].is_f64());
    }
}

/// The line as it would be if each fact were written for itself, and no text known to be plain.
fn by_looking_at_all(record: &Record<'_>) -> String {
    by_looking_at_all_with(record, &trial::rules(Records::default()))
}

fn by_looking_at_all_with(record: &Record<'_>, rules: &Rules) -> String {
    let mut out = Vec::new();
    line::begin(&mut out, record.event.word(), record.time);
    record.visit(&mut |field: Field, value: Value<'_>| match rules.rule(field) {
        Rule::Leave => {}
        Rule::Show => {
            out.extend_from_slice(format!(",\"{}\":", field.name()).as_bytes());
            line::put(&mut out, field, value, rules);
        }
        Rule::Redact(redaction) => {
            out.extend_from_slice(format!(",\"{}\":\"", field.name()).as_bytes());
            rules.put_redacted(&mut out, (field, redaction), value);
            out.push(b'"');
        }
    });
    out.extend_from_slice(b"}\n");
    String::from_utf8(out).unwrap()
}

#[test]
fn an_address_that_is_told_twice_is_told_as_one_that_is_told_once() {
    let v4: IpAddr = [192, 0, 2, 9].into();
    let v6: IpAddr = "2001:db8::9".parse().unwrap();
    let mapped: IpAddr = "::ffff:192.0.2.9".parse().unwrap();
    let redacted = |field, redaction| Records {
        fields_redacted: vec![(field, redaction)],
        ..Records::default()
    };
    let excluded = |field| Records { fields_excluded: vec![field], ..Records::default() };
    for records in [
        Records::default(),
        redacted(Field::Peer, Redaction::Mask),
        redacted(Field::Client, Redaction::Hash),
        redacted(Field::Client, Redaction::Length),
        excluded(Field::Peer),
        excluded(Field::Client),
    ] {
        let rules = trial::rules(records);
        for (peer, client) in [
            (Some(v4), Some(v4)),
            (Some(v6), Some(v6)),
            (Some(mapped), Some(v4)),
            (Some(v4), Some(v6)),
            (Some(v4), None),
            (None, Some(v4)),
        ] {
            let peer = peer.map(|address| SocketAddr::new(address, 65_535));
            let told = Record { peer, client, ..record() };
            let line = trial::written(&told, Format::Json, &rules);
            assert_eq!(line, by_looking_at_all_with(&told, &rules));
        }
    }
}

#[test]
fn names_of_whatever_length_are_written_as_each_fact_for_itself() {
    for length in [0, 1, 64, 65, 127, 128, 129, 259, 5000] {
        let plain = "n".repeat(length);
        let spaced = "n ".repeat(length / 2);
        for name in [&plain, &spaced] {
            let told = Record {
                replica: Some(name),
                owner: Some((name, u16::MAX)),
                client_version: Some(name),
                path: name.as_bytes(),
                rule: Some(name),
                via: Some(name),
                ..record()
            };
            assert_eq!(line(&told), by_looking_at_all(&told), "{length}");
        }
    }
}

#[test]
fn an_id_that_we_made_is_shown_as_one_of_a_client_that_hides_nothing() {
    let all = Records::default;
    let form = |form| Records { fields_redacted: vec![(Field::RequestId, form)], ..all() };
    let told = Record { request_id: b"0192f0c1a7d47b3e9a52f1c0de4b8a61", ..record() };
    let made = Record { made_id: true, ..told };
    for records in [
        all(),
        form(Redaction::Mask),
        form(Redaction::Hash),
        form(Redaction::Length),
        Records { fields_excluded: vec![Field::RequestId], ..all() },
    ] {
        let rules = trial::rules(records);
        for format in Format::ALL {
            let made = trial::bytes(&made, format, &rules);
            assert_eq!(made, trial::bytes(&told, format, &rules), "{format:?}");
        }
    }
}

#[test]
fn what_one_log_remembers_is_not_shown_by_another() {
    let changed = |change: fn(&mut Records)| {
        let mut records = Records::default();
        change(&mut records);
        trial::rules(records)
    };
    let shown = changed(|_| ());
    let others = [
        changed(|records| records.fields_redacted = vec![(Field::UserAgent, Redaction::Mask)]),
        changed(|records| records.fields_redacted = vec![(Field::ClientName, Redaction::Hash)]),
        changed(|records| records.fields_redacted = vec![(Field::RpcMethod, Redaction::Length)]),
        changed(|records| records.fields_excluded = vec![Field::Replica]),
        changed(|records| records.fields_excluded = vec![Field::Era]),
    ];
    for other in &others {
        for rules in [&shown, &shown, other, other, &shown] {
            let line = trial::written(&record(), Format::Json, rules);
            assert_eq!(line, by_looking_at_all_with(&record(), rules));
        }
    }
}

/// Texts with what detectors look for, what JSON escapes, and what is neither.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        "[ -~]{0,20}",
        "[a-z0-9/._-]{0,20}",
        "[0-9]{10,20}",
        "[0-9a-f]{28,36}",
        Just("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln".to_owned()),
        Just("a%40example.com".to_owned()),
        Just("Bearer hunter2".to_owned()),
        "\\PC{0,8}",
    ];
    let text = proptest::collection::vec(pieces, 0..4).prop_map(|pieces| pieces.concat().into());
    prop_oneof![3 => text, 1 => proptest::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn what_is_known_to_be_plain_is_written_as_all_else_is(agent in texts(), id in texts(), path in texts()) {
        let name = String::from_utf8_lossy(&agent);
        let told = Record {
            user_agent: Some(&agent),
            rpc_id: Some(&id),
            path: &path,
            client_name: Some(&name),
            call: Some(&Call { tenant: Some(&name), ..*trial::CALL }),
            ..record()
        };
        prop_assert_eq!(line(&told), by_looking_at_all(&told));
    }

    #[test]
    fn what_is_remembered_is_written_as_what_is_new(
        said in proptest::collection::vec(proptest::option::of(texts()), 3),
        order in proptest::collection::vec((0..3_usize, 0..3_usize, 0..3_usize), 1..40),
    ) {
        let rules = trial::rules(Records::default());
        for (agent, name, path) in order {
            let name = said[name].as_deref().map(String::from_utf8_lossy);
            let told = Record {
                user_agent: said[agent].as_deref(),
                client_name: name.as_deref(),
                rpc_method: name.as_deref(),
                path: said[path].as_deref().unwrap_or(b"/mcp"),
                ..record()
            };
            prop_assert_eq!(trial::written(&told, Format::Json, &rules), by_looking_at_all(&told));
        }
    }
}
