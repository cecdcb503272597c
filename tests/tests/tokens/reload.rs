//! A new configuration without a restart: as a whole or not at all.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use e2e::{
    backend::Backend,
    mcp::Client,
    minter::{self, Key, Kind},
    paths::temporary_folder,
    process::PATIENCE,
    server::{Server, guarded, verification, write_whole},
};
use rustix::process::Signal;
use serde_json::{Value, json};

fn config(backend: &str) -> Value {
    guarded(&json!({ "main": { "url": backend } }))
}

fn rules(mut config: Value, subject: &str) -> Value {
    config["authorization"] = json!({ "rules": [{
        "name": "one", "who": { "subjects": [subject] }, "tools": ["*"], "backends": ["*"],
    }] });
    config
}

/// How many tools the holder of this token sees; none when it is not let in.
fn tools(server: &Server, token: &str) -> Option<usize> {
    let reply = Client::stateless(server.mcp).bearing(token).call("tools/list", json!({}));
    reply.response()["result"]["tools"].as_array().map(Vec::len)
}

/// Looks again until it is so.
#[expect(clippy::disallowed_methods, reason = "a test thread has nothing else to do")]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn reload(server: &Server, config: &Value) {
    server.rewrite_config(config);
    server.process().signal(Signal::HUP);
}

#[test]
fn a_rule_takes_effect_at_sighup() {
    let first = rules(config("http://127.0.0.1:9"), "alice");
    let server = Server::promgate(&first);
    let (alice, bob) = (minter::token("alice"), minter::token("bob"));
    assert_eq!((tools(&server, &alice), tools(&server, &bob)), (Some(3), Some(0)));
    reload(&server, &rules(first, "bob"));
    until("the rule is about bob", || tools(&server, &bob) == Some(3));
    assert_eq!(tools(&server, &alice), Some(0), "also what was remembered of her token");
}

#[test]
fn a_change_of_the_file_is_noticed_where_that_is_wanted() {
    let mut first = rules(config("http://127.0.0.1:9"), "alice");
    first["server"]["reload_interval"] = json!("1s");
    let server = Server::promgate(&first);
    let bob = minter::token("bob");
    assert_eq!(tools(&server, &bob), Some(0));
    server.rewrite_config(&rules(first, "bob"));
    until("the rule is about bob", || tools(&server, &bob) == Some(3));
}

#[test]
fn an_invalid_configuration_is_refused_whole_and_the_old_one_stays() {
    let first = rules(config("http://127.0.0.1:9"), "alice");
    let server = Server::promgate(&first);
    let (alice, bob) = (minter::token("alice"), minter::token("bob"));
    let mut bad = rules(first.clone(), "bob");
    bad["server"]["wrokers"] = json!(2);
    verification(&mut bad)["allow_conditions"] = json!([{ "expression": "payload.(" }]);
    reload(&server, &bad);
    let stderr = server.process().stderr();
    let _line = stderr.wait_for("the first fault", |line| line.contains("server.wrokers"));
    let _line = stderr.wait_for("the second fault", |line| line.contains("allow_conditions[0]"));
    assert_eq!((tools(&server, &alice), tools(&server, &bob)), (Some(3), Some(0)));
    reload(&server, &rules(first, "bob"));
    until("the next good one takes effect", || tools(&server, &bob) == Some(3));
}

#[test]
fn a_file_that_is_gone_or_cut_off_changes_nothing() {
    let server = Server::promgate(&rules(config("http://127.0.0.1:9"), "alice"));
    let alice = minter::token("alice");
    let from = server.process().stderr().lines().len();
    reload(&server, &json!("not a configuration"));
    let refused = |line: &str| line.contains("WARN") || line.contains("ERROR");
    let _line = server.process().stderr().wait_from(from, "the refusal", refused);
    assert_eq!(tools(&server, &alice), Some(3));
}

#[test]
fn secret_files_are_read_again() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let folder = temporary_folder();
    let file = folder.path().join("token");
    write_whole(&file, "first");
    let mut config = config(&backend.url());
    config["backends"]["main"]["auth"] = json!({ "type": "token", "token_file": file });
    let server = Server::promgate(&config);
    let client = Client::stateless(server.mcp).bearing(&minter::token("alice"));
    let sent = || {
        let _result = client.tool("prometheus_query", json!({ "query": "1" }));
        let last = backend.received().pop().unwrap();
        last.header("authorization").unwrap_or_default().to_owned()
    };
    assert_eq!(sent(), "Bearer first");
    write_whole(&file, "second");
    server.process().signal(Signal::HUP);
    until("the new token is sent", || sent() == "Bearer second");
}

