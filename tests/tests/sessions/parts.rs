//! What several topics need.

use std::sync::LazyLock;

use e2e::{
    crowd::{self, Crowd},
    redis::Redis,
    replicas::{Replica, Replicas},
    server::prometheus,
};
use serde_json::{Value, json};

/// Three replicas without a store, for tests that leave them as they were.
static SHARED: LazyLock<Replicas> = LazyLock::new(|| Replicas::start(3));

/// Three replicas without a store, for tests that leave them as they were.
pub(super) fn shared() -> &'static Replicas {
    &SHARED
}

/// Serves a crowd: tools by principal, from the shared Prometheus.
pub(super) fn crowded(config: &mut Value) {
    config["authorization"] = crowd::rules();
    config["backends"] = json!({ "main": prometheus() });
    config["middleware"]["rate_limits"]["principal"] =
        json!({ "requests": "off", "in_flight_max": 0 });
}

/// The address of a Redis, as the configuration has it.
pub(super) fn url(redis: &Redis) -> String {
    format!("redis://{}/0", redis.address())
}

/// How many sessions it holds.
pub(super) fn saved(redis: &Redis) -> usize {
    redis.keys("promgate:s:").len()
}

/// Replicas with a store that serve a crowd.
pub(super) fn start_stored(redis: &Redis, count: usize) -> Replicas {
    let url = url(redis);
    Replicas::start_with(count, move |_, config| {
        stored_at(&url, config);
        crowded(config);
    })
}

/// Keeps sessions in the Redis of this address.
pub(super) fn stored_at(url: &str, config: &mut Value) {
    config["sessions"]["store"] = json!("redis");
    // A busy machine gets its time; a Redis that is gone is known to be at once.
    config["sessions"]["redis"] = json!({ "url": url, "timeout": "5s" });
}

/// Opens sessions through the balancer.
pub(super) fn crowd(replicas: &Replicas, count: usize) -> Crowd {
    Crowd::open(replicas.balancer().address(), count, crowd::Habits::default())
}

/// The record of a request in the access log of the replica that it reached first.
pub(super) fn record(replica: &Replica, request_id: &str) -> Value {
    replica.with(|server| {
        server.access_record(|record| record["request_id"] == request_id && record["hop"] == 0)
    })
}
