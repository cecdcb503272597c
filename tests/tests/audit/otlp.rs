//! Records by OTLP, as a real collector understands them, and receivers that take none.

use std::{collections::BTreeMap, fs, path::Path};

use e2e::{
    backend::Backend,
    collector::{Collector, LogRecord, Protocol},
    http::once,
    mcp::Client,
    minter,
    paths::temporary_folder,
    process::{PATIENCE, until},
    server::{Server, config, guarded, prometheus},
    tls::Authority,
};
use promgate::field::Field;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const DROPPED: &str = "promgate_access_log_records_dropped_total{sink=\"otlp\"}";
const ERRORS: &str = "promgate_access_log_write_errors_total{sink=\"otlp\"}";
const WRITTEN: &str = "promgate_access_log_records_total{sink=\"otlp\"}";

/// A configuration that shows what records can hold, with a sink of OTLP and a file of JSON.
fn shown(otlp: &Value, file: &Path) -> Value {
    let mut config = guarded(&json!({ "main": prometheus() }));
    config["middleware"]["access_logs"] = json!({
        "included_headers": ["X-Shown"],
        "identity": { "issuer": "clear", "subject": "clear", "client_id": "clear", "groups": "clear" },
        "arguments": { "prometheus_query": { "query": "clear" } },
        "sinks": [otlp, { "name": "file", "type": "file", "path": file }],
    });
    config
}

/// The records of a file, by their requests.
fn of_file(file: &Path) -> BTreeMap<String, Value> {
    let text = fs::read_to_string(file).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.map(|record| (record["request_id"].as_str().unwrap().to_owned(), record)).collect()
}

/// Asserts that a record says the same as its line of JSON, and no more.
fn assert_same(record: &LogRecord, line: &Value) {
    let mut left = record.attributes.clone();
    for (name, value) in line.as_object().unwrap() {
        let field = Field::ALL.iter().find(|field| field.name() == name).expect(name);
        let found = left.remove(field.otel_name()).unwrap_or_default();
        match name.as_str() {
            "time" => {
                let millis = record.time / 1_000_000;
                let seconds = format!(":{:02}.{:03}Z", millis / 1000 % 60, millis % 1000);
                assert!(value.as_str().unwrap().ends_with(&seconds), "{value} is {millis}");
            }
            "trace_id" => assert_eq!(record.trace, *value),
            "peer" => {
                let port = left.remove("network.peer.port").unwrap_or_default();
                assert_eq!(format!("{}:{port}", found.as_str().unwrap()), *value);
            }
            of_time if of_time.ends_with("_ms") => {
                let (seconds, millis) = (found.as_f64().unwrap(), value.as_f64().unwrap());
                assert!((seconds * 1000.0 - millis).abs() < 0.01, "{seconds} s, {millis} ms");
            }
            _ => assert_eq!(found, *value, "{name}"),
        }
    }
    assert_eq!(left, BTreeMap::new(), "what the line does not say");
}

