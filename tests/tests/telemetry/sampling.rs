//! Which requests are sampled.

use e2e::{
    backend::Backend,
    collector::{Collector, Protocol},
    mcp::Client,
    server::{Server, config, guarded, prometheus},
};
use serde_json::{Value, json};

use super::parts::{OTHER_TRACE, TRACE, parent, promgate, query, query_in, traced};

fn settings(collector: &Collector, ratio: f64, trust_parent: bool) -> Value {
    let mut settings = collector.traces(Protocol::Http);
    settings["sample_ratio"] = json!(ratio);
    settings["trust_parent"] = json!(trust_parent);
    settings
}

#[test]
fn a_stranger_cannot_switch_tracing_on_or_off() {
    let collector = Collector::start();
    let off = promgate(&settings(&collector, 0.0, false));
    query_in(&Client::stateless(off.mcp), None, Some(&parent(TRACE, true)));
    query_in(&Client::stateless(off.mcp), Some(&parent(TRACE, true)), None);
    let on = promgate(&settings(&collector, 1.0, false));
    query_in(&Client::stateless(on.mcp), None, Some(&parent(OTHER_TRACE, false)));
    assert_eq!(collector.trace(OTHER_TRACE, 4).len(), 4);
    off.terminate();
    assert!(off.exit(e2e::process::PATIENCE).success());
    assert!(collector.spans().iter().all(|span| span.trace == OTHER_TRACE));
}

#[test]
fn a_trusted_client_decides_by_header_or_message_and_one_that_is_refused_does_not() {
    let collector = Collector::start();
    let backends = json!({ "prometheus": prometheus() });
    let server = Server::promgate(&traced(guarded(&backends), &settings(&collector, 0.0, true)));
    let stranger = Client::stateless(server.mcp);
    let refused = stranger.request("tools/list", json!({}));
    assert_eq!(stranger.send(&refused.header("traceparent", &parent(TRACE, true))).status(), 401);
    let known = Client::stateless(server.mcp).bearing(&e2e::minter::token("alice"));
    query_in(&known, None, Some(&parent(OTHER_TRACE, true)));
    let third = "33333333333333333333333333333333";
    query_in(&known, Some(&parent(third, true)), None);
    query(&known);
    assert_eq!(collector.trace(OTHER_TRACE, 4).len(), 4);
    assert_eq!(collector.trace(third, 4).len(), 4);
    server.terminate();
    assert!(server.exit(e2e::process::PATIENCE).success());
    assert_eq!(collector.spans().len(), 8, "nobody else was traced");
}

#[test]
fn a_flag_that_says_no_is_followed_where_flags_are_trusted() {
    let collector = Collector::start();
    let server = promgate(&settings(&collector, 1.0, true));
    query_in(&Client::stateless(server.mcp), None, Some(&parent(TRACE, false)));
    query_in(&Client::stateless(server.mcp), None, Some(&parent(OTHER_TRACE, true)));
    assert_eq!(collector.trace(OTHER_TRACE, 4).len(), 4);
    assert!(collector.spans().iter().all(|span| span.trace != TRACE));
    let followed = server.metric("promgate_trace_flags_total{result=\"followed\"}");
    assert!((followed - 2.0).abs() < 0.1, "{followed}");
}

#[test]
fn trusted_flags_switch_on_so_many_traces_in_a_second_and_no_more() {
    let collector = Collector::start();
    let mut settings = settings(&collector, 0.0, true);
    settings["trusted_per_second_max"] = json!(1);
    let server = promgate(&settings);
    let client = Client::stateless(server.mcp);
    let began = std::time::Instant::now();
    for _ in 0..50 {
        let request = client.request("tools/list", json!({}));
        let _list = client.send(&request.header("traceparent", &parent(TRACE, true)));
    }
    let seconds = u32::try_from(began.elapsed().as_secs()).expect("few") + 2;
    let sampled = server.metric("promgate_traces_sampled_total");
    assert!((1.0..=f64::from(seconds)).contains(&sampled), "{sampled} in {seconds} s");
    let ignored = server.metric("promgate_trace_flags_total{result=\"ignored\"}");
    assert!((sampled + ignored - 50.0).abs() < 0.1, "{sampled} + {ignored}");
}

#[test]
fn a_ratio_is_a_share_of_requests_whatever_ids_clients_choose() {
    let collector = Collector::start();
    let server = promgate(&settings(&collector, 0.5, false));
    let client = Client::stateless(server.mcp);
    for number in 0..400 {
        let request = client.request("tools/list", json!({}));
        // By its id alone each of these would be sampled.
        let trace = format!("{number:032x}").replacen('0', "1", 1);
        let _list = client.send(&request.header("traceparent", &parent(&trace, true)));
    }
    let sampled = server.metric("promgate_traces_sampled_total");
    // Ten standard deviations: once in more runs than there will be.
    assert!((100.0..=300.0).contains(&sampled), "{sampled} of 400");
}

#[test]
fn without_a_receiver_the_record_tells_the_trace_that_the_client_names_and_nothing_else_happens() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let server = Server::promgate(&config(&json!({ "main": { "url": backend.url() } })));
    let client = Client::stateless(server.mcp);
    query_in(&client, None, Some(&parent(TRACE, true)));
    let record = server.access_record(|record| record["trace_id"] == TRACE);
    assert_eq!(record["tool"], "prometheus_query");
    query_in(&client, Some(&parent(OTHER_TRACE, true)), None);
    let _record = server.access_record(|record| record["trace_id"] == OTHER_TRACE);
    query(&client);
    let record = server.access_record(|record| {
        record["tool"] == "prometheus_query" && record["trace_id"].is_null()
    });
    assert_eq!(record["status"], 200);
    let asked = backend.wait_for_requests(3);
    assert!(asked.iter().all(|asked| asked.header("traceparent").is_none()));
    assert!(server.metric("promgate_traces_sampled_total") < 0.5);
    // A header that is no parent changes nothing.
    let listed = client.request("tools/list", json!({}));
    assert_eq!(client.send(&listed.header("traceparent", "00-zz-zz-01")).status(), 200);
}
