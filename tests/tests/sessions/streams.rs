//! Streams and calls through a replica that does not hold the session.

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use e2e::{
    backend::{Backend, answer},
    http::{Connection, Event, Events, Request, once},
    mcp::{Client, Reply},
    minter,
    process::{pause, until},
    redis::Redis,
    replicas::{Replica, Replicas},
};
use serde_json::{Value, json};

use super::parts;

/// Replicas in front of this backend.
fn start(url: &str, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Replicas {
    let url = url.to_owned();
    Replicas::start_with(2, move |_, config| {
        config["backends"] = json!({ "main": { "url": url } });
        change(config);
    })
}

/// One more backend, so that the tools are offered anew.
fn change_tools(replica: &Replica) {
    replica.reload(|config| {
        config["backends"]["other"] = json!({ "url": "http://127.0.0.1:9" });
    });
}

/// The stream of a session, once its first byte is there.
fn open(client: &Client) -> Events {
    let mut stream = client.listen();
    assert!(stream.event().unwrap().is_some(), "the first byte comes at once");
    stream
}

#[test]
fn the_stream_of_a_session_is_served_through_another_replica() {
    let replicas = start("http://127.0.0.1:9", |_| {});
    let session = replicas.at(1).session(&minter::token("alice"));
    let mut stream = open(&session.through(replicas.at(0).mcp()));
    change_tools(replicas.at(1));
    assert_eq!(stream.message()["method"], "notifications/tools/list_changed");
    assert_eq!(session.delete().status(), 204);
    assert_eq!(stream.rest(), Vec::<Value>::new(), "it ends as it should");
}

#[test]
fn a_listener_is_served_through_a_replica_without_workers() {
    let replicas = Replicas::start_with(2, |number, config| {
        if number == 0 {
            config["server"]["workers"] = json!("none");
        }
    });
    let client = Client::stateless(replicas.at(0).mcp()).bearing(&minter::token("alice"));
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let mut stream =
        client.stream(&client.request_with_id(&json!("sub"), "subscriptions/listen", params));
    assert_eq!(stream.message()["method"], "notifications/subscriptions/acknowledged");
    change_tools(replicas.at(1));
    let heard = stream.message();
    assert_eq!(heard["method"], "notifications/tools/list_changed");
    assert_eq!(heard["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "sub");
}

#[test]
fn comments_that_keep_a_stream_open_cross_the_hop() {
    let replicas = start("http://127.0.0.1:9", |config| {
        config["server"]["limits"] = json!({ "keep_alive": "1s" });
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    let mut stream = open(&session.through(replicas.at(0).mcp()));
    stream.patience(Duration::from_secs(20));
    for _second in 0..3 {
        assert_eq!(stream.event().unwrap(), Some(Event::Comment));
    }
}

/// The request with which a client comes back to its session's stream.
fn resume(client: &Client, last_id: &str) -> Request {
    let request = client.bodiless("GET").header("Accept", "text/event-stream");
    request.header("Last-Event-ID", last_id)
}

#[test]
fn a_client_that_comes_back_through_another_replica_gets_what_it_missed_and_no_more() {
    let replicas = start("http://127.0.0.1:9", |_| {});
    let session = replicas.at(1).session(&minter::token("alice"));
    let through = session.through(replicas.at(0).mcp());
    let stream = open(&through);
    let first = stream.last_id().unwrap().to_owned();
    drop(stream);
    change_tools(replicas.at(1));
    let mut stream = through.stream(&resume(&through, &first));
    assert_eq!(stream.message()["method"], "notifications/tools/list_changed");
    let second = stream.last_id().unwrap().to_owned();
    drop(stream);
    let mut stream = through.stream(&resume(&through, &second));
    assert!(stream.event().unwrap().is_some(), "it is open");
    assert_eq!(session.delete().status(), 204);
    assert_eq!(stream.rest(), Vec::<Value>::new(), "nothing was missed");
}

#[test]
fn a_client_that_names_an_event_nobody_keeps_is_refused_with_advice() {
    let replicas = start("http://127.0.0.1:9", |_| {});
    let session = replicas.at(1).session(&minter::token("alice"));
    let through = session.through(replicas.at(0).mcp());
    let stream = open(&through);
    let (epoch, _) = stream.last_id().unwrap().split_once('-').unwrap();
    for unknown in ["0", "x", "-1", &format!("{epoch}-77"), &"9".repeat(1000)] {
        let reply = Reply::of(once(replicas.at(0).mcp(), &resume(&through, unknown)));
        assert_eq!(reply.status(), 400, "{unknown}");
        let said = reply.response()["error"]["message"].to_string();
        assert!(said.contains("without Last-Event-ID"), "{said}");
    }
    assert_eq!(through.call("ping", json!({})).status(), 200);
}

#[test]
fn a_client_whose_session_has_moved_is_told_that_lists_may_have_changed() {
    let redis = Redis::start();
    let url = parts::url(&redis);
    let replicas = start("http://127.0.0.1:9", move |config| parts::stored_at(&url, config));
    let session = replicas.at(1).session(&minter::token("alice"));
    let stream = open(&session);
    let last = stream.last_id().unwrap().to_owned();
    let _log = replicas.at(1).kill();
    let moved = session.through(replicas.at(0).mcp());
    let mut stream = moved.stream(&resume(&moved, &last));
    assert_eq!(stream.message()["method"], "notifications/tools/list_changed");
}

/// A backend that never answers, and counts who waits for it.
struct Silent {
    backend: Backend,
    waiting: Arc<AtomicUsize>,
}

impl Silent {
    fn start() -> Self {
        let waiting = Arc::new(AtomicUsize::new(0));
        let held = Arc::clone(&waiting);
        let backend = Backend::start(move |_asked, stream| {
            held.fetch_add(1, Ordering::SeqCst);
            let mut rest = [0; 64];
            while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
            held.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        });
        Self { backend, waiting }
    }

    fn wait_for(&self, waiting: usize) {
        until("so many wait", || self.waiting.load(Ordering::SeqCst) == waiting);
    }
}

#[test]
fn a_client_that_leaves_ends_its_call_at_the_owner() {
    let silent = Silent::start();
    let replicas = start(&silent.backend.url(), |_| {});
    let session = replicas.at(1).session(&minter::token("alice"));
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "1" } });
    let mut connection = Connection::open(replicas.at(0).mcp());
    connection.send(session.request("tools/call", params).bytes());
    silent.wait_for(1);
    drop(connection);
    silent.wait_for(0);
    let others = session.through(replicas.at(0).mcp());
    assert_eq!(others.call("ping", json!({})).status(), 200, "the session goes on");
}

#[test]
fn a_call_is_cancelled_by_a_notification_through_another_replica() {
    let silent = Silent::start();
    let replicas = start(&silent.backend.url(), |_| {});
    let session = replicas.at(1).session(&minter::token("alice"));
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "1" } });
    let request = session.request_with_id(&json!("slow"), "tools/call", params);
    thread::scope(|scope| {
        let call = scope.spawn(|| once(replicas.at(1).mcp(), &request));
        silent.wait_for(1);
        let through = session.through(replicas.at(0).mcp());
        let reply = through.notify("notifications/cancelled", json!({ "requestId": "slow" }));
        assert_eq!(reply.status(), 202);
        silent.wait_for(0);
        let _answer = call.join().unwrap();
    });
}

#[test]
fn a_slow_call_is_answered_as_a_stream_through_another_replica() {
    let backend = Backend::start(|_asked, stream| {
        (0..100).for_each(|_| pause());
        let data = json!({ "resultType": "scalar", "result": [0, "42"] });
        let body = json!({ "status": "success", "data": data }).to_string();
        answer(stream, 200, "application/json", body.as_bytes())
    });
    let replicas = start(&backend.url(), |config| {
        config["server"]["limits"] = json!({ "stream_after": "500ms" });
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    let through = session.through(replicas.at(0).mcp());
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "42" } });
    let mut stream = through.stream(&through.request_with_id(&json!("slow"), "tools/call", params));
    let message = stream.message();
    assert_eq!(message["id"], "slow");
    assert_eq!(message["result"]["structuredContent"]["scalar"][1], "42", "{message}");
    assert_eq!(stream.rest(), Vec::<Value>::new());
}
