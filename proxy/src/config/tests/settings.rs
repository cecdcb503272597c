//! Every setting arrives where it belongs.

use super::*;
use crate::field::Field;

const EVERYTHING: &str = r#"
server:
  name: n
  version: "1.10"
  transport:
    type: stdio
    http:
      host: "[::1]:0"
      path: /a/b
      h2c: false
      allowed_hosts: ["*", "A.example:8443", "::1"]
      allowed_origins: ["https://a.example", "*"]
      limits:
        body_bytes_max: 2048
        bodies_bytes_max: 4096
        header_timeout: 1s
        body_timeout: 2s
        idle_timeout: 3s
        write_timeout: 4s
        connections_max: 5
        connections_per_address_max: 6
  admin: { host: "off" }
  workers: 3
  limits:
    calls_per_worker_max: 7
    listeners_per_worker_max: 8
    call_timeout: 9s
    stream_after: 10s
    keep_alive: 11s
  drain_timeout: 0s
middleware:
  access_logs:
    output: logs/access.log
    included_headers: [X-A]
    excluded_headers: [x-b]
    redacted_headers: [X-C, x-c]
    queue_bytes_max: 64KiB
sessions: { idle_timeout: 12s, per_worker_max: 13, calls_per_session_max: 14, per_principal_max: 20 }
tools: { query_bytes_max: 100, answer_bytes_max: 4KiB, points_default_max: 15, page_max: 16 }
backends:
  b:
    url: https://b.example/prometheus
    org_id: o
    available_orgs: [o, p, o]
    auth: { type: basic, username: u, password: pw }
    headers: { X-D: d }
    timeout: 17s
    connect_timeout: 18s
    response_bytes_max: 19KiB
  a:
    url: http://a
    auth: { type: token, token: t }
"#;

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn the_settings_of_the_process_arrive() {
    let server = parsed(EVERYTHING).server;
    assert_eq!((server.name.as_str(), server.version.as_str()), ("n", "1.10"));
    assert_eq!(server.transport, Transport::Stdio);
    assert_eq!(server.admin, None);
    assert_eq!((server.workers.unwrap().get(), server.drain_timeout), (3, secs(0)));
}

#[test]
fn the_settings_of_the_listener_arrive() {
    let http = parsed(EVERYTHING).server.http;
    assert_eq!((http.listen.to_string().as_str(), http.path.as_str()), ("[::1]:0", "/a/b"));
    assert!(!http.h2c);
    let exact = |host: &str, port| HostRule::Exact { host: host.into(), port };
    assert_eq!(
        http.allowed_hosts,
        [HostRule::Any, exact("a.example", Some(8443)), exact("::1", None)]
    );
    let origin = OriginRule::Exact { scheme: "https".into(), host: "a.example".into(), port: None };
    assert_eq!(http.allowed_origins, [origin, OriginRule::Any]);
    let limits = HttpLimits {
        body_bytes_max: 2048,
        bodies_bytes_max: 4096,
        header_timeout: secs(1),
        body_timeout: secs(2),
        idle_timeout: secs(3),
        write_timeout: secs(4),
        connections_max: 5,
        connections_per_address_max: 6,
    };
    assert_eq!(http.limits, limits);
}

#[test]
fn the_bounds_of_workers_and_tools_arrive() {
    let config = parsed(EVERYTHING);
    let limits = WorkerLimits {
        sessions_max: 13,
        principal_sessions_max: 20,
        session_calls_max: 14,
        calls_max: 7,
        listeners_max: 8,
        idle_timeout: secs(12),
        call_timeout: secs(9),
        stream_after: secs(10),
        keep_alive: secs(11),
    };
    assert_eq!(config.worker_limits, limits);
    let tools = ToolLimits {
        query_bytes_max: 100,
        answer_bytes_max: 4096,
        points_default_max: 15,
        page_max: 16,
    };
    assert_eq!(config.tools, tools);
}

