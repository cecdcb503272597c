//! What records say of calls, sessions and streams.

mod addresses;
mod answers;
mod limits;
mod messages;
mod streams;

use e2e::{
    backend::Backend,
    http::once,
    mcp::Client,
    server::{Server, config},
};
use serde_json::{Value, json};

const AUDIT_KEY: &str = "0123456789abcdef0123456789abcdef";

fn start(access_logs: Value) -> (Backend, Server) {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let mut config = config(&json!({ "main": { "url": backend.url() } }));
    config["middleware"]["access_logs"] = access_logs;
    let server = Server::promgate(&config);
    (backend, server)
}

/// The record of a call that asks this.
fn called(server: &Server, client: &Client, query: &str) -> Value {
    called_as(server, client, ("req-call", query))
}

fn called_as(server: &Server, client: &Client, (id, query): (&str, &str)) -> Value {
    let arguments = json!({ "query": query, "timeout": "5s" });
    let params = json!({ "name": "prometheus_query", "arguments": arguments });
    let request = client.request("tools/call", params).header("X-Request-Id", id);
    let _answer = once(server.mcp, &request);
    server.access_record(|record| record["request_id"] == id)
}

#[test]
fn a_call_says_who_asked_what_of_which_backend() {
    let (_backend, server) = start(json!({ "output": "stdout" }));
    let query = "sum by (job) (rate(http_requests_total{secret='canary'}[5m]))";
    let record = called(&server, &Client::stateless(server.mcp), query);
    for (name, wanted) in [
        ("v", json!(1)),
        ("listener", json!("clients")),
        ("client", json!("127.0.0.1")),
        ("era", json!("stateless")),
        ("protocol_version", json!("2026-07-28")),
        ("auth", json!("off")),
        ("tool", json!("prometheus_query")),
        ("backend", json!("main")),
        ("upstream_status", json!(200)),
        ("retries", json!(0)),
        ("query_form", json!("parsed")),
        ("query_metrics", json!(["http_requests_total"])),
        ("query_functions", json!(["rate", "sum"])),
        ("rows", json!(1)),
        ("outcome", json!("ok")),
    ] {
        assert_eq!(record[name], wanted, "{name} of {record}");
    }
    for name in ["client_name", "rpc_id", "query_fingerprint", "upstream_ms", "answer_bytes"] {
        assert!(!record[name].is_null(), "{name} of {record}");
    }
    for name in ["session", "query", "arguments", "headers", "subject"] {
        assert!(record[name].is_null(), "{name} of {record}");
    }
    assert!(!record.to_string().contains("canary"), "{record}");
}

#[test]
fn arguments_and_queries_appear_as_they_are_named() {
    let (_backend, server) = start(json!({
        "output": "stdout",
        "arguments": { "prometheus_query": { "query": "length", "absent": "clear" } },
        "queries": "masked",
        "fields": { "exclude": ["path"], "redact": { "peer": "mask" } },
    }));
    let record = called(&server, &Client::stateless(server.mcp), "up{secret='canary'}");
    assert_eq!(record["arguments"], json!({ "query": "len:19" }), "{record}");
    assert!(record["query"].as_str().unwrap().starts_with("up{secret="), "{record}");
    assert!(record["path"].is_null(), "{record}");
    assert_eq!(record["peer"], "***");
    assert!(!record.to_string().contains("canary"), "{record}");
}

#[test]
fn a_session_has_one_pseudonym_from_its_beginning_to_its_end() {
    let (_backend, server) = start(json!({ "output": "stdout", "audit": { "keys": [AUDIT_KEY] } }));
    let client = Client::session(server.mcp, "2025-11-25");
    let begun = server.access_record(|record| record["rpc_method"] == "initialize");
    let pseudonym = begun["session"].as_str().expect("a pseudonym").to_owned();
    assert!(pseudonym.starts_with("h:") && pseudonym.len() == 24, "{begun}");
    assert_eq!(begun["protocol_version"], "2025-11-25", "{begun}");
    let call = called(&server, &client, "up");
    assert_eq!(call["session"], pseudonym, "{call}");
    assert!(!call["client_name"].is_null(), "{call}");
    assert_eq!(client.delete().status(), 204);
    let ended = server.access_record(|record| record["method"] == "DELETE");
    assert_eq!(ended["session"], pseudonym, "{ended}");
    let too_late = called_as(&server, &client, ("req-late", "up"));
    assert_eq!((&too_late["session"], &too_late["status"]), (&json!(pseudonym), &json!(404)));
    let other = Client::session(server.mcp, "2025-11-25");
    let id = other.session_id().expect("a session");
    let other = called_as(&server, &other, ("req-other", "up"));
    assert!(!other["session"].is_null() && other["session"] != pseudonym, "{other}");
    let printed = server.process().stdout().lines().join("\n");
    assert!(!printed.contains(id), "a session id is a secret");
}

#[test]
fn a_stream_has_a_record_when_it_opens_and_one_when_it_ends() {
    let (_backend, server) = start(json!({ "output": "stdout" }));
    let client = Client::session(server.mcp, "2025-11-25");
    let stream = client.listen();
    let opened = server.access_record(|record| record["event"] == "stream_open");
    assert_eq!((&opened["stream"], &opened["status"]), (&json!("session"), &json!(200)));
    assert!(opened["outcome"].is_null(), "{opened}");
    drop(stream);
    let ended = server.access_record(|record| record["event"] == "stream_end");
    assert_eq!(ended["request_id"], opened["request_id"]);
    assert_eq!(ended["outcome"], "client_gone", "{ended}");
}
