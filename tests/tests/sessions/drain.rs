//! A replica that is to end tells everybody in time.

use std::{thread, time::Instant};

use e2e::{
    backend::{Backend, answer},
    http::{Connection, Events, get, once},
    mcp::Reply,
    minter,
    process::{PATIENCE, pause, until},
    redis::Redis,
    replicas::{Replica, Replicas, count},
    server::Server,
};
use serde_json::{Value, json};

use super::parts;

#[test]
fn streams_end_as_they_should_and_their_sessions_go_on_elsewhere() {
    let redis = Redis::start();
    let url = parts::url(&redis);
    let replicas = Replicas::start_with(2, move |_, config| parts::stored_at(&url, config));
    let alice = minter::token("alice");
    let session = replicas.at(1).session(&alice);
    let mut own = session.listen();
    let other = replicas.at(1).session(&alice);
    let mut through = other.through(replicas.at(0).mcp()).listen();
    for stream in [&mut own, &mut through] {
        assert!(stream.event().unwrap().is_some(), "it is open");
    }
    let _log = replicas.at(1).stop();
    assert_eq!(own.rest(), Vec::<Value>::new());
    assert_eq!(through.rest(), Vec::<Value>::new());
    for session in [&session, &other] {
        let session = session.through(replicas.at(0).mcp());
        let mut stream = session.listen();
        assert!(stream.event().unwrap().is_some(), "it is open again");
        assert_eq!(session.call("ping", json!({})).status(), 200);
    }
    assert_eq!(count(&replicas.at(0).sessions(), "restored"), 2);
}

/// One more backend, so that the tools are offered anew.
fn change_tools(replica: &Replica) {
    replica.reload(|config| {
        config["backends"]["other"] = json!({ "url": "http://127.0.0.1:9" });
    });
}

/// A stream of a session of the second replica that runs through the first, which ends. Afterwards the client comes back
/// to the second, and gets what it missed.
fn stream_through_who_ends(act: impl FnOnce(&Replica, &mut Events)) {
    let replicas = Replicas::start_with(2, |_, config| {
        config["server"]["drain_timeout"] = json!("10m");
    });
    let [entry, owner] = [replicas.at(0), replicas.at(1)];
    let session = owner.session(&minter::token("alice"));
    let mut stream = session.through(entry.mcp()).listen();
    stream.patience(PATIENCE);
    assert!(stream.event().unwrap().is_some(), "it is open");
    let last = stream.last_id().unwrap().to_owned();
    act(entry, &mut stream);
    change_tools(owner);
    let resume = session.bodiless("GET").header("Accept", "text/event-stream");
    let mut stream = session.stream(&resume.header("Last-Event-ID", &last));
    assert_eq!(stream.message()["method"], "notifications/tools/list_changed");
    assert_eq!(session.call("ping", json!({})).status(), 200);
}

#[test]
fn a_stream_that_runs_through_who_ends_ends_as_it_should_and_is_resumed_elsewhere() {
    stream_through_who_ends(|entry, stream| {
        let begun = Instant::now();
        let _log = entry.stop();
        assert!(begun.elapsed() < PATIENCE, "the stream does not keep it");
        assert_eq!(stream.rest(), Vec::<Value>::new());
    });
}

#[test]
fn a_stream_that_ran_through_who_was_killed_is_resumed_elsewhere() {
    stream_through_who_ends(|entry, stream| {
        let _log = entry.kill();
        while let Ok(event) = stream.event() {
            assert!(event.is_some(), "it cannot end as it should");
        }
    });
}

#[test]
fn a_call_in_flight_is_finished_and_the_others_are_told_before() {
    let backend = Backend::start(|_asked, stream| {
        (0..125).for_each(|_| pause());
        let data = json!({ "resultType": "scalar", "result": [0, "42"] });
        let body = json!({ "status": "success", "data": data }).to_string();
        answer(stream, 200, "application/json", body.as_bytes())
    });
    let url = backend.url();
    let replicas = Replicas::start_with(2, move |_, config| {
        config["backends"] = json!({ "main": { "url": url } });
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    let name = replicas.at(1).name();
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "42" } });
    thread::scope(|scope| {
        // One at the replica itself, one over the other.
        let calls = [1, 0].map(|number| {
            let address = replicas.at(number).mcp();
            let request = session.request("tools/call", params.clone());
            scope.spawn(move || Reply::of(once(address, &request)))
        });
        let _asked = backend.wait_for_requests(2);
        let admin = replicas.at(1).place().admin();
        assert_eq!(get(admin, "/readyz").head.status, 200);
        replicas.at(1).with(Server::terminate);
        until("it is not ready", || get(admin, "/readyz").head.status == 503);
        until("the other is told", || {
            let ring = replicas.at(0).ring();
            let nodes = ring["nodes"].as_array().unwrap();
            nodes.iter().any(|node| node["name"] == name.as_str() && node["state"] == "draining")
        });
        until("it takes nobody new", || Connection::try_open(replicas.at(1).mcp()).is_err());
        for call in calls {
            let result = call.join().unwrap().result();
            assert_eq!(result["structuredContent"]["scalar"][1], "42", "{result}");
        }
    });
    let status = replicas.at(1).with(|server| server.exit(PATIENCE));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_call_that_takes_too_long_does_not_keep_the_process() {
    let backend = Backend::start(|_asked, stream| e2e::backend::hold(stream));
    let url = backend.url();
    let replicas = Replicas::start_with(2, move |_, config| {
        config["backends"] = json!({ "main": { "url": url } });
        config["server"]["drain_timeout"] = json!("1s");
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "1" } });
    let mut connection = Connection::open(replicas.at(0).mcp());
    connection.send(session.request("tools/call", params).bytes());
    let _asked = backend.wait_for_request();
    let begun = Instant::now();
    let _log = replicas.at(1).stop();
    assert!(begun.elapsed() < std::time::Duration::from_secs(6), "took {:?}", begun.elapsed());
}
