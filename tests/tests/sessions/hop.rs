//! What does not get over the hop, and what becomes of it.

use e2e::{
    minter,
    process::until,
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
