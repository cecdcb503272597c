//! The Redis in which sessions are kept: full, gone, and empty again.

use e2e::{mcp::Client, minter, process::until, redis::Redis, replicas::Replicas};
use serde_json::{Value, json};

use super::parts;

/// Sets how many bytes it may keep; 0 for any number. What it has stays.
fn memory_max(redis: &Redis, bytes: &str) {
    redis.ask::<()>(&[b"CONFIG", b"SET", b"maxmemory", bytes.as_bytes()]);
}

fn start(redis: &Redis, when_down: &'static str) -> Replicas {
    let url = parts::url(redis);
    Replicas::start_with(2, move |_, config| {
        parts::stored_at(&url, config);
        config["sessions"]["redis"]["when_down"] = json!(when_down);
        parts::crowded(config);
    })
}

/// The status of opening a session.
fn opens(replicas: &Replicas) -> u16 {
    let client =
        Client::unopened(replicas.at(0).mcp(), "2025-11-25").bearing(&minter::token("ann"));
    client.send(&client.initialize(&json!({}))).status()
}

fn store_is_up(replicas: &Replicas) -> bool {
    let up = |said: Value| said["store"]["up"].as_bool().unwrap();
    replicas.running().all(|replica| up(replica.sessions()))
}

#[test]
fn while_the_store_is_down_new_sessions_are_refused_and_the_others_go_on() {
    let mut redis = Redis::start();
    let replicas = start(&redis, "refuse");
    let crowd = parts::crowd(&replicas, 40);
    assert!(store_is_up(&replicas));
    redis.kill();
    until("the store is known to be down", || opens(&replicas) == 503);
    assert!(!store_is_up(&replicas));
    crowd.ask(4).assert_clean();
    redis.start_again();
    until("sessions are opened again", || opens(&replicas) == 200);
    crowd.ask(1).assert_clean();
    until("the store is known to be up", || store_is_up(&replicas));
}

#[test]
fn while_the_store_is_down_sessions_are_opened_in_memory_where_that_is_wanted() {
    let mut redis = Redis::start();
    let replicas = start(&redis, "memory");
    let before = parts::crowd(&replicas, 20);
    redis.kill();
    let during = parts::crowd(&replicas, 20);
    before.ask(2).assert_clean();
    during.ask(2).assert_clean();
    redis.start_again();
    until("the store is known to be up", || store_is_up(&replicas));
    until("all are saved", || parts::saved(&redis) >= 40);
    let _log = replicas.at(0).kill();
    replicas.settle();
    before.ask(1).assert_clean();
    during.ask(1).assert_clean();
}

#[test]
fn a_full_store_refuses_new_sessions_and_loses_none() {
    let redis = Redis::start();
    let replicas = start(&redis, "refuse");
    let crowd = parts::crowd(&replicas, 40);
    memory_max(&redis, "1");
    assert_eq!(opens(&replicas), 503);
    crowd.ask(4).assert_clean();
    memory_max(&redis, "0");
    until("sessions are opened again", || opens(&replicas) == 200);
    let _log = replicas.at(1).kill();
    replicas.settle();
    crowd.ask(1).assert_clean();
}

#[test]
fn a_store_that_comes_back_empty_gets_all_sessions_anew() {
    let mut redis = Redis::start();
    let replicas = start(&redis, "refuse");
    let crowd = parts::crowd(&replicas, 60);
    redis.kill();
    redis.start_again();
    crowd.ask(2).assert_clean();
    until("all are saved anew", || parts::saved(&redis) >= 60);
    let _log = replicas.at(0).kill();
    replicas.settle();
    crowd.ask(2).assert_clean();
}

#[test]
fn a_store_that_is_emptied_while_it_runs_gets_all_sessions_anew() {
    let redis = Redis::start();
    let replicas = start(&redis, "refuse");
    let crowd = parts::crowd(&replicas, 60);
    redis.ask::<()>(&[b"FLUSHALL"]);
    crowd.ask(2).assert_clean();
    until("all are saved anew", || parts::saved(&redis) >= 60);
    let _log = replicas.at(1).kill();
    replicas.settle();
    crowd.ask(2).assert_clean();
}

#[test]
fn an_ordinary_request_never_touches_the_store() {
    let redis = Redis::start();
    let replicas = start(&redis, "refuse");
    let crowd = parts::crowd(&replicas, 20);
    let operations = || replicas.metric_sum("promgate_store_operations_total");
    let before = operations();
    assert!(before >= 20.0, "each session was saved: {before}");
    crowd.ask(10).assert_clean();
    assert!(operations() - before < 1.0, "{} operations of the store", operations() - before);
}

#[test]
fn what_is_stored_shows_nobody_who_opened_a_session() {
    let redis = Redis::start();
    let replicas = start(&redis, "refuse");
    let canary = "canary-of-a-client";
    let client =
        Client::unopened(replicas.at(0).mcp(), "2025-11-25").bearing(&minter::token("ann"));
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": canary, "version": "1" },
    }});
    let reply = client.send(&client.post(&message));
    let id = reply.http.head.header("Mcp-Session-Id").unwrap();
    let all = redis.everything();
    assert!(!all.is_empty(), "it is stored");
    let has = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
    for secret in [canary, &id, "ann", minter::ISSUER] {
        assert!(!has(secret), "{secret} is in the store");
    }
}
