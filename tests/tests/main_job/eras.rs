//! The stateless generation: 2026-07-28.

use e2e::{
    http::{Connection, Request, once},
    mcp::{Client, Reply, SESSIONS, STATELESS},
    server::Server,
};
use serde_json::{Value, json};

fn client() -> Client {
    Client::stateless(Server::shared_fixture().mcp)
}

fn send(request: &Request) -> Reply {
    Reply::of(once(Server::shared_fixture().mcp, request))
}

#[test]
fn discover_names_every_revision_the_capabilities_and_the_server() {
    let result = client().call("server/discover", json!({})).result();
    let versions = result["supportedVersions"].as_array().unwrap();
    for version in SESSIONS.iter().chain([&STATELESS]) {
        assert!(versions.contains(&json!(version)), "{version} is not in {versions:?}");
    }
    assert!(result["capabilities"]["tools"].is_object());
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "fixture");
    assert_eq!(result["resultType"], "complete");
}

#[test]
fn a_request_needs_no_session_and_gets_none() {
    let reply = client().call("tools/list", json!({}));
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.http.head.header("Mcp-Session-Id"), None);
    assert!(reply.http.head.says("content-type", "application/json"));
    let result = reply.result();
    assert!(result["ttlMs"].is_u64() && result["cacheScope"].is_string(), "{result}");
}

#[test]
fn a_request_without_its_metadata_is_refused_in_json() {
    let whole = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for missing in [
        None,
        Some("io.modelcontextprotocol/protocolVersion"),
        Some("io.modelcontextprotocol/clientCapabilities"),
    ] {
        let mut params = json!({ "_meta": whole });
        match missing {
            None => params = json!({}),
            Some(key) => drop(params["_meta"].as_object_mut().unwrap().remove(key)),
        }
        let message =
            json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": params });
        let reply = send(&client().post(&message).header("Mcp-Method", "tools/list"));
        assert_eq!((reply.status(), reply.code()), (400, Some(-32602)), "without {missing:?}");
        assert_eq!(reply.response()["id"], 7);
    }
}

#[test]
fn headers_that_say_something_else_than_the_body_are_refused() {
    let call = client().request("tools/call", json!({ "name": "counter", "arguments": {} }));
    let cases = [
        ("another version", call.clone().with("MCP-Protocol-Version", "2025-11-25")),
        ("no version", call.clone().without("MCP-Protocol-Version")),
        ("another method", call.clone().with("Mcp-Method", "tools/list")),
        ("no method", call.clone().without("Mcp-Method")),
        ("another name", call.clone().with("Mcp-Name", "panic")),
        ("no name", call.clone().without("Mcp-Name")),
        ("two names", call.clone().header("Mcp-Name", "counter")),
        ("bad base64", call.clone().with("Mcp-Name", "=?base64?Y291bnRlc?=")),
    ];
    for (what, request) in cases {
        let reply = send(&request);
        assert_eq!((reply.status(), reply.code()), (400, Some(-32020)), "{what}");
    }
    let encoded = send(&call.with("Mcp-Name", "=?base64?Y291bnRlcg==?="));
    assert_eq!(encoded.status(), 200, "a name may be encoded: {}", encoded.http.text());
}

#[test]
fn an_argument_that_is_mirrored_into_a_header_must_agree_with_it() {
    let params = json!({ "name": "echo_region", "arguments": { "region": "eu" } });
    let call = client().request("tools/call", params);
    assert_eq!(send(&call.clone().header("Mcp-Param-Region", "eu")).status(), 200);
    for (what, request) in
        [("missing", call.clone()), ("different", call.clone().header("Mcp-Param-Region", "us"))]
    {
        assert_eq!(send(&request).code(), Some(-32020), "{what}");
    }
}

#[test]
fn an_unknown_revision_is_refused_with_those_that_are_known() {
    let mut params = json!({});
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2999-01-01");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let message =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": params });
    let request = client().post(&message).header("Mcp-Method", "server/discover");
    let reply = send(&request.with("MCP-Protocol-Version", "2999-01-01"));
    assert_eq!((reply.status(), reply.code()), (400, Some(-32022)));
    let data = &reply.response()["error"]["data"];
    assert_eq!(data["requested"], "2999-01-01");
    assert!(data["supported"].as_array().unwrap().contains(&json!(STATELESS)));
}

#[test]
fn unknown_and_removed_methods_are_not_found() {
    for method in ["nope/nope", "ping", "initialize", "logging/setLevel", "resources/subscribe"] {
        let reply = client().call(method, json!({}));
        assert_eq!((reply.status(), reply.code()), (404, Some(-32601)), "{method}");
    }
}

#[test]
fn get_and_delete_are_not_allowed_without_sessions() {
    for method in ["GET", "DELETE"] {
        let request = client().bodiless(method).header("Accept", "text/event-stream");
        let answer = once(Server::shared_fixture().mcp, &request);
        assert_eq!(answer.head.status, 405, "{method}");
        assert!(answer.head.says("allow", "post"), "{method}: {:?}", answer.head);
    }
}

#[test]
fn progress_comes_on_the_calls_own_stream_before_its_result() {
    let mut params = json!({ "name": "test_tool_with_progress", "arguments": {} });
    params["_meta"]["progressToken"] = json!("p");
    let messages = client().stream(&client().request("tools/call", params)).rest();
    let progress: Vec<Value> = messages.iter().map(|m| m["params"]["progress"].clone()).collect();
    assert_eq!(progress.len(), 4, "{messages:?}");
    let values: Vec<Option<f64>> = progress.iter().map(Value::as_f64).collect();
    assert_eq!(values, [Some(0.0), Some(50.0), Some(100.0), None]);
    assert!(messages[3]["result"].is_object());
}

