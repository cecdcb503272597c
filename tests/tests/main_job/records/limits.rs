//! The bound that a request ran into, as its record names it.

use e2e::{
    backend::{Backend, hold},
    http::{Connection, Request, once},
    mcp::Client,
    server::{Server, config},
};
use serde_json::{Value, json};

/// Where nobody answers.
const NOWHERE: &str = "http://127.0.0.1:9";

fn start(url: &str, change: impl FnOnce(&mut Value)) -> Server {
    let mut config = config(&json!({ "main": { "url": url } }));
    change(&mut config);
    Server::promgate(&config)
}

fn call(server: &Server, id: &str, query: &str) -> Request {
    let params = json!({ "name": "prometheus_query", "arguments": { "query": query } });
    Client::stateless(server.mcp).request("tools/call", params).header("X-Request-Id", id)
}

fn record(server: &Server, id: &str) -> Value {
    server.access_record(|record| record["request_id"] == id)
}

fn called(server: &Server, id: &str) -> Value {
    let _answer = once(server.mcp, &call(server, id, "1"));
    record(server, id)
}

fn says(record: &Value, (status, limit, outcome): (u16, &str, &str)) {
    let said = (&record["status"], &record["limit"], &record["outcome"]);
    assert_eq!(said, (&json!(status), &json!(limit), &json!(outcome)), "{record}");
}

#[test]
fn a_caller_who_asks_too_often() {
    let server = start(NOWHERE, |config| {
        config["middleware"]["rate_limits"] =
            json!({ "principal": { "requests": "1/h", "burst": 1 } });
    });
    assert_eq!(called(&server, "r-1")["limit"], Value::Null);
    says(&called(&server, "r-2"), (429, "principal_rate", "rate_limited"));
}

#[test]
fn a_caller_who_uses_a_tool_too_often() {
    let server = start(NOWHERE, |config| {
        let tools = json!([{ "tool": "prometheus_query", "requests": "1/h", "burst": 1 }]);
        config["middleware"]["rate_limits"] = json!({ "tools": tools });
    });
    assert_eq!(called(&server, "r-1")["limit"], Value::Null);
    let refused = called(&server, "r-2");
    says(&refused, (429, "tool_rate", "rate_limited"));
    assert_eq!(refused["tool"], "prometheus_query", "{refused}");
}

#[test]
fn a_body_that_is_too_large() {
    let server = start(NOWHERE, |config| {
        config["server"]["transport"]["http"]["limits"] = json!({ "body_bytes_max": "1KiB" });
    });
    // It is refused before it is read, so that the answer may be lost with the connection.
    let mut connection = Connection::open(server.mcp);
    connection.send(call(&server, "r-1", &"1".repeat(2000)).bytes());
    says(&record(&server, "r-1"), (413, "body_bytes", "too_large"));
}

#[test]
fn a_worker_that_has_calls_enough() {
    let backend = Backend::start(|_asked, stream| hold(stream));
    let server = start(&backend.url(), |config| {
        config["server"]["workers"] = json!(1);
        config["server"]["limits"] = json!({ "calls_per_worker_max": 1 });
    });
    let mut held = Connection::open(server.mcp);
    held.send(call(&server, "r-1", "1").bytes());
    let _asked = backend.wait_for_request();
    says(&called(&server, "r-2"), (503, "calls", "overloaded"));
    drop(held);
    let left = record(&server, "r-1");
    assert_eq!((&left["limit"], &left["outcome"]), (&Value::Null, &json!("client_gone")), "{left}");
}

#[test]
fn a_call_that_takes_too_long() {
    let backend = Backend::start(|_asked, stream| hold(stream));
    let server = start(&backend.url(), |config| {
        config["server"]["limits"] = json!({ "call_timeout": "300ms" });
    });
    let ended = called(&server, "r-1");
    assert_eq!((&ended["limit"], &ended["outcome"]), (&json!("call_time"), &json!("timeout")));
    assert_eq!(ended["backend"], "main", "{ended}");
}
