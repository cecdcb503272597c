//! The admin listener, and that what clients send never becomes a label.

use std::collections::BTreeSet;

use e2e::{
    http::{Connection, Request, get, once},
    mcp::Client,
    server::{Server, config, prometheus},
    settings::Settings,
};
use serde_json::json;

#[test]
fn health_and_readiness_are_answered_and_nothing_else_is() {
    let server = Server::shared_fixture();
    assert_eq!(get(server.admin, "/healthz").head.status, 200);
    assert_eq!(get(server.admin, "/readyz").head.status, 200);
    for path in ["/", "/metrics/", "/mcp", "/healthz/../metrics", "//metrics"] {
        assert_eq!(get(server.admin, path).head.status, 404, "{path}");
    }
    assert_eq!(once(server.admin, &Request::new("POST", "/metrics")).head.status, 405);
    assert_eq!(get(server.mcp, "/metrics").head.status, 404, "not on the public listener");
}

#[test]
fn the_admin_listener_holds_a_bounded_number_of_connections() {
    let server = Server::fixture(&Settings::default());
    let mut held: Vec<Connection> = (0..100).map(|_| Connection::open(server.admin)).collect();
    for connection in &mut held {
        assert_eq!(connection.exchange(&Request::new("GET", "/healthz")).head.status, 200);
    }
    let mut one_more = Connection::open(server.admin);
    let asked = one_more.try_send(Request::new("GET", "/healthz").bytes());
    assert!(asked.and_then(|()| one_more.try_answer()).is_err(), "it is turned away");
}

#[test]
fn it_is_not_ready_while_no_worker_has_room() {
    let settings = Settings { workers: 1, sessions_max: 1, ..Settings::default() };
    let server = Server::fixture(&settings);
    let ready = || get(server.admin, "/readyz").head.status;
    assert_eq!(ready(), 200);
    let session = Client::session(server.mcp, "2025-11-25");
    assert_eq!(ready(), 503);
    assert_eq!(session.delete().status(), 204);
    assert_eq!(ready(), 200);
}

#[test]
fn metrics_tell_of_requests_sessions_workers_tools_backends_and_the_process() {
    let server = Server::promgate(&config(&json!({ "prometheus": prometheus() })));
    let client = Client::session(server.mcp, "2025-11-25");
    let _answer = client.tool("prometheus_query", json!({ "query": "up" }));
    let _fault = client.tool("prometheus_query", json!({ "query": "up(" }));
    for (series, value) in [
        (r#"promgate_requests_total{code="200",method="POST"}"#, 3.0),
        (r#"promgate_tool_calls_total{outcome="ok",tool="prometheus_query"}"#, 1.0),
        (r#"promgate_tool_calls_total{outcome="caller_error",tool="prometheus_query"}"#, 1.0),
        (r#"promgate_backend_requests_total{backend="prometheus",outcome="ok"}"#, 1.0),
        (r#"promgate_backend_requests_total{backend="prometheus",outcome="refused"}"#, 1.0),
    ] {
        server.wait_for_metric(series, value);
    }
    assert!((server.metric_sum("promgate_sessions_open") - 1.0).abs() < f64::EPSILON);
    assert!(server.metric("process_resident_memory_bytes") > 1e6);
    assert!(server.metric("process_cpu_seconds_total") >= 0.0);
    assert!(server.metrics().contains("promgate_tool_call_duration_seconds_bucket"));
}

#[test]
fn what_a_client_sends_never_becomes_a_label() {
    let server = Server::fixture(&Settings::default());
    let series = || -> BTreeSet<String> {
        let metrics = server.metrics();
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    };
    let before = series();
    let client = Client::stateless(server.mcp);
    for round in 0..20 {
        let hostile = format!("hostile-{round}\"}} 1\nfake_metric");
        let _refused = client.send(&client.request_with_id(
            &json!(hostile),
            "tools/call",
            json!({ "name": format!("hostile_tool_{round}"), "arguments": {} }),
        ));
        let _refused = client.call(&format!("hostile/{round}"), json!({}));
        let _refused = once(server.mcp, &Request::new(&format!("HOSTILE{round}"), "/mcp"));
        let _refused = get(server.mcp, &format!("/hostile/{round}"));
        let agent = Request::new("POST", "/mcp").header("User-Agent", &format!("hostile{round}"));
        let _refused = once(server.mcp, &agent.header("Mcp-Session-Id", "hostile").body("x"));
    }
    let new: Vec<String> = series().difference(&before).cloned().collect();
    assert_eq!(new, Vec::<String>::new());
    assert!(!server.metrics().to_lowercase().contains("hostile"));
}
