//! A process is replaced in place while streams run through it whose sessions another replica owns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use e2e::{
    backend::{Backend, answer},
    crowd::{Crowd, Habits},
    http::{Events, once},
    mcp::{Client, Reply},
    minter,
    process::{PATIENCE, pause, until},
    replicas::{Replica, Replicas},
};
use serde_json::{Value, json};

use super::parts;

/// Far longer than a test waits for an end.
const DRAIN_TIMEOUT: &str = "10m";

fn start(change: impl Fn(usize, &mut Value) + Send + Sync + 'static) -> Replicas {
    Replicas::start_with(2, move |number, config| {
        config["server"]["drain_timeout"] = json!(DRAIN_TIMEOUT);
        change(number, config);
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
    stream.patience(PATIENCE);
    stream
}

/// Replaces the process, and does something meanwhile; the old one must have ended, long before its time is over.
fn upgrade_while<T>(replica: &Replica, act: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let upgrade = scope.spawn(|| replica.upgrade());
        let done = act();
        let _old = upgrade.join().unwrap();
        done
    })
}

#[test]
fn streams_of_others_sessions_end_as_they_should_and_are_resumed_at_the_new_process() {
    let replicas = start(|_, config| parts::crowded(config));
    let [entry, owner] = [replicas.at(0), replicas.at(1)];
    let session = owner.session(&minter::token("ann"));
    let through = session.through(entry.mcp());
    let mut stream = open(&through);
    let last = stream.last_id().unwrap().to_owned();
    let crowd = Crowd::open(owner.mcp(), 40, Habits::default()).through(entry.mcp());
    let (tally, rest) = crowd.ask_while(|| {
        crowd.wait_for(100);
        let rest = upgrade_while(entry, || stream.rest());
        crowd.wait_for(100);
        rest
    });
    tally.assert_clean();
    assert_eq!(rest, Vec::<Value>::new());

    change_tools(owner);
    let resume = through.bodiless("GET").header("Accept", "text/event-stream");
    let mut stream = through.stream(&resume.header("Last-Event-ID", &last));
    assert_eq!(stream.message()["method"], "notifications/tools/list_changed");
    assert_eq!(through.call("ping", json!({})).status(), 200);
}

#[test]
fn a_listener_through_a_router_that_is_replaced_is_told_that_it_is_over() {
    let replicas = start(|number, config| {
        if number == 0 {
            config["server"]["workers"] = json!("none");
        }
    });
    let client = Client::stateless(replicas.at(0).mcp()).bearing(&minter::token("alice"));
    let params = json!({ "notifications": { "toolsListChanged": true } });
    let listen = client.request_with_id(&json!("sub"), "subscriptions/listen", params);
    let mut stream = client.stream(&listen);
    stream.patience(PATIENCE);
    assert_eq!(stream.message()["method"], "notifications/subscriptions/acknowledged");
    let rest = upgrade_while(replicas.at(0), || stream.rest());
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["id"], "sub");

    let mut stream = client.stream(&listen);
    assert_eq!(stream.message()["method"], "notifications/subscriptions/acknowledged");
    change_tools(replicas.at(1));
    assert_eq!(stream.message()["method"], "notifications/tools/list_changed");
}

/// A backend that answers when it is told to.
struct Held {
    backend: Backend,
    released: Arc<AtomicBool>,
}

impl Held {
    fn start() -> Self {
        let released = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&released);
        let backend = Backend::start(move |_asked, stream| {
            while !told.load(Ordering::SeqCst) {
                pause();
            }
            let data = json!({ "resultType": "scalar", "result": [0, "42"] });
            let body = json!({ "status": "success", "data": data }).to_string();
            answer(stream, 200, "application/json", body.as_bytes())
        });
        Self { backend, released }
    }

    fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
    }
}

#[test]
fn while_the_old_process_finishes_its_calls_streams_through_the_new_one_go_on() {
    let held = Held::start();
    let url = held.backend.url();
    let replicas = start(move |_, config| {
        config["backends"] = json!({ "main": { "url": url } });
    });
    let [entry, owner] = [replicas.at(0), replicas.at(1)];
    let session = owner.session(&minter::token("alice"));
    let through = session.through(entry.mcp());
    let mut old_stream = open(&through);
    let params = json!({ "name": "prometheus_query", "arguments": { "query": "42" } });
    let request = session.request("tools/call", params);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let call = scope.spawn(|| Reply::of(once(entry.mcp(), &request)));
        let _asked = held.backend.wait_for_request();
        let upgrade = scope.spawn(|| {
            let _old = entry.upgrade();
            ended.store(true, Ordering::SeqCst);
        });
        assert_eq!(old_stream.rest(), Vec::<Value>::new());
        let mut new_stream = open(&through);
        // Meanwhile the old process asks again for the end of its streams, once a second.
        let opened = Instant::now();
        until("some seconds have passed", || opened.elapsed() > Duration::from_secs(3));
        assert!(!ended.load(Ordering::SeqCst), "its call keeps it");
        change_tools(owner);
        assert_eq!(new_stream.message()["method"], "notifications/tools/list_changed");
        held.release();
        let result = call.join().unwrap().result();
        assert_eq!(result["structuredContent"]["scalar"][1], "42", "{result}");
        upgrade.join().unwrap();
    });
}
