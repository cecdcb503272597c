//! A replica without workers, and requests that need no replica.

use e2e::{
    backend::{Backend, hold},
    http::{Connection, get},
    mcp::Client,
    minter,
    redis::Redis,
    replicas::Replicas,
};
use serde_json::json;

use super::parts;

/// Three replicas, of which the first has no workers.
fn start() -> Replicas {
    Replicas::start_with(3, |number, config| {
        parts::crowded(config);
        if number == 0 {
            config["server"]["workers"] = json!("none");
        }
    })
}

#[test]
fn a_replica_without_workers_serves_sessions_of_others() {
    let replicas = start();
    let router = replicas.at(0);
    let crowd = e2e::crowd::Crowd::open(
        router.mcp(),
        60,
        e2e::crowd::Habits { queries: true, streams: true },
    );
    crowd.ask(8).assert_clean();
    assert_eq!(replicas.at(0).sessions()["sessions"], 0);
    let held = [1, 2].map(|number| replicas.at(number).sessions()["sessions"].as_u64().unwrap());
    assert_eq!(held.iter().sum::<u64>(), 60);
    assert!(held.iter().all(|held| *held > 10), "both take part: {held:?}");
    let ended = crowd.delete_each(3);
    assert_eq!(replicas.sessions(), 60 - u64::try_from(ended).unwrap());
    assert!(router.metric("promgate_ring_owned_share").abs() < f64::EPSILON);
    assert!(router.metric("promgate_hops_total{outcome=\"sent\"}") > 400.0);
}

#[test]
fn a_replica_without_workers_serves_requests_without_a_session() {
    let replicas = start();
    let client = Client::stateless(replicas.at(0).mcp()).bearing(&minter::token("ann"));
    assert_eq!(client.call("server/discover", json!({})).status(), 200);
    let tools = client.call("tools/list", json!({})).result()["tools"].clone();
    assert_eq!(tools.as_array().unwrap().len(), 3);
    let result = client.tool("prometheus_query", json!({ "query": "vector(77)" }));
    assert!(result.to_string().contains("77"), "{result}");
    let few = Client::stateless(replicas.at(0).mcp()).bearing(&minter::token("ben"));
    let tools = few.call("tools/list", json!({})).result()["tools"].clone();
    assert_eq!(tools.as_array().unwrap().len(), 1, "what a principal may use travels with it");
    let bare = Client::stateless(replicas.at(0).mcp()).call("tools/list", json!({}));
    assert_eq!(bare.status(), 401);
}

#[test]
fn a_replica_without_workers_says_so_when_nobody_is_left() {
    let replicas = start();
    let ann = minter::token("ann");
    let session = replicas.at(0).session(&ann);
    for number in [1, 2] {
        let _log = replicas.at(number).kill();
    }
    replicas.settle();
    let client = Client::unopened(replicas.at(0).mcp(), "2025-11-25").bearing(&ann);
    assert_eq!(client.send(&client.initialize(&json!({}))).status(), 503);
    assert_eq!(session.call("ping", json!({})).status(), 503);
    assert_eq!(get(replicas.at(0).place().admin(), "/readyz").head.status, 503);
    replicas.at(1).start();
    replicas.settle();
    assert_eq!(client.send(&client.initialize(&json!({}))).status(), 200);
}

#[test]
fn requests_without_a_session_touch_neither_ring_nor_peers_nor_store() {
    let mut redis = Redis::start();
    let url = parts::url(&redis);
    let replicas = Replicas::start_with(2, move |_, config| {
        parts::stored_at(&url, config);
        parts::crowded(config);
    });
    let figures = || {
        ["promgate_hops_total", "promgate_store_operations_total"]
            .map(|name| replicas.metric_sum(name).to_bits())
    };
    let before = figures();
    let ann = minter::token("ann");
    let client = Client::stateless(replicas.balancer().address()).bearing(&ann);
    let all = || {
        for _time in 0..10 {
            assert_eq!(client.call("tools/list", json!({})).status(), 200);
            let result = client.tool("prometheus_query", json!({ "query": "vector(5)" }));
            assert!(result["structuredContent"].is_object(), "{result}");
            client.disconnect();
        }
    };
    all();
    assert_eq!(figures(), before);
    redis.kill();
    let _log = replicas.at(1).kill();
    all();
}

#[test]
fn of_two_local_workers_the_one_with_less_to_do_answers_what_belongs_to_no_session() {
    let backend = Backend::start(|_asked, stream| hold(stream));
    let url = backend.url();
    let replicas = Replicas::start_with(1, move |_, config| {
        config["backends"] = json!({ "main": { "url": url } });
    });
    let replica = replicas.at(0);
    let client = Client::stateless(replica.mcp()).bearing(&minter::token("alice"));
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "1" } });
    let call = client.request("tools/call", params).header("X-Request-Id", "the-call-that-waits");
    let mut waiting = Connection::open(replica.mcp());
    waiting.send(call.bytes());
    let _asked = backend.wait_for_request();
    let worker = |id: &str| {
        let of_it = |record: &serde_json::Value| record["request_id"] == id;
        replica.with(|server| server.access_record(of_it))["worker"].as_u64().unwrap()
    };
    let others: Vec<u64> = (0..8)
        .map(|number| {
            let id = format!("a-short-request-{number}");
            let list = client.request("tools/list", json!({})).header("X-Request-Id", &id);
            assert_eq!(client.send(&list).status(), 200);
            worker(&id)
        })
        .collect();
    drop(waiting);
    let busy = worker("the-call-that-waits");
    assert!(others.iter().all(|other| *other != busy), "{busy} was busy: {others:?}");
}
