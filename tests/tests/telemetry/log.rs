//! The program's own log: its form, its levels, and how an operator changes them.

use std::net::SocketAddr;

use e2e::{
    http::{Answer, Connection, Request},
    mcp::Client,
    process::{PATIENCE, Process},
    server::{Server, config, write_config},
};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::parts::{TRACE, parent};

const TOKEN: &str = "an-admin-token-that-nobody-guesses";

/// A configuration with a backend that is not there, so that there is something to log.
fn broken(log: &Value) -> Value {
    let mut config =
        config(&json!({ "main": { "url": "http://127.0.0.1:9", "connect_timeout": "1s" } }));
    config["telemetry"] = json!({ "log": log });
    config["server"]["admin"]["token"] = json!(TOKEN);
    config
}

fn ask(client: &Client) {
    let arguments = json!({ "name": "prometheus_query", "arguments": { "query": "up" } });
    let request = client.request("tools/call", arguments);
    let request = request.header("traceparent", &parent(TRACE, true));
    let reply = client.send(&request.header("X-Request-Id", "the-request"));
    assert_eq!(reply.result()["isError"], true);
}

fn admin(address: SocketAddr, method: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
    let mut request = Request::new(method, "/admin/log");
    if let Some(token) = token {
        request = request.header("Authorization", &format!("Bearer {token}"));
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    Connection::open(address).exchange(&request)
}

fn answered(answer: &Answer) -> Value {
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).expect("JSON")
}

#[test]
fn a_line_of_json_is_an_object_that_says_which_request_it_belongs_to() {
    // The variable that the tests set has priority; none is none.
    let server =
        Server::promgate_with(&broken(&json!({ "format": "json" })), &[("PROMGATE_LOG", "")]);
    ask(&Client::stateless(server.mcp));
    let stderr = server.process().stderr();
    let line = stderr.wait_for("the failure", |line| line.contains("backend failed"));
    for line in stderr.lines() {
        let line: Value = serde_json::from_str(&line).expect(&line);
        assert!(line["time"].is_string() && line["target"].is_string(), "{line}");
    }
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["level"], "warn");
    assert_eq!(line["message"], "backend failed");
    assert_eq!(line["fields"]["backend"], "main");
    assert_eq!(line["request_id"], "the-request");
    assert_eq!(line["trace_id"], TRACE);
    let record = server.access_record(|record| record["request_id"] == "the-request");
    assert_eq!(record["trace_id"], TRACE, "so that the two can be laid side by side");
}

#[test]
fn a_line_of_text_says_it_too() {
    let server = Server::promgate(&broken(&json!({})));
    ask(&Client::stateless(server.mcp));
    let line =
        server.process().stderr().wait_for("the failure", |line| line.contains("backend failed"));
    assert!(line.ends_with(&format!(" request_id=the-request trace_id={TRACE}")), "{line}");
}

#[test]
fn levels_come_from_the_configuration_and_a_reload_changes_them() {
    let server = Server::promgate_with(
        &broken(&json!({ "level": "warn,promgate::run=info" })),
        &[("PROMGATE_LOG", "")],
    );
    let shown = || answered(&admin(server.admin, "GET", Some(TOKEN), None));
    assert_eq!(shown()["level"], "warn,promgate::run=info");
    assert_eq!(shown()["by"], "configuration");
    server.rewrite_config(&broken(&json!({ "level": "debug" })));
    server.process().signal(Signal::HUP);
    e2e::process::until("the new level", || shown()["level"] == "debug");
}

#[test]
fn an_operator_changes_what_is_logged_while_it_runs() {
    let server = Server::promgate(&broken(&json!({})));
    let put =
        |level: Value| admin(server.admin, "PUT", Some(TOKEN), Some(&json!({ "level": level })));
    let shown = answered(&admin(server.admin, "GET", Some(TOKEN), None));
    assert_eq!(shown, json!({ "level": "info", "by": "environment", "format": "text" }));
    assert_eq!(answered(&put(json!("trace")))["by"], "operator");
    let client = Client::stateless(server.mcp);
    ask(&client);
    let stderr = server.process().stderr();
    // Libraries stay capped: below these levels they write headers.
    let lines = stderr.lines();
    let said = |target: &str| lines.iter().any(|line| line.contains(target));
    assert!(
        !said(" rmcp") && !said(" pingora") && !said(" hyper") && !said(" reqwest"),
        "{lines:?}"
    );
    assert_eq!(answered(&put(json!("off")))["level"], "off");
    let before = stderr.lines().len();
    ask(&client);
    assert_eq!(stderr.lines().len(), before);
    assert_eq!(put(json!("promgate=loud")).head.status, 400);
    assert_eq!(put(json!(7)).head.status, 400);
    assert_eq!(put(json!("a".repeat(2000))).head.status, 400);
    assert_eq!(answered(&put(Value::Null))["by"], "environment");
    ask(&client);
    let _line = stderr.wait_from(before, "the failure", |line| line.contains("backend failed"));
}

