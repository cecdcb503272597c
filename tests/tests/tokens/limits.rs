//! How often somebody may ask: what is over it is answered with 429, and nobody else notices.

use std::{sync::Arc, thread};

use e2e::{
    backend::{Backend, answer},
    http::{Answer, Connection, Request},
    mcp::Client,
    minter,
    server::{Server, guarded},
};
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];

fn start(limits: Value) -> Server {
    start_before("http://127.0.0.1:9", limits)
}

fn start_before(backend: &str, limits: Value) -> Server {
    start_with(backend, limits, |_| {})
}

fn start_with(backend: &str, limits: Value, change: impl FnOnce(&mut Value)) -> Server {
    let mut config = guarded(&json!({ "main": { "url": backend } }));
    change(&mut config);
    let all = config["middleware"]["rate_limits"].as_object_mut().unwrap();
    for (name, limit) in limits.as_object().unwrap() {
        all.insert(name.clone(), limit.clone());
    }
    Server::promgate(&config)
}

/// A request on a connection of its own, from an address of this machine.
fn send(server: &Server, source: [u8; 4], request: &Request) -> Answer {
    Connection::from(source, server.mcp).exchange(&request.clone().header("Connection", "close"))
}

fn list(server: &Server, source: [u8; 4], token: &str) -> Answer {
    let client = Client::stateless(server.mcp).bearing(token);
    send(server, source, &client.request("tools/list", json!({})))
}

fn call(server: &Server, token: &str, tool: &str) -> Answer {
    let client = Client::stateless(server.mcp).bearing(token);
    let arguments = json!({ "query": "1" });
    send(
        server,
        HERE,
        &client.request("tools/call", json!({ "name": tool, "arguments": arguments })),
    )
}

fn too_many(answer: &Answer) {
    assert_eq!(answer.head.status, 429, "{:.300}", answer.text());
    let seconds = answer.head.header("Retry-After").and_then(|value| value.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (1..=3600).contains(&seconds)), "{:?}", answer.head);
    let body: Value = serde_json::from_slice(&answer.body).expect("a body of JSON-RPC");
    assert_eq!(body["jsonrpc"], "2.0", "{body}");
    assert!(body["error"]["code"].is_i64() && body["error"]["message"].is_string(), "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(!message.contains("alice") && !message.contains("127.0.0"), "{message}");
}

fn statuses(answers: impl Iterator<Item = Answer>) -> Vec<u16> {
    answers.map(|answer| answer.head.status).collect()
}

#[test]
fn an_address_may_ask_only_so_often() {
    let server = start(
        json!({ "address": { "requests": "1/h", "burst": 3, "failed_authentications": "off" } }),
    );
    let alice = minter::token("alice");
    assert_eq!(statuses((0..3).map(|_| list(&server, HERE, &alice))), [200, 200, 200]);
    too_many(&list(&server, HERE, &alice));
    too_many(&list(&server, HERE, &minter::token("bob")));
    assert_eq!(list(&server, ELSEWHERE, &alice).head.status, 200, "another address");
    assert!(server.metric("promgate_limit_reached_total{limit=\"address_rate\"}") >= 2.0);
}

#[test]
fn an_address_may_fail_only_so_often() {
    let server =
        start(json!({ "address": { "failed_authentications": "1/h", "failed_burst": 3 } }));
    for _ in 0..5 {
        assert_eq!(list(&server, HERE, &minter::token("alice")).head.status, 200, "no failure");
    }
    assert_eq!(statuses((0..3).map(|_| list(&server, HERE, "guess"))), [401, 401, 401]);
    too_many(&list(&server, HERE, "guess"));
    assert_eq!(list(&server, ELSEWHERE, &minter::token("alice")).head.status, 200);
    assert_eq!(list(&server, ELSEWHERE, "guess").head.status, 401);
}

#[test]
fn whoever_brings_no_token_has_not_failed() {
    let server =
        start(json!({ "address": { "failed_authentications": "1/h", "failed_burst": 2 } }));
    let bare = Client::stateless(server.mcp).request("tools/list", json!({}));
    for _ in 0..6 {
        assert_eq!(send(&server, HERE, &bare).head.status, 401, "a client that begins to log in");
    }
}