#[test]
fn the_settings_of_the_access_log_arrive() {
    let log = parsed(EVERYTHING).access_log;
    let [sink] = &log.sinks[..] else { panic!("one sink: {:?}", log.sinks) };
    let Target::File(file) = &sink.target else { panic!("a file: {sink:?}") };
    assert_eq!(*file, LogFile::at("logs/access.log".into()));
    assert_eq!(log.included_headers, ["x-a"]);
    assert_eq!(log.excluded_headers, ["x-b"]);
    assert_eq!(log.redacted_headers, ["x-c"]);
    assert_eq!(sink.queue_bytes_max, 64 << 10);
}

#[test]
fn the_settings_of_records_arrive() {
    let key = "audit: {keys: [0123456789abcdef0123456789abcdef]}";
    let records = "fields: {include: [tool, peer], exclude: [path], redact: {peer: hash}}
    identity: {issuer: off, subject: hashed, client_id: clear}
    arguments: {prometheus_query: {query: clear, time: length}}
    detectors: [jwt, card]
    queries: masked";
    let text = format!(
        "middleware:\n  jwt: {{enabled: false}}\n  access_logs:\n    {key}\n    {records}\n"
    );
    let records = parsed(&with_backend(&text)).access_log.records;
    assert_eq!(records.fields_included, [Field::Tool, Field::Peer]);
    assert_eq!(records.fields_excluded, [Field::Path]);
    assert_eq!(records.fields_redacted, [(Field::Peer, Redaction::Hash)]);
    let Identity { issuer, subject, client_id, groups } = records.identity;
    assert_eq!((issuer, subject), (IdentityForm::Off, IdentityForm::Hashed));
    assert_eq!((client_id, groups), (IdentityForm::Clear, IdentityForm::Off));
    let [tool] = &records.arguments[..] else { panic!("one tool: {:?}", records.arguments) };
    assert_eq!(tool.tool, "prometheus_query");
    let length = ArgumentForm::Redacted(Redaction::Length);
    let wanted = [("query".to_owned(), ArgumentForm::Clear), ("time".to_owned(), length)];
    assert_eq!(tool.arguments, wanted);
    assert_eq!(records.detectors, Detectors { jwt: true, card: true, ..Detectors::NONE });
    assert_eq!(records.queries, Queries::Masked);
    assert_eq!(parsed(ONE_BACKEND).access_log.records, Records::default());
}

#[test]
fn the_settings_of_the_backends_arrive_sorted_by_name() {
    let config = parsed(EVERYTHING);
    let [a, b] = config.backends.as_slice() else { panic!("two backends") };
    assert_eq!((a.name.as_str(), b.name.as_str()), ("a", "b"));
    assert_eq!((a.url.as_str(), b.url.as_str()), ("http://a/", "https://b.example/prometheus"));
    assert!(matches!(&a.auth, BackendAuth::Token(token) if token.expose() == "t"));
    assert!(matches!(&b.auth, BackendAuth::Basic { username, password }
        if username == "u" && password.expose() == "pw"));
    assert_eq!(b.org_id.as_ref().map(OrgId::as_str), Some("o"));
    assert_eq!(b.available_orgs.iter().map(OrgId::as_str).collect::<Vec<_>>(), ["o", "p"]);
    assert_eq!(b.headers["x-d"], "d");
    assert_eq!(
        (b.timeout, b.connect_timeout, b.response_bytes_max),
        (secs(17), secs(18), 19 << 10)
    );
}

#[test]
fn the_debug_form_of_a_configuration_shows_no_secret() {
    let text = with_backend("")
        + "    auth: {type: basic, username: u, password: canary1}\n    headers: {X-K: canary2}\n  \
           q: {url: \"http://q\", auth: {type: token, token: canary3}}\n\
           server: {admin: {token: canary-of-sixteen}}\n\
           sessions: {keys: [canary-of-32-bytes-for-all-sessions], store: redis, \
           redis: {url: \"redis://r\", password: canary4}}\n\
           cluster: {listen: \":1\", advertise: \"a:1\", keys: [canary-of-32-bytes-for-all-replicas], \
           peers: {static: \"a:1\"}}\n";
    let shown = format!("{:?}", parsed(&text));
    assert!(!shown.contains("canary"), "{shown}");
}
