use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    access_log::{Format, Record, Rules, Tell as _},
    config::{self, Records},
};

fn rules(included: &[&str], redacted: &[&str], excluded: &[&str]) -> Rules {
    let names = |list: &[&str]| list.iter().map(|name| name.parse().unwrap()).collect();
    let config = config::AccessLog {
        included_headers: names(included),
        excluded_headers: names(excluded),
        redacted_headers: names(redacted),
        records: Records::default(),
        ..config::AccessLog::off()
    };
    Rules::new(&config, None)
}

fn headers(list: &[(&str, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    map
}

/// The headers of a record with the comma before them; nothing when it has none.
fn written(rules: &Rules, headers: &HeaderMap) -> String {
    let mut line = Vec::new();
    let record = Record { headers: rules.headers(headers), ..Record::default() };
    record.write(Format::Json, rules, &mut line);
    let line = String::from_utf8(line).unwrap();
    serde_json::from_str::<serde_json::Value>(&line).unwrap();
    let place = line.find(",\"headers\"");
    place
        .map(|place| line.split_at(place).1.trim_end().strip_suffix('}').unwrap().to_owned())
        .unwrap_or_default()
}

#[test]
fn only_headers_that_a_rule_names_are_written() {
    let sent = headers(&[("accept", b"*/*"), ("x-other", b"canary"), ("x-id", b"canary")]);
    let rules = rules(&["Accept", "X-Absent"], &["X-Id"], &[]);
    assert_eq!(written(&rules, &sent), r#","headers":{"x-id":"***","accept":"*/*"}"#);
}

#[test]
fn an_absent_header_is_not_made_up() {
    assert_eq!(written(&rules(&["accept"], &["x-id"], &[]), &headers(&[])), "");
}

#[test]
fn no_part_and_no_length_of_a_masked_value_shows() {
    let rules = rules(&[], &["x-short", "x-long"], &[]);
    let sent = headers(&[("x-short", b"ab"), ("x-long", b"abcdefghijklmnop"), ("x-long", b"q")]);
    assert_eq!(written(&rules, &sent), r#","headers":{"x-short":"***","x-long":"***"}"#);
}

#[test]
fn a_secret_is_masked_even_when_the_configuration_includes_it() {
    let names = [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "Mcp-Session-Id",
        "X-Api-Key",
        "Mcp-Param-Query",
        "X-Validated-Jwt",
        "X-Access-Token",
        "X-Client-Secret",
        "X-Password",
        "X-Amz-Credential",
        "X-Forwarded-Auth",
        "X-Auth-Key",
        "Ocp-Apim-Subscription-Key",
        "X-Functions-Key",
        "X-AccessKey",
        "X-Key-1",
        "X-User-Pwd",
        "X-Pass",
        "X-Otp",
        "X-Private",
        "X-Client-Assertion",
        "X-CSRF",
        "X-XSRF-Value",
    ];
    for name in names {
        let shown = written(&rules(&[name], &[], &[]), &headers(&[(name, b"canary")]));
        assert_eq!(shown, format!(",\"headers\":{{\"{}\":\"***\"}}", name.to_lowercase()));
    }
}

#[test]
fn a_name_that_only_looks_like_that_of_a_secret_is_shown() {
    for name in ["X-Keyboard", "X-Shipping", "X-Passenger", "X-Signal", "Accept"] {
        let shown = written(&rules(&[name], &[], &[]), &headers(&[(name, b"a")]));
        assert_eq!(shown, format!(",\"headers\":{{\"{}\":\"a\"}}", name.to_lowercase()));
    }
}

#[test]
fn excluding_wins_over_masking_and_masking_over_showing() {
    let sent = headers(&[("x-a", b"1"), ("x-b", b"2")]);
    let rules = rules(&["x-a", "x-b"], &["x-a", "x-b"], &["x-b"]);
    assert_eq!(written(&rules, &sent), r#","headers":{"x-a":"***"}"#);
}

#[test]
fn every_value_of_a_name_is_written() {
    let sent = headers(&[("x-a", b"one"), ("x-a", b"two")]);
    assert_eq!(written(&rules(&["x-a"], &[], &[]), &sent), r#","headers":{"x-a":"one, two"}"#);
}

#[test]
fn bytes_that_are_not_utf_8_and_long_values_make_sound_json() {
    let rules = rules(&["x-a"], &[], &[]);
    let sent = headers(&[("x-a", b"\x80\xff\"\\"), ("x-a", &[b'y'; 600]), ("x-a", b"z")]);
    let shown = written(&rules, &sent);
    assert!(shown.starts_with(",\"headers\":{\"x-a\":\"\u{fffd}\u{fffd}\\\"\\\\, yyy"));
    assert!(shown.ends_with("yyy…\"}"), "{shown}");
    assert!(shown.len() < 600);
}

#[test]
fn debug_shows_no_header() {
    let rules = rules(&["x-a"], &[], &[]);
    let sent = headers(&[("x-a", b"canary")]);
    assert!(!format!("{:?}", rules.headers(&sent)).contains("canary"));
}