#[test]
fn a_collector_understands_every_kind_of_record_over_both_transports() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::stopped();
        let folder = temporary_folder();
        let file = folder.path().join("access.log");
        let mut sink = collector.log_sink(protocol);
        sink["queue_bytes_max"] = json!("64KiB");
        let server = Server::promgate(&shown(&sink, &file));
        let client = Client::stateless(server.mcp).bearing(&minter::token("alice"));
        // Nobody listens, and the queue overflows.
        until("records are lost", || {
            let _listed = client.call("tools/list", json!({}));
            server.metric(DROPPED) > 2.0
        });
        collector.run();
        let told =
            || collector.records().into_iter().find(|of| of.event == "promgate.records_dropped");
        until("it is told", || told().is_some());
        let lost = told().unwrap().attribute("promgate.audit.records").as_i64().unwrap();
        assert!(lost > 2, "{lost}");
        let arguments =
            json!({ "name": "prometheus_query", "arguments": { "query": "sum(up) + vector(1)" } });
        let request = client
            .request("tools/call", arguments)
            .header("X-Shown", "seen")
            .header("User-Agent", "agent \u{e9}")
            .header("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-01"));
        assert_ne!(client.send(&request).result()["isError"], true);
        let stranger = Client::stateless(server.mcp);
        assert_eq!(stranger.send(&stranger.request("tools/list", json!({}))).status(), 401);
        server.terminate();
        assert!(server.exit(PATIENCE).success());
        let (lines, records) = (of_file(&file), collector.records());
        let of_requests: Vec<_> =
            records.iter().filter(|of| of.event == "promgate.request").collect();
        assert_eq!(of_requests.len() + usize::try_from(lost).unwrap(), lines.len(), "{protocol:?}");
        for record in &of_requests {
            let id = record.attribute(Field::RequestId.otel_name());
            assert_same(record, &lines[id.as_str().unwrap()]);
        }
        let call = of_requests.iter().find(|record| record.trace == TRACE).expect("the call");
        for (field, value) in [
            (Field::Arguments, json!({ "query": "sum(up) + vector(1)" })),
            (Field::Headers, json!({ "x-shown": "seen" })),
            (Field::QueryMetrics, json!(["up"])),
            (Field::Subject, json!("alice")),
        ] {
            assert_eq!(call.attribute(field.otel_name()), value, "{field:?}");
        }
        assert_eq!(call.whole["severityText"], "INFO");
        let refused = of_requests.iter().find(|record| record.whole["severityText"] == "WARN");
        let status = refused.expect("the refusal").attribute(Field::Status.otel_name());
        assert_eq!(status, 401);
    }
}

/// A configuration with this sink alone.
fn with(sink: Value) -> Value {
    let mut config = config(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    config["middleware"]["access_logs"] = json!({ "sinks": [sink] });
    config
}

fn ask(server: &Server) -> u16 {
    let request = Client::stateless(server.mcp).request("tools/list", json!({}));
    once(server.mcp, &request).head.status
}

#[test]
fn records_go_over_tls_to_whom_our_authority_vouches_for_and_to_nobody_else() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
        let collector = Collector::with_tls(&ours);
        let sink_trusting = |authority: &Authority| {
            let mut sink = collector.log_sink(protocol);
            sink["tls"] = json!({ "ca_file": authority.certificate() });
            sink
        };
        let server = Server::promgate(&with(sink_trusting(&foreign)));
        assert_eq!(ask(&server), 200);
        let stderr = server.process().stderr();
        let line = stderr.wait_for("the warning", |line| line.contains("cannot be written"));
        assert!(line.contains("certificate"), "{line}");
        assert!(server.metric(WRITTEN) < 0.5);
        drop(server);
        assert!(collector.records().is_empty());
        let server = Server::promgate(&with(sink_trusting(&ours)));
        assert_eq!(ask(&server), 200);
        server.wait_for_metric(WRITTEN, 1.0);
        assert_eq!(collector.records().len(), 1, "{protocol:?}");
    }
}

#[test]
fn a_receiver_that_lets_us_in_no_longer_stops_requests_and_costs_no_record() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    let opened = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&opened);
    let receiver = Backend::start(move |_, stream| {
        let status = if is_open.load(Ordering::SeqCst) { 200 } else { 401 };
        e2e::backend::answer(stream, status, "text/plain", b"")
    });
    let sink = json!({
        "name": "otlp", "type": "otlp", "endpoint": receiver.url(),
        "when_full": "refuse", "queue_bytes_max": "256KiB",
    });
    let server = Server::promgate(&with(sink));
    let mut answered = 0.0;
    until("no audit, no access", || {
        let status = ask(&server);
        answered += if status == 200 { 1.0 } else { 0.0 };
        status == 503
    });
    assert!(server.metric(ERRORS) > 0.0 && server.metric(DROPPED) < 0.5);
    opened.store(true, Ordering::SeqCst);
    // One that is refused is recorded too, where there is room.
    until("all are written", || server.metric(WRITTEN) >= answered);
    until("requests are served again", || ask(&server) == 200);
    assert!(server.metric(DROPPED) < 0.5);
}
