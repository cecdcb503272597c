//! What a receiver does to those who serve: nothing.

use std::time::{Duration, Instant};

use e2e::{
    backend::{self, Backend},
    collector::{Collector, Protocol},
    mcp::Client,
    place::Place,
    process::PATIENCE,
};
use serde_json::json;

use super::parts::{TRACE, parent, promgate, query, query_in};

#[test]
fn a_receiver_that_is_down_harms_nothing_and_gets_what_waits_when_it_is_back() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::stopped();
        let server = promgate(&collector.traces(protocol));
        let client = Client::stateless(server.mcp);
        query_in(&client, None, Some(&parent(TRACE, true)));
        let stderr = server.process().stderr();
        let line = stderr.wait_for("the warning", |line| line.contains("the receiver of traces"));
        assert!(line.contains("WARN"), "{line}");
        let began = Instant::now();
        for _ in 0..20 {
            query(&client);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        collector.run();
        assert_eq!(collector.trace(TRACE, 4).len(), 4, "{protocol:?}");
        let back = stderr.wait_for("the news", |line| line.contains("takes them again"));
        assert!(back.contains("INFO"), "{back}");
        let warnings =
            stderr.lines().iter().filter(|line| line.contains("receiver of traces")).count();
        assert_eq!(warnings, 2, "the log hears of it once, and of its end");
    }
}

#[test]
fn what_does_not_wait_is_dropped_and_counted() {
    // It takes connections and answers nothing.
    let silent = Backend::start(|_, stream| backend::hold(stream));
    let server = promgate(&json!({
        "endpoint": silent.url(), "queue_max": 64, "timeout": "500ms",
    }));
    let client = Client::stateless(server.mcp);
    for _ in 0..200 {
        let reply = client.call("tools/list", json!({}));
        assert_eq!(reply.status(), 200);
    }
    let dropped = server.metric("promgate_trace_spans_total{fate=\"queue_full\"}");
    assert!(dropped >= 400.0 - 64.0 - 64.0, "{dropped}");
    server.terminate();
    assert!(server.exit(PATIENCE).success());
}

#[test]
fn what_a_receiver_refuses_is_counted_and_not_sent_again() {
    let refusing = Backend::answering(400, "text/plain", "no");
    let server = promgate(&json!({ "endpoint": refusing.url() }));
    query(&Client::stateless(server.mcp));
    server.wait_for_metric("promgate_trace_spans_total{fate=\"failed\"}", 4.0);
    assert_eq!(refusing.received().len(), 1);
    assert!(refusing.received()[0].line.starts_with("POST /v1/traces "));
}

#[test]
fn a_receiver_that_asks_for_a_pause_gets_it() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let busy = Backend::start(move |_, stream| {
        match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => backend::answer_with(stream, 503, &[("Retry-After", "3")], b""),
            _ => backend::answer(stream, 200, "application/x-protobuf", b""),
        }
    });
    let server = promgate(&json!({ "endpoint": busy.url() }));
    query(&Client::stateless(server.mcp));
    let _first = busy.wait_for_request();
    let began = Instant::now();
    let both = busy.wait_for_requests(2);
    assert!(began.elapsed() >= Duration::from_millis(2500), "{:?}", began.elapsed());
    assert_eq!(both[0].body, both[1].body, "the same once more");
    server.wait_for_metric("promgate_trace_spans_total{fate=\"sent\"}", 4.0);
}

#[test]
fn the_last_spans_are_sent_when_it_ends() {
    let collector = Collector::start();
    let server = promgate(&collector.traces(Protocol::Grpc));
    query_in(&Client::stateless(server.mcp), None, Some(&parent(TRACE, true)));
    server.terminate();
    assert!(server.exit(PATIENCE).success());
    let spans = collector.spans();
    assert_eq!(spans.iter().filter(|span| span.trace == TRACE).count(), 4);
}

#[test]
fn a_receiver_that_is_gone_holds_up_the_end_for_a_moment_only() {
    // An address at which nobody listens, and one that says nothing.
    let silent = Backend::start(|_, stream| backend::hold(stream));
    for endpoint in [format!("http://{}", Place::find().mcp()), silent.url()] {
        let server = promgate(&json!({ "endpoint": endpoint }));
        query(&Client::stateless(server.mcp));
        let began = Instant::now();
        server.terminate();
        assert!(server.exit(PATIENCE).success());
        assert!(began.elapsed() < Duration::from_secs(12), "{endpoint}: {:?}", began.elapsed());
    }
}

#[test]
fn a_receivers_headers_are_sent_and_never_shown() {
    let receiver = Backend::answering(500, "text/plain", "no");
    let server = promgate(&json!({
        "endpoint": format!("{}/custom/path", receiver.url()),
        "headers": { "Authorization": "Basic canary-of-the-receiver" },
    }));
    query(&Client::stateless(server.mcp));
    let sent = receiver.wait_for_request();
    assert_eq!(sent.header("authorization"), Some("Basic canary-of-the-receiver"));
    assert!(sent.line.starts_with("POST /custom/path "), "{}", sent.line);
    let stderr = server.process().stderr();
    stderr.wait_for("the warning", |line| line.contains("the receiver of traces"));
    assert!(!stderr.lines().join("\n").contains("canary"));
}

#[test]
fn spans_are_sent_many_at_once_under_load() {
    let receiver = Backend::answering(200, "application/x-protobuf", "");
    let server = promgate(&json!({ "endpoint": receiver.url(), "queue_max": 65_536 }));
    let client = Client::stateless(server.mcp);
    let began = Instant::now();
    // Long enough that the first of them are sent while the others come.
    let mut asked = 0;
    while began.elapsed() < Duration::from_millis(2500) {
        assert_eq!(client.call("tools/list", json!({})).status(), 200);
        asked += 1;
    }
    let spans = 2 * asked;
    server.wait_for_metric("promgate_trace_spans_total{fate=\"sent\"}", f64::from(spans));
    let seconds = u32::try_from(began.elapsed().as_secs()).expect("few");
    // One a second, and one for each 512.
    let most = seconds + 2 + spans / 510;
    let requests = receiver.received().len();
    assert!(
        requests <= usize::try_from(most).expect("few"),
        "{requests} for {spans} in {seconds} s"
    );
}

#[test]
fn what_a_receiver_says_of_what_it_refuses_is_logged() {
    // `partial_success` of an answer: two spans are refused, and why.
    let body = b"\x0a\x0d\x08\x02\x12\x09too\nlarge".to_vec();
    let receiver = Backend::answering(200, "application/x-protobuf", body);
    let server = promgate(&json!({ "endpoint": receiver.url() }));
    query(&Client::stateless(server.mcp));
    server.wait_for_metric("promgate_trace_spans_total{fate=\"refused\"}", 2.0);
    server.wait_for_metric("promgate_trace_spans_total{fate=\"sent\"}", 2.0);
    let stderr = server.process().stderr();
    let line = stderr.wait_for("the warning", |line| line.contains("does not take all of it"));
    assert!(line.contains("toolarge") && line.contains("WARN"), "{line}");
}

#[test]
fn a_login_page_is_no_receiver() {
    let page = Backend::answering(200, "text/html", "<html>please log in</html>");
    let server = promgate(&json!({ "endpoint": page.url() }));
    query(&Client::stateless(server.mcp));
    let stderr = server.process().stderr();
    stderr.wait_for("the warning", |line| line.contains("the receiver of traces takes none"));
    assert!(server.metric("promgate_trace_spans_total{fate=\"sent\"}") < 0.5);
}
