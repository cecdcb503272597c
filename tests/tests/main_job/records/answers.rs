//! What was asked of a backend, and how much of its answer was given.

use e2e::{
    backend::Backend,
    http::once,
    mcp::Client,
    server::{Server, config},
};
use serde_json::{Value, json};

const SERIES: usize = 10;

/// A backend that knows ten series, each with a label of a kilobyte.
fn backend() -> Backend {
    let series = (0..SERIES).map(|number| {
        let labels = json!({ "job": number.to_string(), "long": "a ".repeat(500) });
        json!({ "metric": labels, "values": [[1_769_860_800, "1"]] })
    });
    let series: Vec<Value> = series.collect();
    Backend::with_data(&json!({ "resultType": "matrix", "result": series }))
}

fn start(backend: &Backend) -> Server {
    let main = json!({ "url": backend.url(), "org_id": "team-a", "available_orgs": ["team-b"] });
    let mut config = config(&json!({ "main": main }));
    config["tools"] = json!({ "answer_bytes_max": "4KiB" });
    config["middleware"]["access_logs"]["queries"] = json!("masked");
    Server::promgate(&config)
}

/// The record of an hour of the same query, by minutes, with these arguments beside.
fn called(server: &Server, id: &str, more: Value) -> Value {
    let mut arguments = json!({
        "query": r#"sum by (job) (rate(http_requests_total{code="418"}[5m]))"#,
        "start": 1_769_860_800, "end": 1_769_864_400, "step": "60s",
    });
    let all = arguments.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    let params = json!({ "name": "prometheus_range_query", "arguments": arguments });
    let request = Client::stateless(server.mcp).request("tools/call", params);
    let _answer = once(server.mcp, &request.header("X-Request-Id", id));
    server.access_record(|record| record["request_id"] == id)
}

#[test]
fn a_range_query_says_what_was_asked_and_how_much_was_answered() {
    let backend = backend();
    let server = start(&backend);
    let record = called(&server, "r-1", json!({}));
    for (name, wanted) in [
        ("tool", json!("prometheus_range_query")),
        ("backend", json!("main")),
        ("tenant", json!("team-a")),
        ("query_metrics", json!(["http_requests_total"])),
        ("query_functions", json!(["rate", "sum"])),
        ("query_labels", json!(["code", "job"])),
        ("rows_total", json!(SERIES)),
        ("truncated", json!("size")),
        ("outcome", json!("ok")),
    ] {
        assert_eq!(record[name], wanted, "{name} of {record}");
    }
    let number = |name: &str| record[name].as_f64().unwrap_or_else(|| panic!("{name}: {record}"));
    assert!((number("range_ms") - 3_600_000.0).abs() < 1.0, "{record}");
    assert!((number("step_ms") - 60_000.0).abs() < 1.0, "{record}");
    assert!((1.0..10.0).contains(&number("rows")), "{record}");
    assert!((1000.0..=4096.0).contains(&number("answer_bytes")), "{record}");
    let query = record["query"].as_str().expect("a masked query");
    assert!(query.contains("http_requests_total{code=") && !query.contains("418"), "{query}");
}

#[test]
fn the_tenant_that_a_call_names_is_the_one_that_was_asked() {
    let backend = backend();
    let server = start(&backend);
    let record = called(&server, "r-1", json!({ "org_id": "team-b", "limit": 2 }));
    let asked = backend.wait_for_request();
    assert_eq!(asked.header("x-scope-orgid"), Some("team-b"));
    assert_eq!(record["tenant"], "team-b", "{record}");
    assert_eq!((&record["rows"], &record["truncated"]), (&json!(2), &json!("limit")), "{record}");
}
