//! Which spans a request leaves, and to which trace they belong.

use e2e::{
    backend::Backend,
    collector::{Collector, Protocol, Span},
    mcp::Client,
    minter,
    replicas::Replicas,
    server::{Server, config},
};
use serde_json::{Value, json};

use super::parts::{
    OTHER_TRACE, SPAN, TRACE, assert_in, named, parent, promgate_to, query, query_in, traced,
};

/// The four spans of a call, rightly nested.
fn call(spans: &[Span]) -> [&Span; 4] {
    let edge = named(spans, "POST /mcp");
    let worker = named(spans, "tools/call prometheus_query");
    let tool = named(spans, "execute_tool prometheus_query");
    let backend = named(spans, "POST /api/v1/query");
    assert_in(worker, edge);
    assert_in(tool, worker);
    assert_in(backend, tool);
    assert_eq!([edge, worker, tool, backend].map(|span| span.kind), [2, 2, 1, 3]);
    [edge, worker, tool, backend]
}

#[test]
fn a_call_is_one_trace_of_four_spans_over_both_transports() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::start();
        let server = promgate_to(&collector, protocol);
        for client in Client::of_both_eras(server.mcp) {
            query_in(&client, None, Some(&parent(TRACE, true)));
            let record = server.access_record(|record| record["trace_id"] == TRACE);
            assert_eq!(record["tool"], "prometheus_query");
        }
        let spans = collector.trace(TRACE, 8);
        assert_eq!(spans.len(), 8, "{protocol:?}: two calls");
        // The calls follow one another: the spans of the first end before those of the second begin.
        let mut edges: Vec<_> = spans.iter().filter(|span| span.name == "POST /mcp").collect();
        edges.sort_by_key(|span| span.started);
        let end = edges[0].ended;
        let (first, second): (Vec<Span>, Vec<Span>) =
            spans.iter().cloned().partition(|span| span.started <= end);
        for spans in [first, second] {
            let [edge, ..] = call(&spans);
            assert_eq!(edge.parent, SPAN, "below the client's");
            assert!(spans.iter().all(|span| !span.failed));
        }
        assert!(server.metric("promgate_trace_spans_total{fate=\"sent\"}") >= 8.0);
        assert!(server.metric("promgate_trace_exports_total{outcome=\"failed\"}") < 0.5);
    }
}

#[test]
fn spans_have_the_attributes_of_the_conventions() {
    let collector = Collector::start();
    let server = promgate_to(&collector, Protocol::Http);
    query_in(&Client::stateless(server.mcp), None, Some(&parent(TRACE, true)));
    let spans = collector.trace(TRACE, 4);
    let [edge, worker, tool, backend] = call(&spans);
    let has = |span: &Span, wanted: &[(&str, Value)]| {
        for (name, value) in wanted {
            assert_eq!(span.attribute(name), *value, "{name} of {}", span.name);
        }
    };
    has(
        edge,
        &[
            ("http.request.method", json!("POST")),
            ("http.response.status_code", json!(200)),
            ("http.route", json!("/mcp")),
            ("url.path", json!("/mcp")),
            ("url.scheme", json!("http")),
            ("network.protocol.version", json!("1.1")),
            ("server.address", json!("127.0.0.1")),
            ("server.port", json!(server.mcp.port())),
            ("promgate.outcome", json!("ok")),
            ("promgate.era", json!("stateless")),
        ],
    );
    has(
        worker,
        &[
            ("mcp.method.name", json!("tools/call")),
            ("mcp.protocol.version", json!("2026-07-28")),
            ("gen_ai.operation.name", json!("execute_tool")),
            ("gen_ai.tool.name", json!("prometheus_query")),
            ("jsonrpc.request.id", json!("1")),
            ("network.transport", json!("tcp")),
            ("network.protocol.version", json!("1.1")),
            ("rpc.system.name", json!("jsonrpc")),
            ("rpc.method", json!("tools/call")),
            ("rpc.response.status_code", Value::Null),
            ("error.type", Value::Null),
        ],
    );
    has(
        tool,
        &[
            ("gen_ai.operation.name", Value::Null),
            ("gen_ai.tool.name", json!("prometheus_query")),
            ("promgate.outcome", json!("ok")),
        ],
    );
    has(
        backend,
        &[
            ("http.request.method", json!("POST")),
            ("http.response.status_code", json!(200)),
            ("url.template", json!("/api/v1/query")),
            ("server.address", json!("127.0.0.1")),
            ("promgate.backend", json!("prometheus")),
        ],
    );
    assert_eq!(edge.resource["service.name"], "promgate");
    assert_eq!(edge.resource["service.instance.id"], server.mcp.to_string());
    // Nothing but what the page lists.
    let page = include_str!("../../../docs/telemetry.md");
    for span in &spans {
        for name in span.attributes.keys() {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not on the page");
        }
    }
}

