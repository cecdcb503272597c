//! A new configuration without a restart: as a whole or not at all.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use e2e::{
    backend::Backend,
    http::Events,
    mcp::Client,
    minter::{self, AUDIENCE, ISSUER, Key, Kind},
    paths::temporary_folder,
    process::PATIENCE,
    server::{Server, guarded, verification, write_whole},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

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

/// Reloads and waits until that is done; gives the lines that were logged since.
fn reloaded(server: &Server, config: &Value) -> Vec<String> {
    outcome(server, "configuration reloaded", || reload(server, config))
}

/// Does something that is to have this outcome, and waits for it; gives the lines that were logged since.
fn outcome(server: &Server, outcome: &str, act: impl FnOnce()) -> Vec<String> {
    let stderr = server.process().stderr();
    let from = stderr.lines().len();
    act();
    let _line = stderr.wait_from(from, outcome, |line| line.contains(outcome));
    stderr.lines().split_off(from)
}

const REFUSED: &str = "configuration not reloaded";

fn reloads(server: &Server, outcome: &str) -> f64 {
    server.metric(&format!("promgate_config_reloads_total{{outcome=\"{outcome}\"}}"))
}

/// A configuration whose files nobody looks at unless a signal says so.
fn unwatched(mut config: Value) -> Value {
    config["server"]["reload_interval"] = json!("0s");
    config
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
    let first = unwatched(rules(config("http://127.0.0.1:9"), "alice"));
    let server = Server::promgate(&first);
    let (alice, bob) = (minter::token("alice"), minter::token("bob"));
    let as_before = || {
        assert_eq!((tools(&server, &alice), tools(&server, &bob)), (Some(3), Some(0)));
    };
    let file = server.config_file();
    outcome(&server, REFUSED, || {
        std::fs::remove_file(&file).unwrap();
        server.process().signal(Signal::HUP);
    });
    as_before();
    let second = rules(first, "bob");
    let whole = second.to_string();
    for length in [0, whole.len() / 2, whole.len() - 1] {
        outcome(&server, REFUSED, || {
            write_whole(&file, whole.split_at(length).0);
            server.process().signal(Signal::HUP);
        });
        as_before();
    }
    assert!((reloads(&server, "refused") - 4.0).abs() < f64::EPSILON);
    reloaded(&server, &second);
    assert_eq!((tools(&server, &alice), tools(&server, &bob)), (Some(0), Some(3)));
}

/// A backend that is asked with a token from a file.
struct Secret {
    backend: Backend,
    _folder: TempDir,
    file: PathBuf,
    config: Value,
}

impl Secret {
    fn new() -> Self {
        let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
        let folder = temporary_folder();
        let file = folder.path().join("token");
        let mut config = config(&backend.url());
        config["backends"]["main"]["auth"] = json!({ "type": "token", "token_file": file });
        Self { backend, _folder: folder, file, config }
    }

    fn write(&self, secret: &str) {
        write_whole(&self.file, secret);
    }

    /// What the backend is sent when somebody queries it.
    fn sent(&self, server: &Server) -> String {
        let client = Client::stateless(server.mcp).bearing(&minter::token("alice"));
        let _result = client.tool("prometheus_query", json!({ "query": "1" }));
        let last = self.backend.received().pop().unwrap();
        last.header("authorization").unwrap_or_default().to_owned()
    }
}

#[test]
fn secret_files_are_read_again() {
    let secret = Secret::new();
    secret.write("first");
    let server = Server::promgate(&unwatched(secret.config.clone()));
    assert_eq!(secret.sent(&server), "Bearer first");
    secret.write("second");
    server.process().signal(Signal::HUP);
    until("the new token is sent", || secret.sent(&server) == "Bearer second");
}

#[test]
fn a_secret_file_that_changes_is_noticed_as_the_configuration_is() {
    let mut secret = Secret::new();
    secret.config["server"]["reload_interval"] = json!("1s");
    secret.write("first");
    let server = Server::promgate(&secret.config);
    assert_eq!(secret.sent(&server), "Bearer first");
    secret.write("second");
    until("the new token is sent", || secret.sent(&server) == "Bearer second");
}

