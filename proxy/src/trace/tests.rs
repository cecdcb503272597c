use http::HeaderValue;
use mcp_core::trace::{Answer, Peer, Work};

use super::{span::Spans, *};
use crate::{
    config::{Otlp, OtlpProtocol, Share, SinkTls},
    metrics::{Metrics, Subjects, labels::SpanFate},
    otlp::protobuf::{Field, fields},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "00f067aa0ba902b7";

fn named(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{SPAN}-{flags}")
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn counters() -> TraceCounters {
    let subjects = Subjects { tools: &[], backends: &[], workers: 0 };
    Metrics::new(subjects).unwrap().traces()
}

fn config(sample_ratio: &str, trust_parent: bool) -> Traces {
    Traces {
        receiver: Otlp {
            // Nobody listens on the port of `discard` here; and nothing of these tests waits for it.
            endpoint: "http://127.0.0.1:9".parse().unwrap(),
            protocol: OtlpProtocol::HttpProtobuf,
            headers: HeaderMap::new(),
            tls: SinkTls::default(),
            timeout: Duration::from_secs(1),
        },
        sample_ratio: Share::parse(sample_ratio).unwrap(),
        trust_parent,
        trusted_per_second_max: 1000,
        propagate: Propagate::Traceparent,
        queue_max: 100,
    }
}

const RESOURCE: Resource<'static> = Resource { service: "promgate", instance: "a" };

fn tracer(config: &Traces) -> Arc<Tracer> {
    Tracer::start(Some(config), RESOURCE, counters()).unwrap()
}

fn off() -> Arc<Tracer> {
    Tracer::start(None, RESOURCE, counters()).unwrap()
}

#[tokio::test]
async fn without_a_receiver_only_the_traces_that_clients_name_are_found() {
    let tracer = off();
    assert!(tracer.begin(&HeaderMap::new()).is_none());
    let request = tracer.begin(&headers(&[("traceparent", &named(TRACE, "01"))])).unwrap();
    assert_eq!((request.trace().to_string(), request.is_sampled()), (TRACE.to_owned(), false));
    assert!(tracer.call(&request).is_none());
    let mut none = None;
    tracer.named(&mut none, &named(OTHER, "01"), None);
    assert_eq!(none.unwrap().trace().to_string(), OTHER);
    tracer.send(|_spans| panic!("nothing is written"));
}

#[tokio::test]
async fn a_request_without_a_trace_gets_one_of_its_own() {
    let tracer = tracer(&config("1", false));
    let [one, other] = [(); 2].map(|()| tracer.begin(&HeaderMap::new()).unwrap());
    assert!(one.is_sampled() && one.parent().is_none());
    assert_ne!(one.trace(), other.trace());
    assert_ne!(one.at(Place::Edge), one.at(Place::Worker));
    assert_ne!(one.at(Place::Hop), one.at(Place::Worker));
}

#[tokio::test]
async fn a_malformed_or_repeated_parent_is_none() {
    let tracer = tracer(&config("1", false));
    let mut twice = headers(&[("traceparent", &named(TRACE, "01"))]);
    twice.append(TRACEPARENT, HeaderValue::from_str(&named(OTHER, "01")).unwrap());
    for headers in [headers(&[("traceparent", "00-abc-def-01")]), twice] {
        let request = tracer.begin(&headers).unwrap();
        assert!(request.parent().is_none());
        assert!(![TRACE, OTHER].contains(&request.trace().to_string().as_str()));
    }
}

#[tokio::test]
async fn an_untrusted_flag_decides_nothing() {
    for (ratio, flag) in [("0", "01"), ("1", "00")] {
        let tracer = tracer(&config(ratio, false));
        let mut request = tracer.begin(&headers(&[("traceparent", &named(TRACE, flag))])).unwrap();
        tracer.let_in(&mut request);
        assert_eq!(request.is_sampled(), ratio == "1", "{flag}");
        assert_eq!(request.trace().to_string(), TRACE, "the trace is the client's all the same");
    }
}

#[tokio::test]
async fn a_trusted_flag_decides_once_the_client_is_let_in_and_not_too_often() {
    let config = Traces { trusted_per_second_max: 1, ..config("0", true) };
    let tracer = tracer(&config);
    let begin = || tracer.begin(&headers(&[("traceparent", &named(TRACE, "01"))])).unwrap();
    let mut request = begin();
    assert!(!request.is_sampled(), "whoever is refused switches nothing on");
    tracer.let_in(&mut request);
    assert!(request.is_sampled());
    // Within the same second, or the one after it: of many at most two more.
    let more = (0..100).filter(|_| {
        let mut request = begin();
        tracer.let_in(&mut request);
        request.is_sampled()
    });
    assert!(more.count() <= 2);
}

#[tokio::test]
async fn a_message_names_its_trace_and_what_the_header_names_is_linked() {
    let tracer = tracer(&config("1", false));
    let mut request = tracer.begin(&headers(&[("traceparent", &named(OTHER, "01"))]));
    tracer.named(&mut request, &named(TRACE, "01"), None);
    let request = request.unwrap();
    assert_eq!(request.trace().to_string(), TRACE);
    assert_eq!(request.parent().unwrap().to_string(), SPAN);
    assert_eq!(request.link().unwrap().trace.to_string(), OTHER);

    // One trace in both: the header's span is the nearer one.
    let nearer = format!("00-{TRACE}-1111111111111111-01");
    let mut request = tracer.begin(&headers(&[("traceparent", &nearer)]));
    tracer.named(&mut request, &named(TRACE, "01"), None);
    let request = request.unwrap();
    assert_eq!(request.parent().unwrap().to_string(), "1111111111111111");
    assert_eq!(request.link(), None);
}

#[tokio::test]
async fn a_message_decides_where_no_header_does() {
    let tracer = tracer(&config("0", true));
    let mut request = tracer.begin(&HeaderMap::new());
    tracer.named(&mut request, &named(TRACE, "01"), None);
    assert!(request.unwrap().is_sampled());
}

#[tokio::test]
async fn a_message_of_another_trace_decides_instead_of_the_header_and_is_counted_once() {
    use crate::metrics::labels::TraceFlag;
    let counters = counters();
    let config = config("0", true);
    let tracer = Tracer::start(Some(&config), RESOURCE, counters.clone()).unwrap();
    let decided = |header: &str, message: &str, trace: &str| {
        let mut request = tracer.begin(&headers(&[("traceparent", &named(OTHER, header))]));
        tracer.let_in(request.as_mut().unwrap());
        let hop = tracer.told_on(request.as_ref().unwrap());
        let mut there = tracer.arrived(&hop);
        for request in [&mut request, &mut there] {
            tracer.named(request, &named(trace, message), None);
        }
        let (here, there) = (request.unwrap().is_sampled(), there.unwrap().is_sampled());
        assert_eq!(here, there, "another replica sees it so too");
        here
    };
    assert!(decided("00", "01", TRACE));
    assert!(!decided("01", "00", TRACE));
    assert!(decided("01", "01", TRACE));
    assert!(decided("01", "00", OTHER), "within one trace the header's span is the nearer one");
    assert_eq!(counters.flags(TraceFlag::Followed), 4);
}

#[tokio::test]
async fn states_in_several_headers_are_one() {
    let tracer = tracer(&Traces { propagate: Propagate::Tracestate, ..config("1", false) });
    let mut given = headers(&[("traceparent", &named(TRACE, "01")), ("tracestate", "a=1")]);
    given.append(TRACESTATE, HeaderValue::from_static("b=2"));
    let request = tracer.begin(&given).unwrap();
    let (_, state) = tracer.call(&request).unwrap().tool("t").headers().unwrap();
    assert_eq!(state.unwrap(), "a=1,b=2");
}

#[tokio::test]
async fn two_replicas_find_the_same_trace_whether_header_or_message_names_it() {
    let (entry, owner) = (tracer(&config("1", false)), tracer(&config("0", false)));
    for (header, message) in
        [(Some(TRACE), None), (None, Some(TRACE)), (Some(OTHER), Some(TRACE)), (None, None)]
    {
        let headers = header
            .map(|trace| headers(&[("traceparent", &named(trace, "01"))]))
            .unwrap_or_default();
        let mut here = entry.begin(&headers);
        // The header goes ahead of the body.
        let hop = entry.told_on(here.as_ref().unwrap());
        let hop: TraceHop = serde_json::from_str(&serde_json::to_string(&hop).unwrap()).unwrap();
        let mut there = owner.arrived(&hop);
        if let Some(trace) = message {
            entry.named(&mut here, &named(trace, "01"), None);
            owner.named(&mut there, &named(trace, "01"), None);
        }
        let (here, there) = (here.unwrap(), there.unwrap());
        assert_eq!(here.trace(), there.trace(), "{header:?} {message:?}");
        assert_eq!(there.parent(), Some(here.at(Place::Hop).span));
        assert_ne!(here.at(Place::Edge).span, there.at(Place::Edge).span);
        assert!(here.is_sampled() && there.is_sampled(), "where the client came in decides");
    }
}

#[tokio::test]
async fn a_state_goes_to_backends_only_if_it_is_configured() {
    let given = [("traceparent", &*named(TRACE, "01")), ("tracestate", "vendor=1")];
    for (propagate, parent, state) in [
        (Propagate::Off, false, false),
        (Propagate::Traceparent, true, false),
        (Propagate::Tracestate, true, true),
    ] {
        let tracer = tracer(&Traces { propagate, ..config("1", false) });
        let request = tracer.begin(&headers(&given)).unwrap();
        let trace = tracer.call(&request).unwrap();
        let told = trace.tool("t").headers();
        assert_eq!(told.is_some(), parent, "{propagate:?}");
        assert_eq!(told.and_then(|(_, state)| state).is_some(), state, "{propagate:?}");
    }
}

/// The values of a field.
fn all(message: &[u8], number: u32) -> Vec<&[u8]> {
    let values = fields(message).filter_map(|field| match field {
        (found, Field::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    });
    values.collect()
}

/// The attributes of a span, each with its value as text.
fn attributes(span: &[u8]) -> Vec<(String, String)> {
    let pairs = all(span, 9).into_iter().map(|pair| {
        let key = String::from_utf8(all(pair, 1)[0].to_vec()).unwrap();
        let value = match fields(all(pair, 2)[0]).next().unwrap() {
            (_, Field::Bytes(text)) => String::from_utf8(text.to_vec()).unwrap(),
            (_, Field::Varint(number)) => number.to_string(),
            (_, other) => format!("{other:?}"),
        };
        (key, value)
    });
    pairs.collect()
}

#[test]
fn the_spans_of_a_call_are_written_with_their_attributes() {
    let parent = Parent::parse(named(TRACE, "01").as_bytes()).unwrap();
    let trace = Trace::new(parent, Told::Nothing);
    let backend = mcp_core::config::BackendName::parse("main").unwrap();
    let peer = Arc::new(Peer { backend, host: "prometheus.example".into(), port: 9090 });
    let tool = trace.tool("prometheus_query");
    trace.backend(&peer, http::Method::POST, "/api/v1/query").answered(Answer::Whole(405));
    trace.backend(&peer, http::Method::GET, "/api/v1/query").answered(Answer::Whole(200));
    tool.tool_ended(mcp_core::observe::ToolOutcome::Ok);
    let left = trace.take();
    assert!(matches!(left[0].work, Work::Backend { .. }));
    let mut bytes = Vec::new();
    let mut spans = Spans::new(&mut bytes);
    spans.of_call(parent.trace, &left);
    assert_eq!(spans.count(), 3);
    let spans = all(&bytes, 2);
    let name = |span| std::str::from_utf8(all(span, 5)[0]).unwrap();
    let names: Vec<_> = spans.iter().map(|span| name(span)).collect();
    assert_eq!(names, ["POST /api/v1/query", "GET /api/v1/query", "execute_tool prometheus_query"]);
    for span in &spans {
        assert_eq!(all(span, 1), [parent.trace.bytes()]);
    }
    assert_eq!(all(spans[2], 4), [parent.span.bytes()]);
    assert_eq!(all(spans[0], 4), all(spans[2], 2), "below the tool's");
    let shown: Vec<_> =
        attributes(spans[0]).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        shown,
        [
            "http.request.method=POST",
            "url.template=/api/v1/query",
            "server.address=prometheus.example",
            "server.port=9090",
            "promgate.backend=main",
            "http.response.status_code=405",
            "error.type=405",
        ]
    );
    assert_eq!(all(spans[0], 15), [&[0x18, 2]], "status: error");
    assert_eq!(all(spans[1], 15), Vec::<&[u8]>::new());
    assert!(attributes(spans[1]).contains(&("http.request.resend_count".into(), "1".into())));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_costs_spans_and_no_more() {
    let counters = counters();
    let config = Traces { queue_max: 64, ..config("1", false) };
    let tracer = Tracer::start(Some(&config), RESOURCE, counters.clone()).unwrap();
    let request = tracer.begin(&HeaderMap::new()).unwrap();
    (0..100).for_each(|_| send(&tracer, &request));
    assert_eq!(counters.count(SpanFate::QueueFull), 36);
    tracer.stop(Duration::from_secs(5)).await;
    assert_eq!(counters.count(SpanFate::Failed), 64);
    send(&tracer, &request);
    assert_eq!(counters.count(SpanFate::Failed), 65, "what comes later is lost too");
}

/// Sends one span.
fn send(tracer: &Tracer, request: &Traced) {
    tracer.send(|spans| {
        let now = std::time::Instant::now();
        let head = span::Head {
            at: request.at(Place::Edge),
            parent: None,
            is_remote: false,
            name: ["a", ""],
            kind: span::Kind::Server,
            started: now,
            ended: now,
            link: None,
            failed: false,
        };
        spans.add(&head, |_none| {});
    });
}

#[tokio::test]
async fn what_is_being_sent_when_time_runs_out_is_counted() {
    // It takes connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config("1", false);
    let address = silent.local_addr().unwrap();
    config.receiver.endpoint = format!("http://{address}").parse().unwrap();
    config.receiver.timeout = Duration::from_hours(1);
    let counters = counters();
    let tracer = Tracer::start(Some(&config), RESOURCE, counters.clone()).unwrap();
    let request = tracer.begin(&HeaderMap::new()).unwrap();
    (0..7).for_each(|_| send(&tracer, &request));
    tracer.stop(Duration::from_millis(100)).await;
    assert_eq!(counters.count(SpanFate::Failed), 7);
}

#[test]
fn an_address_is_written_as_rust_writes_it() {
    for text in ["10.0.200.7", "::1", "2001:db8:1111:2222:3333:4444:5555:6666", "::ffff:127.0.0.1"]
    {
        let mut bytes = Vec::new();
        let mut spans = Spans::new(&mut bytes);
        let now = std::time::Instant::now();
        let head = span::Head {
            at: Parent::parse(named(TRACE, "01").as_bytes()).unwrap(),
            parent: None,
            is_remote: false,
            name: ["a", ""],
            kind: span::Kind::Server,
            started: now,
            ended: now,
            link: None,
            failed: false,
        };
        spans.add(&head, |to| to.address(&attribute::SERVER_ADDRESS, text.parse().unwrap()));
        let shown = attributes(all(&bytes, 2)[0]);
        assert_eq!(shown, [("server.address".to_owned(), text.to_owned())]);
    }
}
