//! What the tests of traces share.

use e2e::{
    collector::{Collector, Protocol, Span},
    mcp::Client,
    server::{Server, config, prometheus},
};
use serde_json::{Value, json};

/// A trace and a span of somebody.
pub(super) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(super) const OTHER_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(super) const SPAN: &str = "00f067aa0ba902b7";

/// A `traceparent`.
pub(super) fn parent(trace: &str, sampled: bool) -> String {
    format!("00-{trace}-{SPAN}-0{}", u8::from(sampled))
}

/// Promgate in front of the shared Prometheus, with these settings of traces.
pub(super) fn promgate(traces: &Value) -> Server {
    Server::promgate(&traced(config(&json!({ "prometheus": prometheus() })), traces))
}

/// The configuration with these settings of traces.
pub(super) fn traced(config: Value, traces: &Value) -> Value {
    let mut config = config;
    config["telemetry"] = json!({ "traces": traces });
    config
}

/// Promgate that sends its traces to the collector.
pub(super) fn promgate_to(collector: &Collector, protocol: Protocol) -> Server {
    promgate(&collector.traces(protocol))
}

/// Calls the tool that asks for one value.
pub(super) fn query(client: &Client) {
    let result = client.tool("prometheus_query", json!({ "query": "vector(1)" }));
    assert_ne!(result["isError"], true, "{result}");
}

/// Calls it with a `_meta` that names a trace, and a header that does.
pub(super) fn query_in(client: &Client, meta: Option<&str>, header: Option<&str>) {
    let mut params = json!({ "name": "prometheus_query", "arguments": { "query": "vector(1)" } });
    if let Some(parent) = meta {
        params["_meta"] = json!({ "traceparent": parent });
    }
    let mut request = client.request("tools/call", params);
    if let Some(parent) = header {
        request = request.header("traceparent", parent);
    }
    let reply = client.send(&request);
    assert_ne!(reply.result()["isError"], true, "{}", reply.http.text());
}

/// The span of that name.
pub(super) fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let mut of = spans.iter().filter(|span| span.name == name);
    let (Some(span), None) = (of.next(), of.next()) else {
        let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
        panic!("not one {name} in {names:?}")
    };
    span
}

/// Asserts that one span happened in another.
pub(super) fn assert_in(inner: &Span, outer: &Span) {
    let (inner_name, outer_name) = (&inner.name, &outer.name);
    assert_eq!(inner.parent, outer.id, "{inner_name} stands below {outer_name}");
    assert!(inner.started >= outer.started, "{inner_name} begins after {outer_name}");
    assert!(inner.ended <= outer.ended, "{inner_name} ends before {outer_name}");
    assert!(inner.started <= inner.ended, "{inner_name} ends after it began");
}