#[test]
fn a_configuration_whose_secret_file_is_missing_takes_effect_when_it_is_there() {
    let mut secret = Secret::new();
    secret.config["server"]["reload_interval"] = json!("1s");
    let mut first = secret.config.clone();
    first["backends"]["main"].as_object_mut().unwrap().remove("auth");
    let server = Server::promgate(&first);
    assert_eq!(secret.sent(&server), "");
    outcome(&server, REFUSED, || server.rewrite_config(&secret.config));
    assert_eq!(secret.sent(&server), "", "the old one goes on");
    secret.write("appeared");
    until("the token is sent", || secret.sent(&server) == "Bearer appeared");
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
fn a_key_file_that_becomes_empty_lets_nobody_in() {
    let mut config = config("http://127.0.0.1:9");
    let folder = temporary_folder();
    let file = folder.path().join("jwks.json");
    write_whole(&file, &minter::jwks(&minter::keys().all()).to_string());
    let local = verification(&mut config);
    local.as_object_mut().unwrap().remove("jwks");
    local["jwks_file"] = json!(file);
    local["cache_interval"] = json!("10s");
    let server = Server::promgate(&config);
    let alice = minter::token("alice");
    assert_eq!(tools(&server, &alice), Some(3));
    write_whole(&file, &json!({ "keys": [] }).to_string());
    until("her token is refused", || tools(&server, &alice).is_none());
    write_whole(&file, &minter::jwks(&minter::keys().all()).to_string());
    until("her token is good again", || tools(&server, &alice).is_some());
}

/// Waits for the proper end of a stream; gives what came before it.
fn ends(mut stream: Events) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    let mut messages = Vec::new();
    while let Some(event) = stream.event().expect("the stream ends as it should") {
        // An open stream is kept alive by comments.
        assert!(Instant::now() < deadline, "the stream goes on");
        messages.extend(event.message());
    }
    messages
}

#[test]
fn streams_end_when_who_may_do_what_has_changed() {
    let first = unwatched(rules(config("http://127.0.0.1:9"), "alice"));
    let mut issuers = rules(first.clone(), "bob");
    verification(&mut issuers)["scopes_required"] = json!(["metrics:read"]);
    let server = Server::promgate(&first);
    let alice = minter::token("alice");
    let session = Client::session_of(server.mcp, "2025-11-25", &alice);
    let stateless = Client::stateless(server.mcp).bearing(&alice);
    for (what, next) in [("a rule", rules(first, "bob")), ("an issuer", issuers)] {
        let mut stream = session.listen();
        assert!(stream.event().unwrap().is_some(), "it is open");
        let params = json!({ "notifications": { "toolsListChanged": true } });
        let mut listener = stateless.stream(&stateless.request("subscriptions/listen", params));
        assert_eq!(listener.message()["method"], "notifications/subscriptions/acknowledged");
        reloaded(&server, &next);
        let (_stream, _listener) = (ends(stream), ends(listener));
        assert_eq!(session.call("ping", json!({})).status(), 200, "{what}: her session stays");
    }
}

#[test]
fn a_file_without_a_change_changes_nothing() {
    let first = unwatched(rules(config("http://127.0.0.1:9"), "alice"));
    let server = Server::promgate(&first);
    let alice = minter::token("alice");
    let session = Client::session_of(server.mcp, "2025-11-25", &alice);
    let mut stream = session.listen();
    assert!(stream.event().unwrap().is_some(), "it is open");
    let verified = || server.metric("promgate_tokens_total{outcome=\"verified\"}");
    let before = verified();
    reloaded(&server, &first);
    assert_eq!(tools(&server, &alice), Some(3));
    assert!((verified() - before).abs() < f64::EPSILON, "her token is remembered");
    assert_eq!(session.delete().status(), 204);
    assert_eq!(ends(stream), Vec::<Value>::new(), "nobody is told of a change");

    let session = Client::session_of(server.mcp, "2025-11-25", &alice);
    let mut stream = session.listen();
    assert!(stream.event().unwrap().is_some(), "it is open");
    let mut second = first;
    second["backends"]["other"] = json!({ "url": "http://127.0.0.1:9" });
    reloaded(&server, &second);
    assert_eq!(stream.message()["method"], "notifications/tools/list_changed");
}

