//! What SIGTERM does: no new work, and the old work is finished.

use std::{
    thread,
    time::{Duration, Instant},
};

use e2e::{
    http::{Connection, once},
    mcp::{Client, Reply},
    process::PATIENCE,
    server::Server,
    settings::Settings,
};
use rustix::process::Signal;
use serde_json::{Value, json};

fn sleep(client: &Client, label: &str, ms: u64) -> e2e::http::Request {
    let params = json!({ "name": "sleep_ms", "arguments": { "label": label, "ms": ms } });
    client.request("tools/call", params)
}

fn await_running(client: &Client, label: &str) {
    let _met = client.tool("await_sleep", json!({ "label": label, "fate": "running" }));
}

/// Waits until nobody listens at the server's address any longer.
#[expect(clippy::disallowed_methods, reason = "a closed listener tells nobody")]
fn await_closed(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    while Connection::try_open(server.mcp).is_ok() {
        assert!(Instant::now() < deadline, "the listener stays open");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn calls_in_flight_finish_while_nobody_new_is_let_in() {
    let server = Server::fixture(&Settings::default());
    thread::scope(|scope| {
        let clients = Client::of_both_eras(server.mcp);
        let calls: Vec<_> = clients
            .iter()
            .enumerate()
            .map(|(era, client)| {
                let label = format!("drained-{era}");
                let request = sleep(client, &label, 2500);
                let address = server.mcp;
                let call = scope.spawn(move || Reply::of(once(address, &request)));
                await_running(client, &label);
                call
            })
            .collect();
        server.terminate();
        await_closed(&server);
        for call in calls {
            let result = call.join().unwrap().result();
            assert_eq!(result["content"][0]["text"], "slept 2500 ms");
        }
    });
    assert_eq!(server.exit(PATIENCE).code(), Some(0));
}

#[test]
fn an_idle_server_ends_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::fixture(&Settings::default());
        let idle = Connection::open(server.mcp);
        let begun = Instant::now();
        server.process().signal(signal);
        assert_eq!(server.exit(PATIENCE).code(), Some(0), "{signal:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "took {:?}", begun.elapsed());
        drop(idle);
    }
}

#[test]
fn open_streams_end_as_they_should() {
    let server = Server::fixture(&Settings::default());
    let session = Client::session(server.mcp, "2025-11-25");
    let mut stream = session.listen();
    assert!(stream.next().unwrap().is_some());
    let stateless = Client::stateless(server.mcp);
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let mut listener =
        stateless.stream(&stateless.request_with_id(&json!("sub"), "subscriptions/listen", params));
    assert_eq!(listener.message()["method"], "notifications/subscriptions/acknowledged");
    server.terminate();
    assert_eq!(stream.rest(), Vec::<Value>::new());
    let goodbye = listener.rest();
    assert_eq!(goodbye.len(), 1, "{goodbye:?}");
    assert_eq!(goodbye[0]["id"], "sub");
    assert_eq!(goodbye[0]["result"]["resultType"], "complete");
    assert_eq!(server.exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_call_that_takes_too_long_does_not_keep_the_process() {
    let settings = Settings { drain_timeout_ms: 1000, ..Settings::default() };
    let server = Server::fixture(&settings);
    let client = Client::stateless(server.mcp);
    let mut connection = Connection::open(server.mcp);
    connection.send(sleep(&client, "endless", 50_000).bytes());
    await_running(&client, "endless");
    let begun = Instant::now();
    server.terminate();
    assert_eq!(server.exit(PATIENCE).code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(6), "took {:?}", begun.elapsed());
}

#[test]
fn readiness_ends_before_the_work_does() {
    let server = Server::fixture(&Settings::default());
    assert_eq!(e2e::http::get(server.admin, "/readyz").head.status, 200);
    let client = Client::stateless(server.mcp);
    let mut connection = Connection::open(server.mcp);
    connection.send(sleep(&client, "ready", 2500).bytes());
    await_running(&client, "ready");
    // The admin listener must be asked on a connection of its own, and may close at the very end.
    server.terminate();
    await_closed(&server);
    assert_eq!(e2e::http::get(server.admin, "/readyz").head.status, 503);
    assert_eq!(e2e::http::get(server.admin, "/healthz").head.status, 200);
    assert_eq!(connection.answer().head.status, 200);
    assert_eq!(server.exit(PATIENCE).code(), Some(0));
}