#[test]
fn a_person_may_ask_only_so_often_from_wherever() {
    let server = start(json!({ "principal": { "requests": "1/h", "burst": 3 } }));
    let alice = |number: u8| minter::token_with(json!({ "jti": number }));
    assert_eq!(statuses((0..3).map(|number| list(&server, HERE, &alice(number)))), [200, 200, 200]);
    too_many(&list(&server, HERE, &alice(4)));
    too_many(&list(&server, ELSEWHERE, &alice(5)));
    assert_eq!(list(&server, HERE, &minter::token("bob")).head.status, 200);
}

#[test]
fn a_person_may_call_a_tool_only_so_often() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let tools = json!([{ "tool": "prometheus_query", "requests": "1/h", "burst": 2 }]);
    let server = start_before(&backend.url(), json!({ "tools": tools }));
    let (alice, bob) = (minter::token("alice"), minter::token("bob"));
    let query = |token: &str| call(&server, token, "prometheus_query");
    assert_eq!(statuses((0..2).map(|_| query(&alice))), [200, 200]);
    too_many(&query(&alice));
    assert_eq!(backend.received().len(), 2, "what is refused costs the backend nothing");
    assert_eq!(query(&bob).head.status, 200);
    assert_eq!(call(&server, &alice, "prometheus_list_metrics").head.status, 200, "another tool");
    assert_eq!(list(&server, HERE, &alice).head.status, 200, "no call");
}

/// A backend that answers when it is told to.
struct Gate {
    backend: Backend,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn closed() -> Self {
        let open = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = Arc::clone(&open);
        let backend = Backend::start(move |_asked, stream| {
            let mut open = shared.0.lock();
            while !*open {
                shared.1.wait(&mut open);
            }
            drop(open);
            let body = json!({ "status": "success", "data": { "resultType": "scalar", "result": [0, "1"] } });
            answer(stream, 200, "application/json", body.to_string().as_bytes())
        });
        Self { backend, open }
    }

    fn open(&self) {
        *self.open.0.lock() = true;
        self.open.1.notify_all();
    }
}

#[test]
fn a_person_may_have_only_so_many_calls_in_flight() {
    let gate = Gate::closed();
    let server = start_before(&gate.backend.url(), json!({ "principal": { "in_flight_max": 2 } }));
    let alice = minter::token("alice");
    thread::scope(|scope| {
        let held: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| call(&server, &alice, "prometheus_query").head.status))
            .collect();
        let _held = gate.backend.wait_for_requests(2);
        too_many(&call(&server, &alice, "prometheus_query"));
        assert_eq!(list(&server, HERE, &minter::token("bob")).head.status, 200);
        gate.open();
        for call in held {
            assert_eq!(call.join().unwrap(), 200);
        }
    });
    assert_eq!(
        call(&server, &alice, "prometheus_query").head.status,
        200,
        "what ended has left room"
    );
}

/// A server whose tools anyone may use, without a token too.
fn public(backend: &str, limits: Value) -> Server {
    start_with(backend, limits, |config| {
        config["authorization"] = json!({ "rules": [{ "name": "public", "who": "anyone" }] });
    })
}

fn call_from(server: &Server, source: [u8; 4], tool: &str) -> Answer {
    let params = json!({ "name": tool, "arguments": { "query": "1" } });
    send(server, source, &Client::stateless(server.mcp).request("tools/call", params))
}

#[test]
fn who_brings_no_token_may_ask_as_often_from_an_address_as_a_person() {
    let server =
        public("http://127.0.0.1:9", json!({ "principal": { "requests": "1/h", "burst": 3 } }));
    let bare = Client::stateless(server.mcp).request("tools/list", json!({}));
    assert_eq!(statuses((0..3).map(|_| send(&server, HERE, &bare))), [200, 200, 200]);
    too_many(&send(&server, HERE, &bare));
    assert_eq!(send(&server, ELSEWHERE, &bare).head.status, 200, "another address");
    assert_eq!(list(&server, HERE, &minter::token("alice")).head.status, 200, "a person");
}