#[test]
fn a_message_names_its_trace_and_the_header_of_another_is_linked() {
    let collector = Collector::start();
    let server = promgate_to(&collector, Protocol::Grpc);
    for (client, trace) in
        Client::of_both_eras(server.mcp).iter().zip([TRACE, "11111111111111111111111111111111"])
    {
        query_in(client, Some(&parent(trace, true)), Some(&parent(OTHER_TRACE, true)));
        let spans = collector.trace(trace, 4);
        let [edge, ..] = call(&spans);
        assert_eq!(edge.parent, SPAN);
        assert_eq!(edge.links, [(OTHER_TRACE.to_owned(), SPAN.to_owned())]);
        let record = server.access_record(|record| record["trace_id"] == trace);
        assert_eq!(record["rpc_method"], "tools/call");
    }
    assert!(collector.spans().iter().all(|span| span.trace != OTHER_TRACE));
}

#[test]
fn a_request_that_names_no_trace_gets_one_and_a_backend_is_told() {
    let collector = Collector::start();
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let backends = json!({ "main": { "url": backend.url() } });
    let settings = collector.traces(Protocol::Http);
    let server = Server::promgate(&traced(config(&backends), &settings));
    query(&Client::stateless(server.mcp));
    let asked = backend.wait_for_request();
    let told = asked.header("traceparent").expect("a traceparent").to_owned();
    let parts: Vec<_> = told.split('-').collect();
    let [_, trace, span, flags] = parts.as_slice() else { panic!("{told}") };
    let spans = collector.trace(trace, 4);
    let [edge, .., question] = call(&spans);
    assert_eq!((edge.parent.as_str(), *flags), ("", "01"));
    assert_eq!(question.id, *span, "the backend's parent is the span of the question");
    assert_eq!(asked.header("tracestate"), None);
}

#[test]
fn a_state_goes_to_backends_only_if_it_is_configured_and_baggage_never() {
    let backend = Backend::with_data(&json!({ "resultType": "scalar", "result": [0, "1"] }));
    let backends = json!({ "main": { "url": backend.url() } });
    let collector = Collector::start();
    for (number, (propagate, parent_told, state_told)) in
        [("off", false, false), ("traceparent", true, false), ("tracestate", true, true)]
            .into_iter()
            .enumerate()
    {
        let mut settings = collector.traces(Protocol::Http);
        settings["propagate"] = json!(propagate);
        let server = Server::promgate(&traced(config(&backends), &settings));
        let client = Client::stateless(server.mcp);
        let arguments = json!({ "name": "prometheus_query", "arguments": { "query": "1" } });
        let request = client
            .request("tools/call", arguments)
            .header("traceparent", &parent(TRACE, true))
            .header("tracestate", "vendor=value")
            .header("baggage", "user=somebody");
        assert_eq!(client.send(&request).status(), 200);
        let asked = backend.wait_for_requests(number + 1).pop().expect("it was asked");
        assert_eq!(asked.header("traceparent").is_some(), parent_told, "{propagate}");
        let state = state_told.then_some("vendor=value");
        assert_eq!(asked.header("tracestate"), state, "{propagate}");
        assert_eq!(asked.header("baggage"), None, "{propagate}");
    }
}

#[test]
fn what_fails_says_so_in_its_spans() {
    let collector = Collector::start();
    let backend = Backend::answering(503, "text/plain", "down");
    let backends = json!({ "main": { "url": backend.url() } });
    let settings = collector.traces(Protocol::Grpc);
    let server = Server::promgate(&traced(config(&backends), &settings));
    let client = Client::stateless(server.mcp);
    let request = client.request(
        "tools/call",
        json!({ "name": "prometheus_query", "arguments": { "query": "up" } }),
    );
    let reply = client.send(&request.header("traceparent", &parent(TRACE, true)));
    assert_eq!(reply.result()["isError"], true);
    let spans = collector.trace(TRACE, 4);
    let [edge, worker, tool, question] = call(&spans);
    assert!(!edge.failed, "the request was served");
    assert!(worker.failed && tool.failed && question.failed);
    assert_eq!(worker.attribute("error.type"), "tool_error");
    assert_eq!(tool.attribute("error.type"), "backend_error");
    assert_eq!(question.attribute("error.type"), "503");

    // A list asks no backend, and a refused request has no worker.
    let list = client.request("tools/list", json!({}));
    let _listed = client.send(&list.header("traceparent", &parent(OTHER_TRACE, true)));
    let spans = collector.trace(OTHER_TRACE, 2);
    assert_in(named(&spans, "tools/list"), named(&spans, "POST /mcp"));
    let third = "22222222222222222222222222222222";
    let path = e2e::http::Request::new("GET", "/somewhere?secret=1");
    let mut connection = e2e::http::Connection::open(server.mcp);
    let _refused = connection.exchange(&path.header("traceparent", &parent(third, true)));
    let spans = collector.trace(third, 1);
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.name.as_str(), span.attribute("url.path")), ("GET", Value::Null));
    assert_eq!(span.attribute("promgate.outcome"), "not_found");
}