#[test]
fn log_messages_come_only_when_the_request_asks_for_them() {
    let call = |meta: Value| {
        let params = json!({ "name": "test_logging_tool", "arguments": {}, "_meta": meta });
        client().call("tools/call", params).messages.len()
    };
    assert_eq!(call(json!({})), 1);
    assert_eq!(call(json!({ "io.modelcontextprotocol/logLevel": "info" })), 4);
}

#[test]
fn a_listener_is_acknowledged_first_and_hears_only_what_it_asked_for() {
    // Its own server: others toggle the list of the shared one.
    let server = Server::fixture(&e2e::settings::Settings::default());
    let client = Client::stateless(server.mcp);
    let listen = |filter: Value| {
        let params = json!({ "notifications": filter });
        client.stream(&client.request_with_id(&json!("sub"), "subscriptions/listen", params))
    };
    let mut tools = listen(json!({ "toolsListChanged": true }));
    let mut prompts = listen(json!({ "promptsListChanged": true }));
    for stream in [&mut tools, &mut prompts] {
        let first = stream.message();
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
        assert_eq!(subscription(&first), "sub");
    }
    assert_eq!(client.call_tool("toggle_tools", json!({})).status(), 200);
    assert_eq!(client.call_tool("test_trigger_prompt_change", json!({})).status(), 200);
    let heard = tools.message();
    assert_eq!(heard["method"], "notifications/tools/list_changed");
    assert_eq!(subscription(&heard), "sub");
    // The tools were announced first: had they leaked, they would be here.
    assert_eq!(prompts.message()["method"], "notifications/prompts/list_changed");
}

fn subscription(message: &Value) -> Value {
    message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone()
}

#[test]
fn a_changed_list_is_answered_as_changed() {
    let server = Server::fixture(&e2e::settings::Settings::default());
    let has_toggled = |client: &Client| {
        let tools = client.call("tools/list", json!({})).result()["tools"].clone();
        tools.as_array().unwrap().iter().any(|tool| tool["name"] == "toggled")
    };
    for client in Client::of_both_eras(server.mcp) {
        let before = has_toggled(&client);
        assert_eq!(client.call_tool("toggle_tools", json!({})).status(), 200);
        assert_eq!(has_toggled(&client), !before);
    }
}

#[test]
fn a_state_that_was_tampered_with_is_refused() {
    let name = "test_input_required_result_tampered_state";
    let client = client();
    let asked = client.call_tool(name, json!({})).result();
    assert_eq!(asked["resultType"], "input_required");
    let state = asked["requestState"].as_str().unwrap();
    let retry = |state: &str| {
        let params = json!({
            "name": name,
            "arguments": {},
            "requestState": state,
            "inputResponses": { "confirm": { "action": "accept", "content": { "ok": true } } },
        });
        client.call("tools/call", params)
    };
    assert_eq!(retry(&format!("{state}x")).code(), Some(-32602));
    assert_eq!(retry(state).result()["content"][0]["text"], "state-ok");
}

#[test]
fn a_listener_that_reads_no_events_is_refused() {
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let request = client().request("subscriptions/listen", params);
    let mut connection = Connection::open(Server::shared_fixture().mcp);
    connection.send(request.clone().with("Accept", "application/json").bytes());
    // The head alone: a stream would have no end.
    assert_eq!(connection.head().status, 406);
    let mut stream = client().stream(&request.with("Accept", "text/event-stream"));
    assert_eq!(stream.message()["method"], "notifications/subscriptions/acknowledged");
}

#[test]
fn a_version_header_that_is_no_version_is_refused_with_those_that_are_known() {
    let session = Client::session(Server::shared_fixture().mcp, "2025-11-25");
    for version in ["foo", "zzzz-zz-zz", "2026-7-28", "2026-07-28x", "9"] {
        let ping = session.request("ping", json!({})).with("MCP-Protocol-Version", version);
        let reply = send(&ping);
        assert_eq!((reply.status(), reply.code()), (400, Some(-32022)), "{version}");
        assert_eq!(reply.response()["error"]["data"]["requested"], version);
        for method in ["GET", "DELETE"] {
            let request = session.bodiless(method).header("Accept", "text/event-stream");
            let reply = send(&request.with("MCP-Protocol-Version", version));
            assert_eq!((reply.status(), reply.code()), (400, Some(-32022)), "{method} {version}");
        }
    }
    assert_eq!(session.call("ping", json!({})).status(), 200, "none of it ended the session");
}

#[test]
fn a_cursor_is_seen_however_its_name_is_written_also_when_the_list_is_kept() {
    let server = Server::shared_promgate();
    for client in Client::of_both_eras(server.mcp) {
        let list = |key: &str| {
            let request = client.request("tools/list", json!({ "KEY": "x" }));
            let whole = String::from_utf8(request.bytes()).unwrap();
            let body = whole.split_once("\r\n\r\n").unwrap().1.replace("KEY", key);
            client.send(&request.body(body))
        };
        for _kept_after_the_first in 0..2 {
            assert_eq!(list("other").result()["tools"].as_array().unwrap().len(), 3);
            for key in ["cursor", r"curs\u006fr", r"\u0063ursor"] {
                let reply = list(key);
                assert_eq!(reply.code(), Some(-32602), "{key}: {}", reply.http.text());
            }
        }
    }
}
