//! A real OpenID provider: tokens by client credentials, rotation of keys, other algorithms, outages.

use std::time::{Duration, Instant};

use e2e::{
    mcp::Client,
    minter::AUDIENCE,
    process::PATIENCE,
    provider::{Provider, free_port, issuer},
    server::{Server, guarded_by, verification},
};
use serde_json::{Value, json};

fn config(issuer: &str) -> Value {
    let keys = format!("{issuer}/jwks");
    let local = json!({ "jwks_uri": keys, "issuer": issuer, "audiences": [AUDIENCE] });
    guarded_by(&json!({ "main": { "url": "http://127.0.0.1:9" } }), local)
}

fn start() -> (Provider, Server) {
    let provider = Provider::start();
    let server = Server::promgate(&config(&provider.issuer()));
    (provider, server)
}

/// The status of an answer to a request with this token.
fn status(server: &Server, token: &str) -> u16 {
    Client::stateless(server.mcp).bearing(token).call("tools/list", json!({})).status()
}

/// Asks again until the status is `wanted`: keys are fetched again ten seconds after the last time at most.
#[expect(clippy::disallowed_methods, reason = "nobody tells when keys were fetched")]
fn until(server: &Server, token: &str, wanted: u16) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = status(server, token);
        if status == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{status} and never {wanted}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_token_by_client_credentials_calls_a_tool() {
    let (provider, server) = start();
    let token = provider.token(AUDIENCE, "metrics:read");
    let client = Client::stateless(server.mcp).bearing(&token);
    let answer = client.call_tool("prometheus_query", json!({ "query": "1" }));
    assert_eq!(answer.status(), 200, "{}", answer.http.text());
    let session = Client::session_of(server.mcp, "2025-11-25", &token);
    assert_eq!(session.call("tools/list", json!({})).status(), 200);
}

#[test]
fn a_token_for_another_resource_is_refused() {
    let (provider, server) = start();
    assert_eq!(status(&server, &provider.token("https://other.example/mcp", "metrics:read")), 401);
}

#[test]
fn keys_are_found_by_discovery() {
    let provider = Provider::start();
    let mut config = config(&provider.issuer());
    let local = verification(&mut config);
    local.as_object_mut().unwrap().remove("jwks_uri");
    local["discovery"] = json!(true);
    let server = Server::promgate(&config);
    assert_eq!(status(&server, &provider.token(AUDIENCE, "metrics:read")), 200);
}

#[test]
fn after_a_rotation_that_keeps_the_old_key_both_work() {
    let (provider, server) = start();
    let old = provider.token(AUDIENCE, "metrics:read");
    assert_eq!(status(&server, &old), 200);
    provider.rotate(true);
    let new = provider.token(AUDIENCE, "metrics:read");
    until(&server, &new, 200);
    assert_eq!(status(&server, &old), 200);
}

#[test]
fn after_a_rotation_that_drops_the_old_key_only_the_new_one_works() {
    let (provider, server) = start();
    let old = provider.token(AUDIENCE, "metrics:read");
    assert_eq!(status(&server, &old), 200);
    provider.rotate(false);
    let new = provider.token(AUDIENCE, "metrics:read");
    // The new key's name is unknown, and that is why keys are fetched again.
    until(&server, &new, 200);
    assert_eq!(status(&server, &old), 401, "also what was remembered of it is forgotten");
}

#[test]
fn a_removed_key_stops_working_at_the_next_refresh() {
    let provider = Provider::start();
    let mut config = config(&provider.issuer());
    verification(&mut config)["cache_interval"] = json!("10s");
    let server = Server::promgate(&config);
    let old = provider.token(AUDIENCE, "metrics:read");
    assert_eq!(status(&server, &old), 200);
    provider.rotate(false);
    until(&server, &old, 401);
}

#[test]
fn the_provider_may_change_to_other_algorithms() {
    let (provider, server) = start();
    let rs256 = provider.token(AUDIENCE, "metrics:read");
    assert_eq!(status(&server, &rs256), 200);
    for algorithm in ["ES256", "EdDSA"] {
        provider.sign_with(algorithm);
        let token = provider.token(AUDIENCE, "metrics:read");
        until(&server, &token, 200);
    }
    assert_eq!(status(&server, &rs256), 200);
}

#[test]
fn tokens_of_unknown_keys_do_not_make_us_a_burden_to_the_provider() {
    let (provider, server) = start();
    assert_eq!(status(&server, &provider.token(AUDIENCE, "metrics:read")), 200);
    let before = provider.fetches();
    let stranger = e2e::minter::Key::new(e2e::minter::Kind::P256, "nobody-knows");
    let claims = e2e::minter::claims_with(&json!({ "iss": provider.issuer() }));
    for _ in 0..200 {
        assert_eq!(status(&server, &stranger.token(&claims)), 401);
    }
    // Two hundred requests take far less than a minute, in which six fetches may be made.
    assert!(provider.fetches() - before <= 6, "{} fetches", provider.fetches() - before);
}

#[test]
fn starting_while_the_provider_is_down_works() {
    let port = free_port();
    let server = Server::promgate(&config(&issuer(port)));
    let mut claims = e2e::minter::claims("alice");
    claims["iss"] = json!(issuer(port));
    let answer = Client::stateless(server.mcp)
        .bearing(&e2e::minter::keys().rsa.token(&claims))
        .call("tools/list", json!({}));
    assert_eq!(answer.status(), 503, "{}", answer.http.text());
    assert!(answer.http.head.header("Retry-After").is_some(), "{:?}", answer.http.head);
    let provider = Provider::start_on(port);
    let token = provider.token(AUDIENCE, "metrics:read");
    until(&server, &token, 200);
}

#[test]
fn an_outage_in_mid_load_costs_not_one_good_request() {
    let (provider, server) = start();
    let tokens: Vec<_> = (0..20).map(|_| provider.token(AUDIENCE, "metrics:read")).collect();
    assert_eq!(status(&server, &tokens[0]), 200);
    let clients: Vec<_> =
        tokens.iter().map(|token| Client::stateless(server.mcp).bearing(token)).collect();
    let ask_all = || {
        for client in &clients {
            assert_eq!(client.call("tools/list", json!({})).status(), 200);
        }
    };
    ask_all();
    provider.hide_keys(true);
    // A name that is unknown makes for a fetch, which fails; what is known stays.
    let stranger = e2e::minter::Key::new(e2e::minter::Kind::P256, "nobody-knows");
    let claims = e2e::minter::claims_with(&json!({ "iss": provider.issuer() }));
    let _refused = status(&server, &stranger.token(&claims));
    let fresh = provider.token(AUDIENCE, "metrics:read");
    for _ in 0..20 {
        ask_all();
    }
    drop(provider);
    for _ in 0..20 {
        ask_all();
    }
    assert_eq!(status(&server, &fresh), 200, "a token that nobody had shown before");
}
