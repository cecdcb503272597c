//! Requests that carry a token in a way that no request may.

use e2e::{
    http::{Request, once},
    mcp::Client,
    minter,
    server::{Server, guarded},
};
use serde_json::json;

fn server() -> Server {
    Server::promgate(&guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } })))
}

fn request(server: &Server) -> Request {
    Client::stateless(server.mcp).request("tools/list", json!({}))
}

#[test]
fn a_request_that_is_malformed_is_answered_with_400() {
    let server = server();
    let token = minter::token("alice");
    let good = format!("Bearer {token}");
    let twice = request(&server).header("Authorization", &good).header("Authorization", &good);
    let other =
        request(&server).header("Authorization", &good).header("authorization", "Basic YTpi");
    let empty = request(&server).header("Authorization", "Bearer ");
    let spaced = request(&server).header("Authorization", &format!("Bearer {token} {token}"));
    let listed = request(&server).header("Authorization", &format!("{good}, {good}"));
    let cases = [twice, other, empty, spaced, listed];
    for (number, case) in cases.into_iter().enumerate() {
        let id = format!("malformed-{number}");
        let answer = once(server.mcp, &case.header("X-Request-Id", &id));
        assert_eq!(answer.head.status, 400, "{number}: {}", answer.text());
        let challenge = answer.head.header("WWW-Authenticate").unwrap_or_default();
        assert!(challenge.contains("error=\"invalid_request\""), "{number}: {challenge}");
        let _record = server.access_record(|record| record["request_id"] == id.as_str());
    }
}

#[test]
fn a_token_in_the_query_is_refused_even_if_it_is_good() {
    let server = server();
    let token = minter::token("alice");
    let bytes = String::from_utf8(request(&server).bytes()).unwrap();
    let bytes = bytes.replacen("/mcp ", &format!("/mcp?access_token={token} "), 1);
    let mut connection = e2e::http::Connection::open(server.mcp);
    connection.send(bytes);
    let answer = connection.answer();
    assert_eq!(answer.head.status, 400, "{}", answer.text());
}

#[test]
fn a_token_in_the_body_is_no_token() {
    let server = server();
    let body = format!("access_token={}", minter::token("alice"));
    let form = Request::new("POST", "/mcp")
        .header("Accept", "application/json, text/event-stream")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body);
    assert!(once(server.mcp, &form).head.status >= 400);
}

#[test]
fn another_scheme_is_no_token() {
    let server = server();
    for other in ["Basic YWxpY2U6cGFzc3dvcmQ=", "DPoP abc", "Negotiate abc"] {
        let answer = once(server.mcp, &request(&server).header("Authorization", other));
        assert_eq!(answer.head.status, 401, "{other}: {}", answer.text());
    }
}

#[test]
fn the_scheme_is_read_in_any_case() {
    let server = server();
    let token = minter::token("alice");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let good = request(&server).header("Authorization", &format!("{scheme} {token}"));
        assert_eq!(once(server.mcp, &good).head.status, 200, "{scheme}");
    }
}
