//! The generation with sessions: 2024-11-05 to 2025-11-25.

use std::time::Duration;

use e2e::{
    http::{Event, once},
    mcp::{Client, Reply, SESSIONS},
    server::Server,
};
use serde_json::{Value, json};

fn server() -> &'static Server {
    Server::shared_fixture()
}

fn initialize(version: &str) -> Reply {
    let message = json!({ "jsonrpc": "2.0", "id": "i", "method": "initialize", "params": {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "e2e", "version": "1" },
    }});
    let client = Client::session(server().mcp, "2025-11-25");
    let request = client.post(&message).without("Mcp-Session-Id").without("MCP-Protocol-Version");
    Reply::of(once(server().mcp, &request))
}

#[test]
fn every_revision_with_sessions_is_agreed_to() {
    for version in SESSIONS {
        let reply = initialize(version);
        assert_eq!(reply.result()["protocolVersion"], version);
        assert_eq!(reply.result()["serverInfo"]["name"], "fixture");
        let client = Client::session(server().mcp, version);
        let result = client.tool("test_simple_text", json!({}));
        assert_eq!(result["content"][0]["text"], "This is a simple text response for testing.");
        assert!(result["resultType"].is_null(), "{version} does not know resultType: {result}");
    }
}

#[test]
fn an_unknown_revision_is_answered_with_the_newest_that_has_sessions() {
    for version in ["2026-07-28", "2999-01-01", "1999-01-01"] {
        assert_eq!(initialize(version).result()["protocolVersion"], "2025-11-25", "{version}");
    }
}

#[test]
fn a_session_id_is_long_visible_ascii_and_new_each_time() {
    let id = || initialize("2025-11-25").http.head.header("Mcp-Session-Id").unwrap();
    let (a, b) = (id(), id());
    assert!(a.len() >= 22 && a.bytes().all(|byte| byte.is_ascii_graphic()), "{a}");
    assert_ne!(a, b);
}

#[test]
fn a_message_without_a_session_is_a_bad_request() {
    let client = Client::session(server().mcp, "2025-11-25");
    let request = client.request("tools/list", json!({})).without("Mcp-Session-Id");
    let reply = Reply::of(once(server().mcp, &request));
    assert_eq!(reply.status(), 400);
    assert!(reply.code().is_some(), "{}", reply.http.text());
}

#[test]
fn a_message_in_an_unknown_session_is_not_found() {
    let client = Client::session(server().mcp, "2025-11-25");
    for id in ["nobodys-session", "x", &"A".repeat(43), &"A".repeat(4000)] {
        let request = client.request("tools/list", json!({})).with("Mcp-Session-Id", id);
        assert_eq!(once(server().mcp, &request).head.status, 404, "{id}");
        let request = client.bodiless("GET").with("Mcp-Session-Id", id);
        assert_eq!(once(server().mcp, &request).head.status, 404, "{id}");
    }
}

#[test]
fn two_session_ids_are_a_bad_request() {
    let client = Client::session(server().mcp, "2025-11-25");
    let request = client.request("tools/list", json!({})).header("Mcp-Session-Id", "another");
    assert_eq!(once(server().mcp, &request).head.status, 400);
}

#[test]
fn delete_ends_the_session_and_its_stream() {
    let client = Client::session(server().mcp, "2025-11-25");
    let mut stream = client.listen();
    assert!(stream.next().unwrap().is_some(), "the first byte comes at once");
    let gone = client.delete();
    assert_eq!((gone.status(), gone.http.body.len()), (204, 0));
    assert_eq!(stream.rest(), Vec::<Value>::new());
    assert_eq!(client.delete().status(), 404);
    assert_eq!(client.call("tools/list", json!({})).status(), 404);
}

#[test]
fn ping_is_answered_with_nothing() {
    let client = Client::session(server().mcp, "2025-06-18");
    assert_eq!(client.call("ping", json!({})).result(), json!({}));
}

#[test]
fn a_notification_is_accepted_without_a_body() {
    let client = Client::session(server().mcp, "2025-11-25");
    let reply = client.notify("notifications/roots/list_changed", json!({}));
    assert_eq!((reply.status(), reply.http.body.len()), (202, 0));
}

#[test]
fn an_unknown_method_is_an_error_in_a_good_answer() {
    let client = Client::session(server().mcp, "2025-11-25");
    let reply = client.call("nope/nope", json!({}));
    assert_eq!((reply.status(), reply.code()), (200, Some(-32601)));
}

#[test]
fn the_first_byte_of_a_stream_comes_at_once() {
    let client = Client::session(server().mcp, "2025-11-25");
    let mut stream = client.listen();
    stream.patience(Duration::from_secs(2));
    assert_eq!(stream.next().unwrap(), Some(Event::Comment));
}

#[test]
fn a_streams_head_forbids_buffering_and_caching() {
    let client = Client::session(server().mcp, "2025-11-25");
    let mut connection = e2e::http::Connection::open(server().mcp);
    connection.send(client.bodiless("GET").header("Accept", "text/event-stream").bytes());
    let head = connection.head();
    assert_eq!(head.status, 200);
    assert!(head.says("content-type", "text/event-stream"), "{head:?}");
    assert!(head.says("cache-control", "no-"), "{head:?}");
    assert!(head.says("x-accel-buffering", "no"), "{head:?}");
}

#[test]
fn an_unknown_version_header_is_a_bad_request() {
    let client = Client::session(server().mcp, "2025-11-25");
    let request = client.request("tools/list", json!({}));
    let reply = once(server().mcp, &request.with("MCP-Protocol-Version", "1999-01-01"));
    assert_eq!(reply.head.status, 400);
}

#[test]
fn progress_and_log_messages_come_on_the_calls_own_stream() {
    let client = Client::session(server().mcp, "2025-11-25");
    let mut quiet = client.listen();
    let params = json!({ "name": "test_tool_with_logging", "arguments": {} });
    let messages = client.stream(&client.request("tools/call", params)).rest();
    let said: Vec<&Value> = messages.iter().map(|message| &message["params"]["data"]).collect();
    assert_eq!(
        said[..3],
        ["Tool execution started", "Tool processing data", "Tool execution completed"]
    );
    assert!(messages[3]["result"].is_object(), "{messages:?}");
    client.delete();
    assert_eq!(quiet.rest(), Vec::<Value>::new(), "the session's stream hears none of it");
}
