//! Who called, as records name it.

use e2e::{
    backend::Backend,
    http::once,
    mcp::Client,
    minter::{self, ISSUER},
    server::{Server, guarded},
};
use serde_json::{Value, json};

const AUDIT_KEY: &str = "0123456789abcdef0123456789abcdef";

fn start(access_logs: Value, rules: Value) -> (Backend, Server) {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let mut config = guarded(&json!({ "main": { "url": backend.url() } }));
    config["middleware"]["access_logs"] = access_logs;
    config["authorization"] = json!({ "rules": rules });
    let server = Server::promgate(&config);
    (backend, server)
}

fn readers() -> Value {
    json!([
        { "name": "lists", "who": { "subjects": ["alice"] }, "tools": ["prometheus_list_metrics"], "backends": ["*"] },
        { "name": "readers", "who": { "subjects": ["alice"] }, "tools": ["prometheus_query"], "backends": ["*"] },
    ])
}

fn call(server: &Server, token: Option<&str>, (id, tool): (&str, &str)) -> Value {
    let client = Client::stateless(server.mcp);
    let client = match token {
        Some(token) => client.bearing(token),
        None => client,
    };
    let arguments = json!({ "query": "1" });
    let params = json!({ "name": tool, "arguments": arguments });
    let request = client.request("tools/call", params).header("X-Request-Id", id);
    let _answer = once(server.mcp, &request);
    server.access_record(|record| record["request_id"] == id)
}

#[test]
fn a_record_names_the_caller_and_the_rule_that_decided() {
    let (_backend, server) = start(json!({ "output": "stdout" }), readers());
    let token = minter::token("alice");
    let allowed = call(&server, Some(&token), ("r-1", "prometheus_query"));
    assert_eq!(allowed["auth"], "verified", "{allowed}");
    assert_eq!((&allowed["subject"], &allowed["issuer"]), (&json!("alice"), &json!(ISSUER)));
    assert_eq!((&allowed["rule"], &allowed["outcome"]), (&json!("readers"), &json!("ok")));
    let refused = call(&server, Some(&token), ("r-2", "prometheus_range_query"));
    assert_eq!(refused["outcome"], "forbidden", "{refused}");
    assert_eq!((&refused["subject"], &refused["auth"]), (&json!("alice"), &json!("verified")));
    assert_eq!((&refused["reason"], &refused["rule"]), (&json!("tool_forbidden"), &Value::Null));
    // What was asked, though nobody was.
    assert_eq!(refused["query_fingerprint"], allowed["query_fingerprint"], "{refused}");
    assert!(refused["query_fingerprint"].is_string() && refused["backend"].is_null(), "{refused}");
}

#[test]
fn a_call_that_is_refused_in_a_session_names_the_client_of_the_session() {
    let (_backend, server) = start(json!({ "output": "stdout" }), readers());
    let client = Client::session_of(server.mcp, "2025-11-25", &minter::token("alice"));
    let told = ["prometheus_query", "prometheus_range_query"].map(|tool| {
        let params = json!({ "name": tool, "arguments": { "query": "1" } });
        let request = client.request("tools/call", params).header("X-Request-Id", tool);
        let _answer = once(server.mcp, &request);
        server.access_record(|record| record["request_id"] == tool)
    });
    let [allowed, refused] = &told;
    assert_eq!((&allowed["outcome"], &refused["outcome"]), (&json!("ok"), &json!("forbidden")));
    assert_eq!(refused["protocol_version"], "2025-11-25", "{refused}");
    for fact in ["client_name", "client_version", "protocol_version", "era", "owner"] {
        assert!(allowed[fact].is_string(), "{fact}: {allowed}");
        assert_eq!(allowed[fact], refused[fact], "{fact}");
    }
}

#[test]
fn of_a_token_that_is_refused_nothing_is_believed() {
    let (_backend, server) = start(json!({ "output": "stdout" }), readers());
    let token = minter::token_with(json!({ "sub": "alice", "exp": 1 }));
    let refused = call(&server, Some(&token), ("r-1", "prometheus_query"));
    assert_eq!((&refused["auth"], &refused["reason"]), (&json!("refused"), &json!("expired")));
    assert!(refused["subject"].is_null() && refused["issuer"].is_null(), "{refused}");
    let missing = call(&server, None, ("r-2", "prometheus_query"));
    assert_eq!((&missing["auth"], &missing["reason"]), (&json!("missing"), &json!("no_token")));
}

#[test]
fn clients_and_groups_are_named_as_the_configuration_says() {
    let token = minter::token_with(json!({ "client_id": "grafana", "groups": ["sre", "readers"] }));
    let recorded = |form: &str| {
        let logs = json!({
            "output": "stdout",
            "audit": { "keys": [AUDIT_KEY] },
            "identity": { "client_id": form, "groups": form },
        });
        let (_backend, server) = start(logs, readers());
        call(&server, Some(&token), ("r-1", "prometheus_query"))
    };
    let clear = recorded("clear");
    assert_eq!(clear["client_id"], "grafana", "{clear}");
    assert_eq!(clear["groups"], json!(["sre", "readers"]), "{clear}");
    let hashed = recorded("hashed");
    assert!(hashed["client_id"].as_str().unwrap().starts_with("h:"), "{hashed}");
    let groups = hashed["groups"].as_array().unwrap();
    assert!(groups.iter().all(|group| group.as_str().unwrap().starts_with("h:")), "{hashed}");
    assert!(groups.len() == 2 && groups[0] != groups[1], "{hashed}");
    let again = recorded("hashed");
    assert_eq!((&again["client_id"], &again["groups"]), (&hashed["client_id"], &hashed["groups"]));
    let off = recorded("off");
    assert!(off["client_id"].is_null() && off["groups"].is_null(), "{off}");
    assert_eq!(off["subject"], "alice", "{off}");
    for record in [hashed, off] {
        let text = record.to_string();
        assert!(!text.contains("grafana") && !text.contains("\"sre\""), "{text}");
    }
}

#[test]
fn hashed_callers_are_the_same_wherever_the_key_is_the_same() {
    let logs = |key: &str| {
        json!({
            "output": "stdout",
            "audit": { "keys": [key] },
            "identity": { "issuer": "off", "subject": "hashed", "client_id": "off" },
        })
    };
    let subject = |key: &str, name: &str| {
        let (_backend, server) = start(logs(key), readers());
        let record = call(&server, Some(&minter::token(name)), ("r-1", "prometheus_query"));
        assert!(record["issuer"].is_null() && !record.to_string().contains(name), "{record}");
        record["subject"].as_str().expect("a pseudonym").to_owned()
    };
    let alice = subject(AUDIT_KEY, "alice");
    assert!(alice.starts_with("h:"));
    assert_eq!(subject(AUDIT_KEY, "alice"), alice);
    assert_ne!(subject(AUDIT_KEY, "alicia"), alice);
    assert_ne!(subject(&AUDIT_KEY.replace('0', "1"), "alice"), alice);
}
