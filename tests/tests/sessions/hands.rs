//! A session is its principal's alone, and an id that is not quite right is no id at all.

use e2e::{
    http::{Answer, Request, once},
    mcp::Client,
    minter,
    process::until,
    replicas::{Replica, SESSION_KEY},
    server::{Server, guarded},
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::json;

use super::parts;

const METHODS: [&str; 3] = ["POST", "GET", "DELETE"];

/// A request by the bearer of this token with this session id.
fn request(replica: &Replica, token: &str, method: &str, id: &str) -> Request {
    let client = Client::unopened(replica.mcp(), "2025-11-25").bearing(token).within(id);
    let request = match method {
        "POST" => client.request("ping", json!({})),
        other => client.bodiless(other).header("Accept", "text/event-stream"),
    };
    request.header("Connection", "close")
}

/// Status, headers and body, but for what differs with every answer.
fn shown(answer: &Answer) -> String {
    let mut head = format!("{:?}", answer.head);
    for varying in ["Date", "X-Request-Id"] {
        let value = answer.head.header(varying).unwrap_or_default();
        assert!(!value.is_empty(), "{varying} is in {head}");
        head = head.replace(&value, "");
    }
    format!("{head}\n{}", answer.text())
}

/// What somebody is answered who has no such session.
fn unknown(replica: &Replica, method: &str) -> String {
    let answer = once(replica.mcp(), &request(replica, &minter::token("alice"), method, "unknown"));
    assert_eq!(answer.head.status, 404);
    shown(&answer)
}

#[test]
fn alices_session_in_bobs_hands_is_not_found_by_any_method_on_any_replica() {
    let (alice, bob) = (minter::token("alice"), minter::token("bob"));
    for owner in parts::shared().all() {
        let session = owner.session(&alice);
        let id = session.session_id().unwrap();
        for replica in parts::shared().all() {
            for method in METHODS {
                let answer = once(replica.mcp(), &request(replica, &bob, method, id));
                assert_eq!(answer.head.status, 404, "{method}");
                assert_eq!(shown(&answer), unknown(replica, method), "{method}");
            }
            let hers = session.through(replica.mcp()).call("ping", json!({}));
            assert_eq!(hers.status(), 200, "it is still hers");
        }
        assert_eq!(session.delete().status(), 204);
    }
}

/// Ways to spoil an id.
fn spoiled(id: &str) -> impl Strategy<Value = String> + use<> {
    let parts: Vec<String> = id.split('.').map(str::to_owned).collect();
    assert_eq!(parts.len(), 5, "version, key, expiry, seat, MAC");
    let whole = id.to_owned();
    let of = move || whole.clone();
    let (flip, cut, grow) = (of(), of(), of());
    let bytes = || "[!-~]".prop_map(|text| text.chars().next().unwrap());
    let joined = |parts: &[String]| parts.join(".");
    let (swapped, replaced) = (parts.clone(), parts);
    prop_oneof![
        4 => (0..flip.len(), bytes()).prop_map(move |(at, byte)| {
            let mut text: Vec<char> = flip.chars().collect();
            text[at] = byte;
            text.into_iter().collect()
        }),
        1 => (1..cut.len()).prop_map(move |length| cut.chars().take(length).collect()),
        1 => "[!-~]{1,20}".prop_map(move |more| format!("{grow}{more}")),
        1 => (0..5_usize, 0..5_usize).prop_map(move |(a, b)| {
            let mut parts = swapped.clone();
            parts.swap(a, b);
            joined(&parts)
        }),
        2 => (0..5_usize, "[A-Za-z0-9_-]{0,43}").prop_map(move |(at, other)| {
            let mut parts = replaced.clone();
            parts[at] = other;
            parts.join(".")
        }),
        1 => "[!-~]{1,300}",
    ]
}

#[test]
fn forged_and_spoiled_ids_are_all_unknown() {
    let alice = minter::token("alice");
    let replicas = parts::shared();
    let session = replicas.at(0).session(&alice);
    let id = session.session_id().unwrap().to_owned();
    let unknown: Vec<_> = replicas
        .all()
        .iter()
        .map(|replica| METHODS.map(|method| unknown(replica, method)))
        .collect();
    let mut runner = TestRunner::new(ProptestConfig { cases: 150, ..ProptestConfig::default() });
    let cases = (spoiled(&id), 0..3_usize, 0..3_usize);
    let outcome = runner.run(&cases, |(spoiled, at, method)| {
        prop_assume!(spoiled != id);
        let replica = replicas.at(at);
        let answer = once(replica.mcp(), &request(replica, &alice, METHODS[method], &spoiled));
        prop_assert_eq!(shown(&answer), unknown[at][method].as_str());
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(session.call("ping", json!({})).status(), 200, "it has not suffered");
}

#[test]
fn an_id_signed_with_a_foreign_key_is_unknown() {
    let mut config = guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    config["sessions"] = json!({ "keys": [SESSION_KEY.to_uppercase()] });
    let foreign = Server::promgate(&config);
    let alice = minter::token("alice");
    let session = Client::session_of(foreign.mcp, "2025-11-25", &alice);
    let replica = parts::shared().at(1);
    for method in METHODS {
        let request = request(replica, &alice, method, session.session_id().unwrap());
        assert_eq!(shown(&once(replica.mcp(), &request)), unknown(replica, method), "{method}");
    }
}

#[test]
fn an_id_of_before_a_restart_is_unknown_where_no_keys_are_configured() {
    let config = guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    let alice = minter::token("alice");
    let first = Client::session_of(Server::promgate(&config).mcp, "2025-11-25", &alice);
    let second = Server::promgate(&config);
    let reply = first.through(second.mcp).call("ping", json!({}));
    assert_eq!(reply.status(), 404);
}

#[test]
fn an_id_that_has_expired_is_unknown_however_busy_its_session() {
    let mut config = guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    config["sessions"] = json!({ "keys": [SESSION_KEY], "max_age": "2s", "idle_timeout": "2s" });
    let server = Server::promgate(&config);
    let alice = minter::token("alice");
    let session = Client::session_of(server.mcp, "2025-11-25", &alice);
    let stream = session.listen();
    until("it has expired", || session.call("ping", json!({})).status() == 404);
    let expired = session.request("ping", json!({})).header("Connection", "close");
    let never = expired.clone().with("Mcp-Session-Id", "unknown");
    assert_eq!(shown(&once(server.mcp, &expired)), shown(&once(server.mcp, &never)));
    drop(stream);
}

#[test]
fn ids_are_short_visible_and_unlike() {
    let alice = minter::token("alice");
    let replica = parts::shared().at(2);
    let [a, b] = [replica.session(&alice), replica.session(&alice)];
    let [a, b] = [a, b].map(|session| session.session_id().unwrap().to_owned());
    for id in [&a, &b] {
        assert!(id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic()), "{}", id.len());
    }
    let [a, b] = [&a, &b].map(|id| id.split('.').collect::<Vec<_>>());
    assert_eq!((a.len(), a[0], a[1]), (5, b[0], b[1]), "version and key are the same");
    assert!(a[3] != b[3] && a[4] != b[4], "seat and MAC are not");
}
