//! A real OpenID provider: tokens by client credentials, rotation of keys, other algorithms, outages.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use e2e::{
    mcp::Client,
    minter::AUDIENCE,
    process::PATIENCE,
    provider::{KeptPort, Provider},
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
fn until(server: &Server, token: &str, wanted: u16) {
    wait_until(&format!("{wanted}"), || status(server, token) == wanted);
}

#[expect(clippy::disallowed_methods, reason = "nobody tells when keys were fetched")]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(200));
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
    let port = KeptPort::any();
    let server = Server::promgate(&config(&port.issuer()));
    let mut claims = e2e::minter::claims("alice");
    claims["iss"] = json!(port.issuer());
    unavailable(&server, &e2e::minter::keys().rsa.token(&claims));
    let provider = Provider::start_on(&port);
    let token = provider.token(AUDIENCE, "metrics:read");
    until(&server, &token, 200);
}

/// A token that cannot be checked now is not called invalid: its holder would throw it away.
fn unavailable(server: &Server, token: &str) {
    let answer = Client::stateless(server.mcp).bearing(token).call("tools/list", json!({}));
    assert_eq!(answer.status(), 503, "{}", answer.http.text());
    let seconds = answer.http.head.header("Retry-After").and_then(|value| value.parse().ok());
    assert!(seconds.is_some_and(|seconds: u32| seconds > 0), "{:?}", answer.http.head);
    assert_eq!(answer.http.head.header("WWW-Authenticate"), None);
}

#[test]
fn a_token_of_a_new_key_while_the_provider_is_down_is_not_called_invalid() {
    let (provider, server) = start();
    let old = provider.token(AUDIENCE, "metrics:read");
    assert_eq!(status(&server, &old), 200);
    provider.hide_keys(true);
    provider.rotate(true);
    let new = provider.token(AUDIENCE, "metrics:read");
    unavailable(&server, &new);
    assert_eq!(status(&server, &old), 200, "what is known goes on");
    provider.hide_keys(false);
    until(&server, &new, 200);
}

/// Asks with every token in turn, on several threads, until `over` says so. Every request must be let in.
fn under_load(server: &Server, tokens: &[String], over: impl FnOnce()) -> usize {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let ask = |tokens: &[String]| {
            let clients: Vec<_> =
                tokens.iter().map(|token| Client::stateless(server.mcp).bearing(token)).collect();
            let mut asked = 0;
            while !ended.load(Ordering::Relaxed) {
                for client in &clients {
                    let answer = client.call("tools/list", json!({}));
                    assert_eq!(answer.status(), 200, "{}", answer.http.text());
                    asked += 1;
                }
            }
            asked
        };
        let askers: Vec<_> =
            tokens.chunks(5).map(|tokens| scope.spawn(move || ask(tokens))).collect();
        let outcome = catch_unwind(AssertUnwindSafe(over));
        ended.store(true, Ordering::Relaxed);
        let asked = askers.into_iter().map(|asker| asker.join().unwrap()).sum();
        outcome.map_or_else(|panic| resume_unwind(panic), |()| asked)
    })
}

#[test]
fn an_outage_in_mid_load_costs_not_one_good_request() {
    let provider = Provider::start();
    let mut config = config(&provider.issuer());
    verification(&mut config)["cache_interval"] = json!("10s");
    // Nothing is remembered, so that keys are needed for every request.
    verification(&mut config)["cache_entries_max"] = json!(1);
    let server = Server::promgate(&config);
    let tokens: Vec<_> = (0..20).map(|_| provider.token(AUDIENCE, "metrics:read")).collect();
    let fresh = provider.token(AUDIENCE, "metrics:read");
    assert_eq!(status(&server, &tokens[0]), 200);
    let asked = under_load(&server, &tokens, || {
        provider.hide_keys(true);
        let before = provider.fetches();
        wait_until("two refreshes have failed", || provider.fetches() >= before + 2);
        // And a machine that is not there at all.
        drop(provider);
        for _ in 0..20 {
            assert_eq!(status(&server, &tokens[0]), 200);
        }
    });
    assert!(asked > 100, "{asked} requests were under way");
    assert_eq!(status(&server, &fresh), 200, "a token that nobody had shown before");
}
