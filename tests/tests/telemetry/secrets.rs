//! What never is in a trace.

use e2e::{
    backend::Backend,
    canary::Canaries,
    collector::{Collector, Protocol},
    http::{Connection, Request},
    mcp::{Client, Reply},
    minter,
    process::PATIENCE,
    server::{Server, guarded},
};
use serde_json::{Value, json};

use super::parts::{TRACE, parent, traced};

/// A backend that answers with a secret, one that fails with one, and a configuration that is full of them.
struct Planted {
    canaries: Canaries,
    collector: Collector,
    server: Server,
    token: String,
    _backends: [Backend; 2],
}

impl Planted {
    fn start(protocol: Protocol) -> Self {
        let canaries = Canaries::default();
        let canary = |place: &str| canaries.word(place);
        let answer = json!({ "status": "success", "data": { "resultType": "vector", "result": [
            { "metric": { "job": canary("label") }, "value": [0, "1"] },
        ]}});
        let error = json!({ "status": "error", "errorType": "bad_data", "error": canary("error") });
        let good = Backend::answering(200, "application/json", answer.to_string());
        let failing = Backend::answering(422, "application/json", error.to_string());
        let collector = Collector::start();
        let auth =
            json!({ "type": "basic", "username": canary("user"), "password": canary("password") });
        let backends = json!({
            "main": {
                "url": format!("{}/{}", good.url(), canary("url-path")),
                "auth": auth,
                "headers": { "X-Key": canary("header") },
                "org_id": canary("tenant"),
            },
            "failing": { "url": failing.url() },
        });
        let mut settings = collector.traces(protocol);
        settings["propagate"] = json!("tracestate");
        settings["headers"] = json!({ "X-Receiver": canary("receiver") });
        let server = Server::promgate(&traced(guarded(&backends), &settings));
        let token = minter::token(&canary("subject"));
        canaries.plant("good token", &token);
        Self { canaries, collector, server, token, _backends: [good, failing] }
    }

    /// Sends messages that hold secrets wherever a client can put one.
    fn send_messages(&self, known: &Client) {
        let canary = |place: &str| self.canaries.word(place);
        let send = |client: &Client, id: &Value, method: &str, params: Value| {
            send(client, &self.canaries, (id, method, params))
        };
        for name in ["main", "failing"] {
            let query = format!("up{{job=\"{}\"}}", canary("query"));
            let arguments = json!({ "query": query, "backend": name });
            let params = json!({ "name": "prometheus_query", "arguments": arguments });
            assert_eq!(send(known, &json!(canary("id")), "tools/call", params).status(), 200);
        }
        let unknown = json!({ "name": canary("tool"), "arguments": { "a": canary("argument") } });
        let _refused = send(known, &json!(2), "tools/call", unknown);
        let _unknown = send(known, &json!(3), &canary("method"), json!({}));
        let _refused = send(known, &json!(4), "resources/read", json!({ "uri": canary("uri") }));
        let bad = Client::stateless(self.server.mcp).bearing(&canary("token"));
        assert_eq!(send(&bad, &json!(5), "tools/list", json!({})).status(), 401);
        let foreign = known.through(self.server.mcp).within(&canary("session"));
        let _lost = send(&foreign, &json!(6), "tools/list", json!({}));
    }

    /// Opens a session with secrets, and sends a request that is none of MCP.
    fn send_odd_requests(&self) {
        let canary = |place: &str| self.canaries.word(place);
        let initialize = json!({ "jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {
            "protocolVersion": canary("version"), "capabilities": {},
            "clientInfo": { "name": canary("client"), "version": canary("client-version") },
        }});
        let opening = Request::new("POST", "/mcp")
            .header("Authorization", &format!("Bearer {}", self.token))
            .header("Accept", "application/json, text/event-stream")
            .header("traceparent", &parent(TRACE, true))
            .json(&initialize);
        let _opened = Connection::open(self.server.mcp).exchange(&opening);
        let path = format!("/{}?token={}", canary("path"), canary("target"));
        let odd = Request::new(&canary("verb").to_uppercase(), &path);
        let odd = odd.header("traceparent", &parent(TRACE, true));
        let _odd = Connection::open(self.server.mcp).exchange(&odd);
    }
}

fn send(
    client: &Client,
    canaries: &Canaries,
    (id, method, params): (&Value, &str, Value),
) -> Reply {
    let canary = |place: &str| canaries.word(place);
    let request = client
        .request_with_id(id, method, params)
        .header("traceparent", &parent(TRACE, true))
        .header("tracestate", &format!("vendor={}", canary("tracestate")))
        .header("baggage", &format!("a={}", canary("baggage")))
        .header("User-Agent", &canary("agent"))
        .header("Cookie", &canary("cookie"))
        .header("X-Request-Id", &canary("request-id"))
        .header("X-Anything", &canary("anything"));
    client.send(&request)
}

#[test]
fn no_text_of_a_client_or_a_backend_gets_into_a_trace() {
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let planted = Planted::start(protocol);
        let known = Client::session_of(planted.server.mcp, "2025-11-25", &planted.token);
        planted.canaries.plant("session id", known.session_id().expect("a session"));
        planted.send_messages(&known);
        planted.send_odd_requests();
        planted.server.terminate();
        assert!(planted.server.exit(PATIENCE).success());

        let spans = planted.collector.spans();
        assert!(spans.len() >= 14, "{}", spans.len());
        assert!(planted.canaries.count() > 25, "{}", planted.canaries.count());
        let found = planted.canaries.search().find(planted.collector.text().as_bytes());
        assert!(found.is_empty(), "{protocol:?}: {found:?}");
    }
}
