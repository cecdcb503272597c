//! Clients that ask and do not read.

use std::{
    thread,
    time::{Duration, Instant},
};

use e2e::{
    http::{Connection, is_late, once},
    mcp::{Client, Reply},
    server::Server,
    settings::Settings,
};
use serde_json::{Value, json};

const WRITE_TIME: &str = r#"promgate_limit_reached_total{limit="write_time"}"#;
const CALL_TIME: &str = r#"promgate_limit_reached_total{limit="call_time"}"#;
const CALLS: &str = r#"promgate_calls_in_flight{worker="0"}"#;

fn cuts_soon() -> Server {
    Server::fixture(&Settings { workers: 1, write_timeout_ms: 500, ..Settings::default() })
}

/// Sends `bytes` again and again without reading, until the server cuts the connection.
fn send_until_cut(server: &Server, connection: &mut Connection, bytes: &[u8]) {
    let begun = Instant::now();
    let error = loop {
        if let Err(error) = connection.try_send(bytes) {
            break error;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it may send for ever");
    };
    assert!(!is_late(&error), "the server neither reads nor cuts: {error}");
    server.wait_for_metric("promgate_requests_in_flight", 0.0);
    server.wait_for_metric(WRITE_TIME, 1.0);
    server.wait_for_metric(r#"promgate_connections_open{listener="clients"}"#, 0.0);
}

#[test]
fn a_client_that_reads_no_small_answers_is_cut() {
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    for message in [notification, ping] {
        let server = cuts_soon();
        let client = Client::session(server.mcp, "2025-11-25").unconnected();
        let many = client.post(&message).bytes().repeat(50);
        send_until_cut(&server, &mut Connection::narrow(server.mcp), &many);
        assert_eq!(client.call("ping", json!({})).status(), 200, "others are served");
    }
}

#[test]
fn a_client_that_reads_no_refusals_is_cut() {
    let server = cuts_soon();
    let many = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    send_until_cut(&server, &mut Connection::narrow(server.mcp), &many);
}

#[test]
fn an_http2_client_that_reads_nothing_is_cut() {
    let server = cuts_soon();
    let mut connection = Connection::narrow(server.mcp);
    // The preface and an empty SETTINGS frame. Spec: RFC 9113 §3.4.
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    // PING frames, each of which is to be answered. Spec: RFC 9113 §6.7.
    let pings = b"\0\0\x08\x06\0\0\0\0\0promgate".repeat(500);
    send_until_cut(&server, &mut connection, &pings);
}

#[test]
fn a_large_answer_that_nobody_reads_is_cut() {
    let server = cuts_soon();
    let client = Client::stateless(server.mcp);
    let mut connection = Connection::narrow(server.mcp);
    connection.send(flood(&client, json!({ "count": 1_000_000 })).bytes());
    server.wait_for_metric(WRITE_TIME, 1.0);
    server.wait_for_metric("promgate_requests_in_flight", 0.0);
    server.wait_for_metric(CALLS, 0.0);
}

/// A call that sends `count` messages of 1 kB.
fn flood(client: &Client, arguments: Value) -> e2e::http::Request {
    let mut params = json!({ "name": "flood", "arguments": arguments });
    params["_meta"]["progressToken"] = json!("p");
    client.request("tools/call", params)
}

fn short_calls(call_timeout_ms: u64) -> Server {
    let settings = Settings { workers: 1, stream_after_ms: 100, ..Settings::default() };
    Server::fixture(&Settings { call_timeout_ms, ..settings })
}

#[test]
fn a_call_whose_stream_is_full_and_unread_is_ended_at_its_deadline() {
    let server = short_calls(700);
    for (era, client) in [1.0, 2.0].into_iter().zip(Client::of_both_eras(server.mcp)) {
        let mut unread = Connection::narrow(server.mcp);
        unread.send(flood(&client, json!({ "count": 100_000_000 })).bytes());
        server.wait_for_metric(CALLS, 1.0);
        server.wait_for_metric(CALLS, 0.0);
        server.wait_for_metric(CALL_TIME, era);
        // Read at last, it says why; and it is not counted once more.
        let messages = unread_messages(unread);
        let last = messages.last().unwrap();
        assert_eq!(last["error"]["code"], -32603, "{last}");
        server.wait_for_metric("promgate_requests_in_flight", 0.0);
        server.wait_for_metric(CALL_TIME, era);
    }
}

fn unread_messages(mut connection: Connection) -> Vec<Value> {
    assert_eq!(connection.head().status, 200);
    connection.into_events().rest()
}

#[test]
fn a_reader_that_is_there_is_always_told_that_the_time_is_over() {
    let server = short_calls(300);
    let address = server.mcp;
    thread::scope(|scope| {
        for reader in 0..8 {
            scope.spawn(move || {
                let [stateless, session] = Client::of_both_eras(address);
                for round in 0..6 {
                    let client = if round % 2 == 0 { &stateless } else { &session };
                    let label = format!("{reader}-{round}");
                    let arguments = json!({ "label": label, "ms": 60_000 });
                    let params = json!({ "name": "sleep_ms", "arguments": arguments });
                    let mut stream = client.stream(&client.request("tools/call", params));
                    let messages = stream.rest();
                    assert_eq!(messages.len(), 1, "{messages:?}");
                    assert_eq!(messages[0]["error"]["code"], -32603, "{messages:?}");
                }
            });
        }
        scope.spawn(move || {
            let client = Client::stateless(address);
            let messages = client.stream(&flood(&client, json!({ "count": 100_000_000 }))).rest();
            assert_eq!(messages.last().unwrap()["error"]["code"], -32603);
        });
    });
    server.wait_for_metric(CALL_TIME, 49.0);
}

#[test]
fn a_destructor_that_panics_does_not_end_the_sweeping() {
    let server = short_calls(300);
    let client = Client::stateless(server.mcp);
    let unread = |arguments: Value| {
        let mut connection = Connection::narrow(server.mcp);
        connection.send(flood(&client, arguments).bytes());
        connection
    };
    let endless = json!({ "count": 100_000_000 });
    let panicking = json!({ "count": 100_000_000, "panics_at_end": true });
    // Together, so that one look finds them all.
    let held = [&panicking, &panicking, &endless].map(|arguments| unread(arguments.clone()));
    server.wait_for_metric(CALLS, 3.0);
    server.wait_for_metric(CALLS, 0.0);
    let later = unread(endless);
    server.wait_for_metric(CALLS, 1.0);
    server.wait_for_metric(CALLS, 0.0);
    drop((held, later));
    let params = json!({ "name": "counter", "arguments": {} });
    let reply = Reply::of(once(server.mcp, &client.request("tools/call", params)));
    assert_eq!(reply.status(), 200);
}
