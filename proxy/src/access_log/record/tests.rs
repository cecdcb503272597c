use std::net::{Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{access_log::redact::HeaderRules, config::AccessLog};

fn record() -> Record<'static> {
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_201_714_007),
        request_id: "r-1",
        method: "POST",
        path: b"/mcp",
        http_version: http::Version::HTTP_11,
        status: Some(200),
        duration: Duration::from_micros(12_034),
        bytes_in: 151,
        bytes_out: 0,
        peer: Some(SocketAddr::from((Ipv4Addr::new(10, 0, 200, 7), 38288))),
        user_agent: Some(b"curl/8"),
        rpc_method: Some("tools/call"),
        tool: Some("prometheus_query"),
        backend: Some("eu"),
        worker: Some(3),
        owner: None,
        hop: 0,
        via: None,
        client: None,
        era: Some("session"),
        outcome: Outcome::Ok,
        reason: None,
        headers: None,
    }
}

fn line(record: &Record<'_>) -> String {
    let mut line = Vec::new();
    record.write_to(&mut line);
    String::from_utf8(line).unwrap()
}

fn read(record: &Record<'_>) -> Value {
    let line = line(record);
    assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line:?}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_full_record_is_this_line() {
    assert_eq!(
        line(&record()),
        concat!(
            r#"{"time":"2026-11-20T19:08:34.007Z","request_id":"r-1","method":"POST","#,
            r#""path":"/mcp","http_version":"1.1","status":200,"duration_ms":12.034,"#,
            r#""bytes_in":151,"bytes_out":0,"peer":"10.0.200.7:38288","user_agent":"curl/8","#,
            r#""rpc_method":"tools/call","tool":"prometheus_query","backend":"eu","#,
            r#""era":"session","worker":3,"outcome":"ok"}"#,
            "\n"
        )
    );
}

#[test]
fn a_refusal_says_why_in_one_word() {
    let refused =
        Record { outcome: Outcome::Unauthenticated, reason: Some("bad_signature"), ..record() };
    let value = read(&refused);
    assert_eq!(value["outcome"], "unauthenticated");
    assert_eq!(value["reason"], "bad_signature");
}

#[test]
fn what_is_not_known_is_left_out() {
    let bare = Record {
        status: None,
        peer: None,
        user_agent: None,
        rpc_method: None,
        tool: None,
        backend: None,
        worker: None,
        era: None,
        outcome: Outcome::ClientGone,
        ..record()
    };
    let value = read(&bare);
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = vec![
        "time",
        "request_id",
        "method",
        "path",
        "http_version",
        "duration_ms",
        "bytes_in",
        "bytes_out",
        "outcome",
    ];
    wanted.sort_unstable();
    let mut keys = keys;
    keys.sort_unstable();
    assert_eq!(keys, wanted);
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
}

#[test]
fn a_clients_text_is_cut_and_cannot_break_the_line() {
    let long = "x".repeat(1000);
    let agent = [b'u'; 1000];
    let value = read(&Record {
        path: &[b'/'; 1000],
        user_agent: Some(&agent),
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
}

#[test]
fn times_are_right_over_days_years_and_broken_clocks() {
    let shown = |time| read(&Record { time, ..record() })["time"].clone();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_millis(seconds);
    assert_eq!(shown(at(0)), "1970-01-01T00:00:00.000Z");
    assert_eq!(shown(at(951_868_799_999)), "2000-02-29T23:59:59.999Z");
    assert_eq!(shown(at(951_868_800_000)), "2000-03-01T00:00:00.000Z");
    assert_eq!(shown(at(951_868_800_000)), "2000-03-01T00:00:00.000Z", "from the cache");
    assert_eq!(shown(SystemTime::UNIX_EPOCH - Duration::from_secs(5)), "1970-01-01T00:00:00.000Z");
}

#[test]
fn the_headers_that_rules_show_are_an_object_of_the_record() {
    let rules = HeaderRules::new(&AccessLog {
        included_headers: vec![http::header::ACCEPT],
        excluded_headers: Vec::new(),
        redacted_headers: vec![http::header::AUTHORIZATION],
        ..AccessLog::off()
    });
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer canary"));
    let value = read(&Record { headers: rules.apply(&headers), ..record() });
    assert_eq!(value["headers"], serde_json::json!({"accept": "*/*", "authorization": "***"}));
    let none = HeaderMap::new();
    let value = read(&Record { headers: rules.apply(&none), ..record() });
    assert_eq!(value.get("headers"), None);
}

#[test]
fn lost_records_are_told_of_in_one_line() {
    let mut line = Vec::new();
    write_dropped(&mut line, record().time, 17);
    let wanted =
        "{\"time\":\"2026-11-20T19:08:34.007Z\",\"event\":\"records_dropped\",\"records\":17}\n";
    assert_eq!(String::from_utf8(line).unwrap(), wanted);
}

proptest! {
    #[test]
    fn any_facts_make_one_line_of_json(
        path in proptest::collection::vec(any::<u8>(), 0..600),
        user_agent in proptest::collection::vec(any::<u8>(), 0..300),
        tool in any::<String>(),
        status in any::<u16>(),
        micros in any::<u64>(),
    ) {
        let value = read(&Record {
            path: &path,
            user_agent: Some(&user_agent),
            tool: Some(&tool),
            status: Some(status),
            duration: Duration::from_micros(micros),
            ..record()
        });
        prop_assert_eq!(&value["status"], status);
        prop_assert!(value["duration_ms"].is_f64());
    }
}