#[test]
fn keys_that_are_taken_out_of_the_configuration_stop_working() {
    let mut config = config("http://127.0.0.1:9");
    let (old, new) = (Key::new(Kind::P256, "old"), Key::new(Kind::P256, "new"));
    verification(&mut config)["jwks"] = json!(minter::jwks(&[&old]).to_string());
    let server = Server::promgate(&config);
    let token = |key: &Key| key.token(&minter::claims("alice"));
    assert_eq!((tools(&server, &token(&old)), tools(&server, &token(&new))), (Some(3), None));
    verification(&mut config)["jwks"] = json!(minter::jwks(&[&new]).to_string());
    reload(&server, &config);
    until("the new key works", || tools(&server, &token(&new)).is_some());
    assert_eq!(tools(&server, &token(&old)), None);
}

#[test]
fn a_key_file_that_changes_is_read_again_without_a_reload() {
    let mut config = config("http://127.0.0.1:9");
    let (old, new) = (Key::new(Kind::P256, "old"), Key::new(Kind::P256, "new"));
    let folder = temporary_folder();
    let file = folder.path().join("jwks.json");
    write_whole(&file, &minter::jwks(&[&old]).to_string());
    let local = verification(&mut config);
    local.as_object_mut().unwrap().remove("jwks");
    local["jwks_file"] = json!(file);
    local["cache_interval"] = json!("10s");
    let server = Server::promgate(&config);
    let token = |key: &Key| key.token(&minter::claims("alice"));
    assert_eq!((tools(&server, &token(&old)), tools(&server, &token(&new))), (Some(3), None));
    write_whole(&file, &minter::jwks(&[&new]).to_string());
    until("the new key works", || tools(&server, &token(&new)).is_some());
    assert_eq!(tools(&server, &token(&old)), None);
}

#[test]
fn settings_that_need_a_restart_are_named() {
    let first = rules(config("http://127.0.0.1:9"), "alice");
    let server = Server::promgate(&first);
    let mut next = rules(first, "bob");
    next["server"]["workers"] = json!(3);
    next["server"]["drain_timeout"] = json!("7s");
    reload(&server, &next);
    let stderr = server.process().stderr();
    for setting in ["server.workers", "server.drain_timeout"] {
        let _line =
            stderr.wait_for(setting, |line| line.contains(setting) && line.contains("restart"));
    }
    until("the rest takes effect", || tools(&server, &minter::token("bob")) == Some(3));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "reloads at the pace of somebody in a hurry")]
fn not_one_request_fails_while_the_configuration_changes() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let mut first = config(&backend.url());
    first["authorization"] = json!({ "rules": [
        { "name": "all", "who": { "groups": ["readers"] }, "tools": ["*"], "backends": ["*"] },
    ] });
    let mut second = first.clone();
    second["authorization"]["rules"][0]["name"] = json!("other");
    second["backends"]["main"]["timeout"] = json!("21s");
    let server = Server::promgate(&first);
    let over = AtomicBool::new(false);
    let asked: usize = thread::scope(|scope| {
        let askers: Vec<_> = (0..6)
            .map(|number| {
                let (server, over) = (&server, &over);
                scope.spawn(move || {
                    let token = minter::token(&format!("user-{number}"));
                    let stateless = Client::stateless(server.mcp).bearing(&token);
                    let session = Client::session_of(server.mcp, "2025-11-25", &token);
                    let mut asked = 0;
                    while !over.load(Ordering::Relaxed) {
                        for client in [&stateless, &session] {
                            let list = client.call("tools/list", json!({}));
                            assert_eq!(list.status(), 200, "{}", list.http.text());
                            let result = client.tool("prometheus_query", json!({ "query": "1" }));
                            assert_ne!(result["isError"], true, "{result}");
                            asked += 2;
                        }
                    }
                    asked
                })
            })
            .collect();
        for round in 0..20 {
            reload(&server, if round % 2 == 0 { &second } else { &first });
            thread::sleep(Duration::from_millis(150));
        }
        over.store(true, Ordering::Relaxed);
        askers.into_iter().map(|asker| asker.join().unwrap()).sum()
    });
    assert!(asked > 100, "{asked} requests were under way");
}