#[test]
fn who_brings_no_token_may_call_a_tool_as_often_from_an_address_as_a_person() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let tools = json!([{ "tool": "prometheus_query", "requests": "1/h", "burst": 2 }]);
    let server = public(&backend.url(), json!({ "tools": tools }));
    let query = |source| call_from(&server, source, "prometheus_query");
    assert_eq!(statuses((0..2).map(|_| query(HERE))), [200, 200]);
    too_many(&query(HERE));
    assert_eq!(backend.received().len(), 2, "what is refused costs the backend nothing");
    assert_eq!(query(ELSEWHERE).head.status, 200, "another address");
    assert_eq!(call_from(&server, HERE, "prometheus_list_metrics").head.status, 200);
}

#[test]
fn who_brings_no_token_may_have_as_many_calls_in_flight_from_an_address_as_a_person() {
    let gate = Gate::closed();
    let server = public(&gate.backend.url(), json!({ "principal": { "in_flight_max": 2 } }));
    thread::scope(|scope| {
        let held: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| call_from(&server, HERE, "prometheus_query").head.status))
            .collect();
        let _held = gate.backend.wait_for_requests(2);
        too_many(&call_from(&server, HERE, "prometheus_query"));
        let bare = Client::stateless(server.mcp).request("tools/list", json!({}));
        assert_eq!(send(&server, ELSEWHERE, &bare).head.status, 200, "another address");
        gate.open();
        for call in held {
            assert_eq!(call.join().unwrap(), 200);
        }
    });
    assert_eq!(call_from(&server, HERE, "prometheus_query").head.status, 200);
}

#[test]
fn a_token_that_was_good_until_just_now_is_no_failure() {
    let server =
        start(json!({ "address": { "failed_authentications": "1/h", "failed_burst": 2 } }));
    for number in 0..6 {
        let expired = minter::token_with(
            json!({ "iat": minter::now() - 600, "exp": minter::now() - 120, "jti": number }),
        );
        assert_eq!(list(&server, HERE, &expired).head.status, 401);
    }
    assert_eq!(list(&server, HERE, &minter::token("alice")).head.status, 200);
    let foreign = minter::Key::new(minter::Kind::P256, "p256");
    let forged = foreign.token(&minter::claims_with(
        &json!({ "iat": minter::now() - 600, "exp": minter::now() - 120 }),
    ));
    assert_eq!(statuses((0..2).map(|_| list(&server, HERE, &forged))), [401, 401]);
    too_many(&list(&server, HERE, &forged));
}

#[test]
fn a_blocked_address_may_go_on_with_tokens_that_are_known_and_with_no_others() {
    let server =
        start(json!({ "address": { "failed_authentications": "1/h", "failed_burst": 2 } }));
    let (known, new) = (minter::token("alice"), minter::token("bob"));
    assert_eq!(list(&server, HERE, &known).head.status, 200);
    assert_eq!(statuses((0..2).map(|_| list(&server, HERE, "guess"))), [401, 401]);
    too_many(&list(&server, HERE, &new));
    assert_eq!(list(&server, HERE, &known).head.status, 200);
    assert_eq!(list(&server, ELSEWHERE, &new).head.status, 200);
    assert_eq!(list(&server, HERE, &new).head.status, 200, "known from elsewhere");
}

#[test]
fn metrics_name_no_person_and_no_address() {
    let server = start(json!({ "principal": { "requests": "1/h", "burst": 2 } }));
    for name in ["alice", "bob@example.com"] {
        let token = minter::token_with(json!({ "sub": name, "client_id": "canary-client" }));
        let _answers: Vec<_> = (0..3).map(|_| list(&server, HERE, &token)).collect();
    }
    let metrics = server.metrics();
    assert!(server.metric("promgate_limit_reached_total{limit=\"principal_rate\"}") >= 2.0);
    for name in ["alice", "bob", "canary", "127.0.0.1"] {
        let line = metrics.lines().find(|line| line.contains(name));
        assert_eq!(line, None, "{name}");
    }
}
