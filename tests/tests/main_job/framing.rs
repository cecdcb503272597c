//! Where one request ends and the next begins.

use e2e::{
    http::{Connection, Request, once},
    mcp::{Client, Reply},
    server::Server,
    settings::Settings,
};
use serde_json::json;

fn server() -> &'static Server {
    Server::shared_fixture()
}

/// A request that is served as it stands.
fn good() -> Request {
    Client::stateless(server().mcp).request("tools/list", json!({}))
}

#[test]
fn a_body_on_get_or_delete_is_refused_and_never_read_as_a_request() {
    let smuggled = "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{chunk}");
    for method in ["GET", "DELETE"] {
        for framing in ["Content-Length: 5\r\n\r\nhello", length.as_str(), chunked.as_str()] {
            let client = Client::session(server().mcp, "2025-11-25");
            let head = client.bodiless(method).header("Accept", "text/event-stream").head_bytes();
            let head = String::from_utf8(head).unwrap();
            let ping = client.request("ping", json!({})).bytes();
            let mut connection = Connection::open(server().mcp);
            connection.send(format!("{}{framing}", head.strip_suffix("\r\n").unwrap()));
            let _closed_already = connection.try_send(ping);
            let head = connection.head();
            assert_eq!(head.status, 400, "{method} {framing}");
            assert!(head.says("connection", "close"), "{head:?}");
            while connection.piece().unwrap().is_some() {}
            assert!(connection.is_closed(), "{method} {framing}: what follows is answered");
            assert_eq!(client.call("ping", json!({})).status(), 200, "the session lives on");
        }
    }
}

#[test]
fn a_length_of_zero_is_no_body() {
    let client = Client::session(server().mcp, "2025-11-25");
    let delete = client.bodiless("DELETE").header("Content-Length", "0");
    let mut connection = Connection::open(server().mcp);
    assert_eq!(connection.exchange(&delete).head.status, 204);
    assert_eq!(connection.exchange(&good()).head.status, 200, "the connection stays");
}

fn in_version_1_0(request: &Request) -> Vec<u8> {
    String::from_utf8(request.bytes()).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes()
}

#[test]
fn version_1_0_closes_the_connection_unless_asked_not_to() {
    let mut connection = Connection::open(server().mcp);
    connection.send(in_version_1_0(&good()));
    assert_eq!(connection.answer().head.status, 200);
    assert!(connection.is_closed());
    let mut connection = Connection::open(server().mcp);
    for _request in 0..3 {
        connection.send(in_version_1_0(&good().header("Connection", "keep-alive")));
        assert_eq!(connection.answer().head.status, 200);
    }
    connection.send(in_version_1_0(&good().header("Connection", "close")));
    assert_eq!(connection.answer().head.status, 200);
    assert!(connection.is_closed());
}

#[test]
fn a_stream_in_version_1_0_ends_with_its_connection() {
    let server = Server::fixture(&Settings { stream_after_ms: 100, ..Settings::default() });
    let client = Client::stateless(server.mcp);
    let params = json!({ "name": "sleep_ms", "arguments": { "label": "old", "ms": 600 } });
    for connection in ["close", "keep-alive"] {
        let call = client.request("tools/call", params.clone()).header("Connection", connection);
        let mut open = Connection::open(server.mcp);
        open.send(in_version_1_0(&call));
        let head = open.head();
        assert!(!head.says("transfer-encoding", "chunked"), "{head:?}");
        let messages = open.into_events().rest();
        assert_eq!(messages.len(), 1, "{connection}: {messages:?}");
        assert_eq!(messages[0]["result"]["content"][0]["text"], "slept 600 ms");
    }
}

#[test]
fn a_client_that_sends_all_of_a_body_too_large_can_read_why_it_was_refused() {
    let body = "x".repeat(2_000_000);
    let announced = good().body(body.clone()).bytes();
    let head = String::from_utf8(good().without("Content-Length").head_bytes()).unwrap();
    let head = head.strip_suffix("\r\n").unwrap();
    let size = body.len();
    let chunked =
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n");
    for bytes in [announced, chunked.into_bytes()] {
        for _attempt in 0..5 {
            let mut connection = Connection::open(server().mcp);
            connection.send(&bytes);
            let reply = Reply::of(connection.answer());
            assert_eq!((reply.status(), reply.code()), (413, Some(-32600)));
            assert!(connection.is_closed());
        }
    }
}

#[test]
fn a_refused_request_with_a_body_leaves_its_connection_usable() {
    let body = "x".repeat(300_000);
    let elsewhere = Request::new("POST", "/nowhere").body(body.clone());
    let plain = good().with("Content-Type", "text/plain").body(body.clone());
    let foreign = good().header("Origin", "http://evil.example").body(body.clone());
    let picky = good().with("Accept", "text/html").body(body);
    for (status, refused) in [(404, elsewhere), (415, plain), (403, foreign), (406, picky)] {
        let mut connection = Connection::open(server().mcp);
        assert_eq!(connection.exchange(&refused).head.status, status);
        assert_eq!(connection.exchange(&good()).head.status, 200, "after {status}");
        connection.send([refused.bytes(), good().bytes()].concat());
        assert_eq!(connection.answer().head.status, status);
        assert_eq!(connection.answer().head.status, 200, "sent together with {status}");
    }
}

#[test]
fn a_refused_body_that_never_ends_does_not_hold_its_connection() {
    let mut connection = Connection::open(server().mcp);
    let stuck = good().with("Content-Type", "text/plain").with("Content-Length", "100");
    connection.send(stuck.head_bytes());
    assert_eq!(connection.answer().head.status, 415);
    assert!(connection.is_closed());
    assert_eq!(once(server().mcp, &good()).head.status, 200);
}