/// A name of each setting that needs a restart, and a change of it.
fn settings_for_a_restart() -> Vec<(&'static str, &'static str, Value)> {
    let limits = "/server/transport/http/limits";
    vec![
        ("server.name", "/server/name", json!("another")),
        ("server.version", "/server/version", json!("9.9.9")),
        ("server.transport.type", "/server/transport/type", json!("stdio")),
        ("server.transport.http.host", "/server/transport/http/host", json!("127.0.0.1:1")),
        ("server.transport.http.h2c", "/server/transport/http/h2c", json!(false)),
        ("server.transport.http.limits", limits, json!({ "body_bytes_max": "1MiB" })),
        ("server.admin.host", "/server/admin/host", json!("off")),
        ("server.workers", "/server/workers", json!(3)),
        ("server.drain_timeout", "/server/drain_timeout", json!("7s")),
        ("server.limits", "/server/limits", json!({ "call_timeout": "1m" })),
        ("sessions", "/sessions", json!({ "per_worker_max": 5 })),
        ("middleware.access_logs", "/middleware/access_logs/output", json!("off")),
    ]
}

fn set(config: &mut Value, pointer: &str, value: Value) {
    let place = pointer.split('/').skip(1).fold(config, |place, name| &mut place[name]);
    *place = value;
}

#[test]
fn settings_that_need_a_restart_are_named_and_the_rest_takes_effect() {
    let first = unwatched(rules(config("http://127.0.0.1:9"), "alice"));
    let server = Server::promgate(&first);
    let mut all = rules(first.clone(), "bob");
    for (name, pointer, value) in settings_for_a_restart() {
        set(&mut all, pointer, value.clone());
        let mut next = first.clone();
        set(&mut next, pointer, value);
        assert_named(&server, &next, &[name]);
    }
    let names: Vec<_> = settings_for_a_restart().iter().map(|(name, ..)| *name).collect();
    assert_named(&server, &all, &names);
    assert_eq!(tools(&server, &minter::token("bob")), Some(3), "the rest takes effect");
    let lines = reloaded(&server, &first);
    assert!(!lines.iter().any(|line| line.contains("restart")), "all is as it was: {lines:#?}");
}

/// Reloads, and looks for the names of settings that need a restart.
fn assert_named(server: &Server, next: &Value, names: &[&str]) {
    let lines = outcome(server, "need a restart", || reload(server, next));
    let line = lines.iter().find(|line| line.contains("need a restart")).unwrap();
    for name in names {
        assert!(line.contains(name), "{name} is not in: {line}");
    }
    // Two that may be named together.
    let pair = ["server.limits", "sessions"];
    let paired = names.iter().any(|name| pair.contains(name));
    for (other, ..) in settings_for_a_restart() {
        let changed = names.contains(&other) || (paired && pair.contains(&other));
        assert!(changed || !line.contains(other), "{other} has not changed: {line}");
    }
}

#[test]
fn tokens_are_not_given_up_while_strangers_can_come() {
    let mut first = unwatched(config("http://127.0.0.1:9"));
    first["server"]["transport"]["http"]["host"] = json!("0.0.0.0:0");
    first["server"]["transport"]["http"]["allowed_hosts"] = json!(["localhost", "127.0.0.1"]);
    let server = Server::promgate(&first);
    let bare = Client::stateless(server.mcp);
    // Each is good for a start, and would not be heard of before one.
    for (pointer, value) in [
        ("/server/transport/http/host", json!("127.0.0.1:0")),
        ("/server/transport/type", json!("stdio")),
    ] {
        let mut open = first.clone();
        open["middleware"]["jwt"] = json!({ "enabled": false });
        set(&mut open, pointer, value);
        outcome(&server, REFUSED, || reload(&server, &open));
        assert_eq!(bare.call("tools/list", json!({})).status(), 401, "{pointer}");
    }
    assert_eq!(tools(&server, &minter::token("alice")), Some(3));
}

