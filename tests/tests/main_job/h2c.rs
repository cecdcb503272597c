//! HTTP/2 without TLS, by prior knowledge.

use std::time::Duration;

use e2e::{mcp::STATELESS, server::Server, settings::Settings};
use serde_json::{Value, json};

fn client() -> reqwest::Client {
    // Made for TLS too, which wants a provider although nothing here is encrypted.
    let _set_by_another_test = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(30), test).await };
    runtime.block_on(bounded).expect("it takes no longer");
}

fn call(client: &reqwest::Client, name: &str, arguments: Value) -> reqwest::RequestBuilder {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p",
    });
    let params = json!({ "name": name, "arguments": arguments, "_meta": meta });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    client
        .post(format!("http://{}/mcp", Server::shared_fixture().mcp))
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", STATELESS)
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", name)
        .json(&message)
}

#[test]
fn calls_in_parallel_on_one_connection_are_all_answered() {
    run(async {
        let client = client();
        let mut calls = tokio::task::JoinSet::new();
        for ms in 0..50 {
            let call = call(&client, "sleep_ms", json!({ "ms": ms, "label": "h2" }));
            calls.spawn(async move {
                let answer = call.send().await.unwrap();
                assert_eq!(
                    (answer.status(), answer.version()),
                    (200.try_into().unwrap(), reqwest::Version::HTTP_2)
                );
                let body: Value = answer.json().await.unwrap();
                assert_eq!(body["result"]["content"][0]["text"], format!("slept {ms} ms"));
            });
        }
        while let Some(done) = calls.join_next().await {
            done.unwrap();
        }
    });
}

#[test]
fn a_stream_comes_piece_by_piece_and_a_stalled_one_blocks_no_other() {
    run(async {
        let client = client();
        let flood = call(&client, "flood", json!({ "count": 50_000 }));
        let mut stalled = flood.send().await.unwrap();
        assert!(stalled.chunk().await.unwrap().is_some());
        for _call in 0..10 {
            let answer = call(&client, "counter", json!({})).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        assert!(stalled.chunk().await.unwrap().is_some(), "it goes on where it was");
    });
}

#[test]
fn a_stream_that_is_reset_takes_its_call_along() {
    run(async {
        let client = client();
        let sleep = call(&client, "sleep_ms", json!({ "ms": 60_000, "label": "h2-reset" }));
        let waiting = tokio::spawn(async move { sleep.send().await });
        let fate = |fate: &str| {
            call(&client, "await_sleep", json!({ "label": "h2-reset", "fate": fate })).send()
        };
        assert_eq!(fate("running").await.unwrap().status(), 200);
        waiting.abort();
        assert_eq!(fate("dropped").await.unwrap().status(), 200);
    });
}

#[test]
fn hosts_and_origins_are_checked_too() {
    run(async {
        let client = client();
        let counter = || call(&client, "counter", json!({}));
        let evil = counter().header("Origin", "http://evil.example").send().await.unwrap();
        assert_eq!(evil.status(), 403);
        let url = format!("http://evil.example:{}/mcp", Server::shared_fixture().mcp.port());
        let rebound = reqwest::Client::builder()
            .http2_prior_knowledge()
            .no_proxy()
            .resolve("evil.example", Server::shared_fixture().mcp)
            .build()
            .unwrap();
        let rebound = rebound.post(url).json(&json!({})).send().await.unwrap();
        assert!([400, 403, 421].contains(&rebound.status().as_u16()), "{}", rebound.status());
    });
}

#[test]
fn a_host_header_beside_the_authority_must_say_the_same() {
    run(async {
        let client = client();
        let address = Server::shared_fixture().mcp;
        let send = |host: String| {
            let mut request = call(&client, "counter", json!({})).build().unwrap();
            request.headers_mut().insert("Host", host.parse().unwrap());
            client.execute(request)
        };
        assert_eq!(send(address.to_string()).await.unwrap().status(), 200);
        let other = send(format!("localhost:{}", address.port())).await.unwrap().status();
        assert!([400, 403, 421].contains(&other.as_u16()), "{other}");
    });
}

/// It reads its socket, so that no write to it ever waits; its stream takes one byte and no more.
#[test]
fn a_client_that_keeps_its_window_shut_is_cut() {
    let server = Server::fixture(&Settings { write_timeout_ms: 500, ..Settings::default() });
    let _set_by_another_test = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .http2_initial_stream_window_size(1)
        .build()
        .unwrap();
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": { "name": "e2e", "version": "1" },
    }});
    let unread = runtime
        .block_on(client.post(format!("http://{}/mcp", server.mcp)).json(&initialize).send());
    assert_eq!(unread.as_ref().expect("the header arrives").status(), 200);
    server.wait_for_metric("promgate_requests_in_flight", 0.0);
    drop(unread);
}