/// Host and port as attributes hold them.
fn split((host, port): (&str, &str)) -> (Value, Value) {
    (json!(host), json!(port.parse::<u16>().expect("a number")))
}

#[test]
fn an_error_of_the_protocol_says_its_code() {
    let collector = Collector::start();
    let server = promgate_to(&collector, Protocol::Http);
    let mut codes = Vec::new();
    for client in Client::of_both_eras(server.mcp) {
        let request = client.request("tools/call", json!({ "name": "nobody-has-it" }));
        let reply = client.send(&request.header("traceparent", &parent(TRACE, true)));
        codes.push(reply.code().expect("an error").to_string());
    }
    let is_worker = |span: &&Span| span.name == "tools/call";
    let workers = collector.wait_for(|spans| {
        let workers: Vec<Span> = spans.iter().filter(is_worker).cloned().collect();
        (workers.len() == 2).then_some(workers)
    });
    codes.dedup();
    assert_eq!(codes, ["-32602"]);
    for worker in workers {
        assert!(worker.failed);
        assert_eq!(worker.attribute("rpc.response.status_code"), "-32602");
        assert_eq!(worker.attribute("error.type"), "-32602");
    }
}

#[test]
fn a_client_that_leaves_is_no_failure_of_the_server() {
    let collector = Collector::start();
    let backend = Backend::start(|_, stream| e2e::backend::hold(stream));
    let backends = json!({ "main": { "url": backend.url() } });
    let server = Server::promgate(&traced(config(&backends), &collector.traces(Protocol::Http)));
    let client = Client::stateless(server.mcp);
    let arguments = json!({ "name": "prometheus_query", "arguments": { "query": "up" } });
    let request = client.request("tools/call", arguments).header("Accept", "application/json");
    let mut connection = e2e::http::Connection::open(server.mcp);
    connection.send(request.header("traceparent", &parent(TRACE, true)).bytes());
    let _asked = backend.wait_for_request();
    drop(connection);
    let spans = collector.trace(TRACE, 4);
    let [edge, worker, tool, _] = call(&spans);
    assert_eq!(edge.attribute("promgate.outcome"), "client_gone");
    assert!(!edge.failed && !worker.failed, "{edge:?} {worker:?}");
    assert!(tool.failed, "it did not end");
}

/// Two replicas that trace, with a session of the second.
fn replicas(collector: &Collector) -> (Replicas, Client) {
    let settings = collector.traces(Protocol::Grpc);
    let backends = json!({ "main": e2e::server::prometheus() });
    let replicas = Replicas::start_with(2, move |_, config| {
        config["telemetry"] = json!({ "traces": settings });
        config["backends"] = backends.clone();
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    (replicas, session)
}

#[test]
fn a_request_that_is_passed_on_is_one_trace_over_both_replicas() {
    let collector = Collector::start();
    let (replicas, session) = replicas(&collector);
    let through = session.through(replicas.at(0).mcp());
    let traces = [
        (None, Some(parent(TRACE, true)), TRACE, SPAN),
        // The header goes ahead to the other replica before the message is known.
        (Some(parent(OTHER_TRACE, true)), None, OTHER_TRACE, SPAN),
    ];
    for (meta, header, trace, client_span) in traces {
        query_in(&through, meta.as_deref(), header.as_deref());
        let spans = collector.trace(trace, 6);
        assert_eq!(spans.len(), 6, "{:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
        let hop = named(&spans, "POST hop");
        let entry = spans.iter().find(|span| span.id == hop.parent).expect("the entry's span");
        assert_eq!((entry.name.as_str(), entry.parent.as_str()), ("POST /mcp", client_span));
        let name = replicas.at(1).name();
        let (host, port) = name.rsplit_once(':').map(split).expect("a port");
        assert_eq!((hop.attribute("server.address"), hop.attribute("server.port")), (host, port));
        let owner: Vec<Span> = spans
            .iter()
            .filter(|span| ![&entry.id, &hop.id].contains(&&span.id))
            .cloned()
            .collect();
        let [edge, ..] = call(&owner);
        assert_eq!(edge.parent, hop.id);
        assert_eq!(edge.attribute("promgate.hops"), 1);
        assert_ne!(edge.resource["service.instance.id"], entry.resource["service.instance.id"]);
    }
}