#[test]
fn only_who_has_the_token_sees_or_changes_what_is_logged() {
    let server = Server::promgate(&broken(&json!({})));
    let body = json!({ "level": "trace" });
    for token in [None, Some("wrong")] {
        assert_eq!(admin(server.admin, "GET", token, None).head.status, 401);
        assert_eq!(admin(server.admin, "PUT", token, Some(&body)).head.status, 401);
    }
    let refused = admin(server.admin, "DELETE", Some(TOKEN), None);
    assert_eq!(refused.head.status, 405);
    assert_eq!(refused.head.header("allow").as_deref(), Some("GET, PUT"));
    let closed = Server::promgate(&config(&json!({ "main": { "url": "http://127.0.0.1:9" } })));
    assert_eq!(admin(closed.admin, "PUT", Some(TOKEN), Some(&body)).head.status, 403);
    assert_eq!(admin(closed.admin, "GET", Some(TOKEN), None).head.status, 403);
}

#[test]
fn a_level_that_cannot_be_read_is_a_fault_of_the_configuration() {
    let files = write_config(&broken(&json!({ "level": "promgate=loud" })));
    let file = files.path().join("config.yaml").display().to_string();
    let process = Process::start(
        &e2e::paths::program("promgate"),
        ["check".to_owned(), "--config".to_owned(), file],
    );
    assert_eq!(process.wait(PATIENCE).and_then(|status| status.code()), Some(78));
    let said = [process.stderr().whole(), process.stdout().whole()].concat().join("\n");
    assert!(said.contains("telemetry.log.level: cannot be read as a filter"), "{said}");
}

#[test]
fn over_stdio_the_settings_of_the_log_hold() {
    let mut config =
        broken(&json!({ "format": "json", "level": "info,promgate=debug,mcp_core=debug" }));
    config["server"]["transport"] = json!({ "type": "stdio" });
    let files = write_config(&config);
    let file = files.path().join("config.yaml").display().to_string();
    let mut process = Process::start_with(
        &e2e::paths::program("promgate"),
        ["serve".to_owned(), "--config".to_owned(), file],
        &[("PROMGATE_LOG", std::ffi::OsStr::new(""))],
    );
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "e2e", "version": "1" },
    }});
    process.write_line(&hello.to_string());
    process.stdout().wait_for("the answer", |line| line.contains("serverInfo"));
    process.write_line(
        &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string(),
    );
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "prometheus_query", "arguments": { "query": "up" },
    }});
    process.write_line(&call.to_string());
    let line = process.stderr().wait_for("the failure", |line| line.contains("backend failed"));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["level"], &line["fields"]["backend"]), (&json!("warn"), &json!("main")));
}

#[test]
fn lines_of_two_requests_are_told_apart() {
    let server = Server::promgate(&broken(&json!({})));
    let [one, other] = [Client::stateless(server.mcp), Client::stateless(server.mcp)];
    ask(&one);
    let stderr = server.process().stderr();
    let first = stderr.wait_for("a failure", |line| line.contains("backend failed"));
    let from = stderr.lines().len();
    let arguments = json!({ "name": "prometheus_query", "arguments": { "query": "up" } });
    let request = other.request("tools/call", arguments).header("X-Request-Id", "another");
    let _failed = other.send(&request);
    let second = stderr.wait_from(from, "a failure", |line| line.contains("backend failed"));
    assert!(first.contains("request_id=the-request") && first.contains(TRACE), "{first}");
    assert!(second.contains("request_id=another") && !second.contains(TRACE), "{second}");
}
