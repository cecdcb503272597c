//! The two records of a long stream: when it opens, and when it ends.

use std::sync::mpsc;

use e2e::{
    backend::{Backend, answer},
    mcp::Client,
    server::{Server, config},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

fn opened(server: &Server, kind: &str) -> Value {
    let opened = server.access_record(|record| record["event"] == "stream_open");
    assert_eq!((&opened["stream"], &opened["status"]), (&json!(kind), &json!(200)), "{opened}");
    assert!(opened["outcome"].is_null() && opened["rows"].is_null(), "{opened}");
    opened
}

fn ended(server: &Server, opened: &Value) -> Value {
    let ended = server.access_record(|record| record["event"] == "stream_end");
    for name in ["request_id", "stream", "status", "rpc_method", "rpc_id"] {
        assert!(!ended[name].is_null(), "{name} of {ended}");
        assert_eq!(ended[name], opened[name], "{name}");
    }
    ended
}

#[test]
fn a_subscription_has_both() {
    let server = Server::in_front_of("http://127.0.0.1:9");
    let client = Client::stateless(server.mcp);
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let stream =
        client.stream(&client.request_with_id(&json!("sub"), "subscriptions/listen", params));
    let opened = opened(&server, "listen");
    assert_eq!(opened["rpc_method"], "subscriptions/listen", "{opened}");
    drop(stream);
    let ended = ended(&server, &opened);
    assert_eq!((&ended["outcome"], &ended["rpc_id"]), (&json!("client_gone"), &json!("sub")));
}

#[test]
fn a_call_that_is_answered_as_a_stream_has_both() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let backend = Backend::start(move |_asked, stream| {
        // Also when the test has failed, and nobody opens it any more.
        let _opened = gate.lock().recv();
        let data = json!({ "resultType": "scalar", "result": [0, "42"] });
        let body = json!({ "status": "success", "data": data }).to_string();
        answer(stream, 200, "application/json", body.as_bytes())
    });
    let mut config = config(&json!({ "main": { "url": backend.url() } }));
    config["server"]["limits"] = json!({ "stream_after": "100ms" });
    let server = Server::promgate(&config);
    let client = Client::stateless(server.mcp);
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "42" } });
    let mut stream = client.stream(&client.request("tools/call", params));
    let opened = opened(&server, "call");
    assert_eq!(opened["tool"], "prometheus_query", "{opened}");
    open.send(()).unwrap();
    let message = stream.message();
    assert_eq!(message["result"]["structuredContent"]["scalar"][1], "42", "{message}");
    assert_eq!(stream.rest(), Vec::<Value>::new());
    let ended = ended(&server, &opened);
    for (name, wanted) in [
        ("outcome", json!("ok")),
        ("backend", json!("main")),
        ("upstream_status", json!(200)),
        ("rows", json!(1)),
    ] {
        assert_eq!(ended[name], wanted, "{name} of {ended}");
    }
    let taken = |record: &Value| record["duration_ms"].as_f64().unwrap();
    assert!(taken(&ended) >= taken(&opened), "{opened} {ended}");
}