#[test]
fn a_header_that_is_logged_does_not_become_the_one_of_tokens() {
    let header = "X-Edge-Says";
    let mut first = unwatched(config("http://127.0.0.1:9"));
    first["middleware"]["access_logs"]["included_headers"] = json!([header]);
    first["server"]["transport"]["http"]["trusted_proxies"] = json!(["127.0.0.1/32"]);
    let server = Server::promgate(&first);
    let mut next = first;
    // The list of headers needs a restart: until then the old one holds.
    next["middleware"]["access_logs"]["included_headers"] = json!([]);
    let validation = &mut next["middleware"]["jwt"]["validation"];
    validation["strategy"] = json!("external");
    validation["forwarded_header"] = json!(header);
    validation["local"].as_object_mut().unwrap().remove("jwks");
    outcome(&server, REFUSED, || reload(&server, &next));
    let alice = minter::token("alice");
    assert_eq!(tools(&server, &alice), Some(3), "tokens are where they were");
    let _record = server.access_record(|record| record["status"] == 200);
    for log in [server.process().stdout(), server.process().stderr()] {
        assert!(!log.lines().iter().any(|line| line.contains(&alice)), "a token is logged");
    }
}

/// Two configurations that differ in rules, backends, keys, issuers, conditions and limits; both let everybody in
/// who is in the group of readers.
fn everything_changes(backend: &str, folder: &Path) -> (Value, Value) {
    let mut first = config(backend);
    first["authorization"] = json!({ "rules": [
        { "name": "all", "who": { "groups": ["readers"] }, "tools": ["*"], "backends": ["*"] },
    ] });
    let mut second = first.clone();
    second["authorization"]["rules"][0]["name"] = json!("other");
    // Where there are several, a rule about groups says whose.
    second["authorization"]["rules"][0]["who"]["issuers"] = json!([ISSUER]);
    second["backends"]["main"]["timeout"] = json!("21s");
    let limits = &mut second["middleware"]["rate_limits"];
    limits["principal"] = json!({ "requests": "100000/s", "in_flight_max": 1000 });
    limits["tools"] = json!([{ "tool": "*", "requests": "100000/s" }]);
    let file = folder.join("jwks.json");
    write_whole(&file, &minter::jwks(&minter::keys().all()).to_string());
    let another = minter::jwks(&[&Key::new(Kind::P256, "another")]).to_string();
    *verification(&mut second) = json!({ "issuers": [
        {
            "issuer": "https://another.example", "jwks": another, "audiences": [AUDIENCE],
        },
        {
            "issuer": ISSUER, "jwks_file": file, "audiences": [AUDIENCE],
            "allow_conditions": [{ "expression": "payload.groups.exists(g, g == 'readers')" }],
        },
    ] });
    (first, second)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "reloads at the pace of somebody in a hurry")]
fn not_one_request_fails_while_the_configuration_changes() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let folder = temporary_folder();
    let (first, second) = everything_changes(&backend.url(), folder.path());
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
        until("the last of them has taken effect", || {
            reloads(&server, "applied") + reloads(&server, "refused") >= 2.0
        });
        over.store(true, Ordering::Relaxed);
        askers.into_iter().map(|asker| asker.join().unwrap()).sum()
    });
    assert!(asked > 100, "{asked} requests were under way");
    let applied = reloads(&server, "applied");
    assert!(applied >= 2.0, "{applied} reloads took effect");
    assert!(reloads(&server, "refused").abs() < f64::EPSILON, "not one was refused");
}
