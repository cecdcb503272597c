//! What does not get over the hop, and what becomes of it.

use std::thread;

use e2e::{
    backend::{Backend, hold},
    http::once,
    minter,
    place::Place,
    process::until,
    redis::Redis,
    replicas::{CLUSTER_KEY, Replicas},
};
use serde_json::json;

use super::parts;

#[test]
fn headers_that_are_too_large_for_the_hop_are_refused_and_cost_nobody_else_a_thing() {
    let replicas = parts::shared();
    let session = replicas.at(1).session(&minter::token("alice"));
    let through = session.through(replicas.at(0).mcp());
    // Over the same connection between the replicas.
    let mut stream = through.listen();
    assert!(stream.event().unwrap().is_some(), "it is open");
    let ping = through.request("ping", json!({}));
    let with = |kib: usize| ping.clone().header("Mcp-Param-Big", &"x".repeat(kib << 10));
    assert_eq!(through.send(&with(31)).status(), 200);
    let refused = through.send(&with(33));
    assert_eq!(refused.status(), 431, "{refused:?}");
    assert_eq!(session.send(&with(33)).status(), 200, "the limit is that of the hop");
    assert_eq!(through.call("ping", json!({})).status(), 200);
    assert_eq!(session.delete().status(), 204);
    assert_eq!(stream.rest().len(), 0, "the stream lived on until its session ended");
}

#[test]
fn what_somebody_answers_who_did_not_take_the_hop_reaches_no_client() {
    let replicas = Replicas::start(2);
    let [entry, owner] = [replicas.at(0), replicas.at(1)];
    let session = owner.session(&minter::token("alice"));
    let through = session.through(entry.mcp());
    assert_eq!(through.call("ping", json!({})).status(), 200);
    // It refuses all hops from now on, with 403, and is on the entry's ring until its probes have failed often enough.
    owner.reload(|config| config["cluster"]["keys"] = json!([CLUSTER_KEY.to_uppercase()]));
    let reply = through.call("ping", json!({}));
    assert_eq!(reply.status(), 503, "{reply:?}");
    let said = "a replica did not take what was passed on";
    until("it is said in the log", || entry.stderr().contains(said));
    owner.reload(|_| {});
    until("it is taken again", || through.call("ping", json!({})).status() == 200);
}

#[test]
fn a_request_passes_through_as_many_replicas_as_allowed_and_no_more() {
    let places = Place::several(4);
    let names: Vec<String> = places.iter().map(|place| place.peer().to_string()).collect();
    // Each of three sees only the next one; the fourth sees nobody, and only mints ids.
    let next = [1, 2, 0, 3].map(|number: usize| names[number].clone());
    let replicas = Replicas::begin_at(places, move |number, config| {
        config["cluster"]["peers"] = json!({ "static": [next[number]] });
        config["cluster"]["hops_max"] = json!(1);
    });
    let [first, second, third] = [0, 1, 2].map(|number| replicas.at(number));
    for replica in [first, second, third] {
        until("it sees the next one", || replica.metric("promgate_ring_owned_share") < 0.9);
    }
    // All rings agree on who comes before whom for an id, so there is no circle. But one of six goes on from the
    // second to the third, which is one replica too many.
    let statuses: Vec<u16> = (0..64)
        .map(|_| {
            let session = replicas.at(3).session(&minter::token("alice"));
            session.through(first.mcp()).call("ping", json!({})).status()
        })
        .collect();
    let stopped = statuses.iter().filter(|status| **status == 503).count();
    assert!(stopped > 0, "{statuses:?}");
    assert!(statuses.iter().all(|status| [404, 503].contains(status)), "{statuses:?}");
    let looped = second.metric("promgate_hops_total{outcome=\"looped\"}");
    assert_eq!(looped.to_string(), stopped.to_string());
    assert!(third.metric("promgate_hops_total{outcome=\"received\"}") < 1.0);
}

#[test]
fn a_request_of_which_nothing_was_sent_goes_to_the_new_owner() {
    let redis = Redis::start();
    let url = parts::url(&redis);
    let replicas = Replicas::start_with(3, move |number, config| {
        parts::stored_at(&url, config);
        // No probe is to find out first.
        config["cluster"]["probe"]["interval"] = json!("5s");
        if number == 0 {
            // So it cannot be the new owner itself.
            config["server"]["workers"] = json!("none");
        }
    });
    let session = replicas.at(2).session(&minter::token("alice"));
    let _log = replicas.at(2).kill();
    let entry = replicas.at(0);
    let reply = session.through(entry.mcp()).call("ping", json!({}));
    assert_eq!(reply.status(), 200);
    let retried = entry.metric("promgate_hops_total{outcome=\"retried\"}");
    assert_eq!(retried.to_string(), "1");
    let record = parts::record(entry, &reply.http.head.header("X-Request-Id").unwrap());
    let owner = record["owner"].as_str().unwrap();
    assert!(owner.starts_with(&format!("{}/", replicas.at(1).name())), "{record}");
}

#[test]
fn a_request_for_which_there_is_no_new_owner_is_not_counted_as_sent_again() {
    let replicas = Replicas::start_with(2, |number, config| {
        config["cluster"]["probe"]["interval"] = json!("5s");
        if number == 0 {
            config["server"]["workers"] = json!("none");
        }
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    let _log = replicas.at(1).kill();
    let entry = replicas.at(0);
    assert_eq!(session.through(entry.mcp()).call("ping", json!({})).status(), 503);
    let retried = entry.metric("promgate_hops_total{outcome=\"retried\"}");
    assert_eq!(retried.to_string(), "0");
}

#[test]
fn a_request_that_was_sent_is_not_sent_again() {
    let backend = Backend::start(|_asked, stream| hold(stream));
    let (redis, at) = (Redis::start(), backend.url());
    let url = parts::url(&redis);
    let replicas = Replicas::start_with(3, move |_, config| {
        parts::stored_at(&url, config);
        config["backends"] = json!({ "main": { "url": at } });
    });
    let session = replicas.at(2).session(&minter::token("alice"));
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "1" } });
    let request = session.request("tools/call", params);
    thread::scope(|scope| {
        let call = scope.spawn(|| once(replicas.at(0).mcp(), &request).head.status);
        let _asked = backend.wait_for_request();
        let _log = replicas.at(2).kill();
        assert_eq!(call.join().unwrap(), 502, "it may have been carried out");
    });
    replicas.settle();
    let through = session.through(replicas.at(0).mcp());
    assert_eq!(through.call("ping", json!({})).status(), 200, "its session goes on");
    let retried = replicas.at(0).metric("promgate_hops_total{outcome=\"retried\"}");
    assert_eq!(retried.to_string(), "0");
}
