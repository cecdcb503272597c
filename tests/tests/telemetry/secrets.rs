//! What never is in a trace.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use e2e::{
    backend::Backend,
    collector::{Collector, Protocol},
    http::{Connection, Request},
    mcp::Client,
    minter,
    server::{Server, guarded},
};
use serde_json::{Value, json};

use super::parts::{TRACE, parent, traced};

/// A secret that stands nowhere else.
fn canary(place: &str) -> String {
    format!("canary-{place}-5f2b9c")
}

#[test]
fn no_text_of_a_client_or_a_backend_gets_into_a_trace() {
    let answer = json!({ "status": "success", "data": { "resultType": "vector", "result": [
        { "metric": { "job": canary("label") }, "value": [0, "1"] },
    ]}});
    let backend = Backend::answering(200, "application/json", answer.to_string());
    let failing = Backend::answering(
        422,
        "application/json",
        json!({
            "status": "error", "errorType": "bad_data", "error": canary("backend-error"),
        })
        .to_string(),
    );
    let collector = Collector::start();
    let backends = json!({
        "main": {
            "url": format!("{}/{}", backend.url(), canary("url-path")),
            "auth": { "type": "basic", "username": canary("user"), "password": canary("password") },
            "headers": { "X-Key": canary("header") },
            "org_id": canary("tenant"),
        },
        "failing": { "url": failing.url() },
    });
    let mut settings = collector.traces(Protocol::Http);
    settings["propagate"] = json!("tracestate");
    settings["headers"] = json!({ "X-Receiver": canary("receiver") });
    let server = Server::promgate(&traced(guarded(&backends), &settings));
    let token = minter::token(&canary("subject"));
    let known = Client::session_of(server.mcp, "2025-11-25", &token);
    let session = known.session_id().expect("a session").to_owned();
    let send = |client: &Client, id: Value, method: &str, params: Value| {
        let request = client
            .request_with_id(&id, method, params)
            .header("traceparent", &parent(TRACE, true))
            .header("tracestate", &format!("vendor={}", canary("tracestate")))
            .header("baggage", &format!("a={}", canary("baggage")))
            .header("User-Agent", &canary("agent"))
            .header("Cookie", &canary("cookie"))
            .header("X-Request-Id", &canary("request-id"))
            .header("X-Anything", &canary("anything"));
        client.send(&request)
    };
    for name in ["main", "failing"] {
        let arguments =
            json!({ "query": format!("up{{job=\"{}\"}}", canary("query")), "backend": name });
        let params = json!({ "name": "prometheus_query", "arguments": arguments });
        assert_eq!(send(&known, json!(canary("id")), "tools/call", params).status(), 200);
    }
    let unknown = json!({ "name": canary("tool"), "arguments": { "a": canary("argument") } });
    let _refused = send(&known, json!(2), "tools/call", unknown);
    let _unknown = send(&known, json!(3), &canary("method"), json!({}));
    let _refused = send(&known, json!(4), "resources/read", json!({ "uri": canary("uri") }));
    let bad = Client::stateless(server.mcp).bearing(&canary("token"));
    assert_eq!(send(&bad, json!(5), "tools/list", json!({})).status(), 401);
    let foreign = known.through(server.mcp).within(&canary("session"));
    let _lost = send(&foreign, json!(6), "tools/list", json!({}));
    let version = Request::new("POST", "/mcp")
        .header("Authorization", &format!("Bearer {token}"))
        .header("Accept", "application/json, text/event-stream")
        .header("traceparent", &parent(TRACE, true))
        .json(&json!({ "jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
            "protocolVersion": canary("version"), "capabilities": {},
            "clientInfo": { "name": canary("client"), "version": canary("client-version") },
        }}));
    let _opened = Connection::open(server.mcp).exchange(&version);
    let path = format!("/{}?token={}", canary("path"), canary("target"));
    let odd = Request::new(&canary("verb").to_uppercase().replace('-', "X"), &path);
    let _odd =
        Connection::open(server.mcp).exchange(&odd.header("traceparent", &parent(TRACE, true)));
    server.terminate();
    assert!(server.exit(e2e::process::PATIENCE).success());

    let text = collector.text();
    assert!(collector.spans().len() >= 14, "{}", collector.spans().len());
    let found = |text: &str| -> Vec<String> {
        text.match_indices("canary-").map(|(at, _)| text[at..].chars().take(40).collect()).collect()
    };
    assert_eq!(found(&text), Vec::<String>::new());
    assert!(!text.to_lowercase().contains("canaryx"), "the verb");
    assert!(!text.contains(&session) && !text.contains(&token));
    for encoded in [BASE64_STANDARD.encode(canary("password")), BASE64_STANDARD.encode("canary-")] {
        assert!(!text.contains(&encoded[..8]), "{encoded}");
    }
}
