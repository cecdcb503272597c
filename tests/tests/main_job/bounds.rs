//! What clients may make the server keep.

use std::thread;

use e2e::{
    http::{Connection, Request, once},
    mcp::{Client, Reply},
    server::Server,
    settings::Settings,
};
use serde_json::{Value, json};

const BODIES: &str = r#"promgate_limit_reached_total{limit="bodies"}"#;

fn initialize(client: &Client, capabilities: &Value, client_info: &Value) -> Request {
    client.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": client_info,
    }}))
}

/// A client that sends `initialize` as it stands.
fn opener(server: &Server) -> Client {
    Client::stateless(server.mcp)
}

/// Opens sessions whose clients say 15 kB each, and never the same.
fn open_many(server: &Server, from: usize, count: usize) {
    let client = opener(server);
    for number in from..from + count {
        let text = format!("{number:05}").repeat(1400);
        let experimental = json!({ "experimental": { "x": { "a": text } } });
        let client_info = json!({ "name": "e2e", "version": "1", "icons": [{ "src": text }] });
        let request = initialize(&client, &experimental, &client_info);
        let reply = client.send(&request.without("MCP-Protocol-Version"));
        assert_eq!(reply.status(), 200, "{}", reply.http.text());
    }
}

#[test]
fn what_clients_say_at_initialize_and_nobody_reads_is_not_kept() {
    let server = Server::fixture(&Settings::default());
    open_many(&server, 0, 100);
    let before = server.resident_bytes();
    thread::scope(|scope| {
        for part in 0..2 {
            let server = &server;
            scope.spawn(move || open_many(server, 1000 + part * 1500, 1500));
        }
    });
    let a_session = (server.resident_bytes() - before) / 3000;
    assert!(a_session < 5 << 10, "a session takes {a_session} bytes");
    assert!((server.metric_sum("promgate_sessions_open") - 3100.0).abs() < f64::EPSILON);
}

#[test]
fn initialize_with_more_than_it_may_hold_is_refused() {
    let server = Server::shared_fixture();
    let client = opener(server);
    let send = |bytes: usize| {
        let experimental = json!({ "experimental": { "x": { "a": "x".repeat(bytes) } } });
        let client_info = json!({ "name": "e2e", "version": "1" });
        let request = initialize(&client, &experimental, &client_info);
        client.send(&request.without("MCP-Protocol-Version"))
    };
    assert_eq!(send(16_000).status(), 200);
    let refused = send(17_000);
    assert_eq!((refused.status(), refused.code()), (413, Some(-32602)));
    assert_eq!(refused.response()["id"], 1);
}

#[test]
fn what_clients_say_and_is_kept_has_a_budget() {
    let server =
        Server::fixture(&Settings { workers: 1, sessions_max: 2000, ..Settings::default() });
    let client = opener(&server);
    let open = |number: usize| {
        let said = json!({ "extensions": { "io.example/x": { "a": "x".repeat(10_000) } } });
        let client_info = json!({ "name": format!("client {number}"), "version": "1" });
        let request = initialize(&client, &said, &client_info);
        client.send(&request.without("MCP-Protocol-Version"))
    };
    let refused = (0..1000).map(open).find(|reply| reply.status() != 200).expect("a budget");
    assert_eq!(refused.status(), 503, "{}", refused.http.text());
    assert!(refused.http.head.header("Retry-After").is_some());
    assert_eq!(refused.response()["id"], 1);
    let small = client.initialize(&json!({})).without("MCP-Protocol-Version");
    // Another client's facts may not fit either; those that are kept already are free.
    let known = open(0);
    assert_eq!(known.status(), 200, "{}", known.http.text());
    assert!([200, 503].contains(&client.send(&small).status()));
}

/// A call with a body of about `bytes` bytes.
fn call_of(client: &Client, bytes: usize) -> Request {
    let arguments = json!({ "filler": "x".repeat(bytes) });
    client.request("tools/call", json!({ "name": "counter", "arguments": arguments }))
}

#[test]
fn bodies_that_arrive_have_a_bound_in_all() {
    let server = Server::fixture(&Settings { bodies_bytes_max: 100_000, ..Settings::default() });
    let client = Client::stateless(server.mcp);
    let call = call_of(&client, 40_000).bytes();
    let (most, last) = call.split_at(call.len() - 1);
    let mut held: Vec<Connection> = (0..2)
        .map(|_| {
            let mut connection = Connection::open(server.mcp);
            connection.send(most);
            connection
        })
        .collect();
    server.wait_for_metric("promgate_requests_in_flight", 2.0);
    let mut surplus = Connection::open(server.mcp);
    surplus.send(most);
    // Which of the three is read last is not ours to say, but it is one of them.
    let small = client.call_tool("counter", json!({}));
    assert_eq!(small.status(), 200, "a body of one piece needs no room");
    server.wait_for_metric(BODIES, 1.0);
    held.push(surplus);
    let mut statuses: Vec<u16> = held
        .iter_mut()
        .map(|connection| {
            let _closed_already = connection.try_send(last);
            let reply = Reply::of(connection.answer());
            if reply.status() == 503 {
                assert_eq!(reply.code(), Some(-32603));
            }
            reply.status()
        })
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503]);
    drop(held);
    server.wait_for_metric("promgate_requests_in_flight", 0.0);
    assert_eq!(client.send(&call_of(&client, 90_000)).status(), 200, "there is room again");
    let too_large = once(server.mcp, &call_of(&client, 120_000));
    assert_eq!(too_large.head.status, 503, "one alone is bounded too");
}

#[test]
fn bodies_whose_clients_left_give_their_room_back() {
    let server = Server::fixture(&Settings { bodies_bytes_max: 100_000, ..Settings::default() });
    let client = Client::stateless(server.mcp);
    for _round in 0..5 {
        let call = call_of(&client, 60_000).bytes();
        let mut connection = Connection::open(server.mcp);
        connection.send(&call[..call.len() - 1]);
        server.wait_for_metric("promgate_requests_in_flight", 1.0);
        drop(connection);
        server.wait_for_metric("promgate_requests_in_flight", 0.0);
    }
    assert_eq!(client.send(&call_of(&client, 90_000)).status(), 200);
}
