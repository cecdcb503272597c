//! Costs of single steps: what every request pays (a lookup on the ring, a session id, a hop, a message read and routed, a token
//! that is known, an access record), what a token costs that is new, what reading a query for the record costs, and
//! what a worker takes from a message to its answer.
#![expect(clippy::expect_used, reason = "a benchmark that cannot start says why and stops")]

use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use benches::{
    cases,
    cases::Case,
    stub::Stub,
    tokens::{self, Minter, Signed},
};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use jsonwebtoken_jwks::{
    jwks::Jwks,
    key::KeySet,
    verifier::{Issuer, Verifier},
};
use mcp_core::{
    access::Caller,
    config::WorkerLimits,
    principal::{Principal, PrincipalId},
    promql::Reading,
    secret::Secret,
    server::{
        Accepts, Asker, Changes, Opening, Reply, Service, Worker,
        era::{self, Route},
        wire::{self, Message},
    },
    session::{Seats, SessionId, SessionKeys},
};
use promgate::{
    access_log::{
        AccessLog, Admission, Call, Format, Record, Rules, Tell as _, identity::Identities,
        pseudonym::Pseudonyms,
    },
    config,
    hop::{Hop, HopChecker, HopKeys, HopSigner, Rules as HopRules, Signer, Traveller},
    metrics::{Metrics, Subjects, labels::Outcome},
    otlp::Resource,
    ring::{NodeName, Ring},
};
use rmcp::model::ProtocolVersion;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// In our form. The worker does not look at the signature: whoever routes a request to it has checked that.
const SESSION_ID: &str =
    "1.kQ3vT8xZ.1893456000.zm5dO4pEJ0m3mGWMSrYh8f.V2cYdXTR0aLq9w1B7uKxEzm5dO4pEJ0m3mGWMSrYh8f";

fn ring(criterion: &mut Criterion) {
    let node = |number: u16| {
        let name = format!("promgate-{number}.promgate.svc:8090");
        (NodeName::parse(&name).expect("a good name"), 1)
    };
    let mut seats = Seats::new();
    let seats: Vec<_> = (0..1024).map(|_| seats.next().expect("randomness")).collect();
    for workers in [4, 64] {
        let ring = Ring::new((0..workers).map(node));
        let mut next = seats.iter().cycle();
        criterion.bench_function(&format!("ring/owner_of_{workers}"), |bencher| {
            bencher.iter(|| ring.owner(black_box(next.next().expect("a cycle").as_str())));
        });
    }
    criterion.bench_function("ring/build_64", |bencher| {
        bencher.iter(|| Ring::new((0..64).map(node)));
    });
}

/// What an id costs: one when a session opens, one check for each of its requests.
fn session_id(criterion: &mut Criterion) {
    let keys = SessionKeys::random().expect("randomness");
    let mut seats = Seats::new();
    let (now, principal) = (SystemTime::now(), Some(PrincipalId([7; 16])));
    let expires = now + Duration::from_hours(1);
    let mut sign = || keys.sign(&seats.next().expect("randomness"), principal, black_box(expires));
    let id = sign();
    criterion.bench_function("session_id/sign", |bencher| bencher.iter(&mut sign));
    criterion.bench_function("session_id/check", |bencher| {
        bencher.iter(|| keys.check(black_box(&id), principal, now).expect("our own"));
    });
}

/// What a request pays twice when it reaches the wrong replica: that one signs, the owner checks.
fn hop(criterion: &mut Criterion) {
    let keys = [Secret::new("0123456789abcdef0123456789abcdef")];
    let keys = Arc::new(HopKeys::new(&keys).expect("a good key"));
    let signer = HopSigner::new(Arc::clone(&keys)).expect("randomness");
    let name = |name| NodeName::parse(name).expect("a good name");
    let (now, to) = (SystemTime::now(), name("promgate-2.promgate.svc:8090"));
    let checker =
        HopChecker::new(keys, to.clone(), Duration::from_secs(30), SystemTime::UNIX_EPOCH);
    let hop = Hop {
        from: name("promgate-1.promgate.svc:8090"),
        to,
        hops: 1,
        request_id: "0192f0c1a7d47b3e9a52f1c0de4b8a61".to_owned(),
        session: Some(SESSION_ID.to_owned()),
        opens: false,
        caller: Traveller {
            principal: Some(PrincipalId([7; 16])),
            rules: HopRules::Named(vec!["readers".into(), "on-call".into()]),
            until: Some(now),
        },
        client: Some(Ipv4Addr::new(192, 168, 100, 200).into()),
        trace: None,
        body_sha256: None,
        signer: Signer::default(),
    };
    let sign = || signer.sign(black_box(&hop), "POST", "/mcp", now).expect("it fits");
    criterion.bench_function("hop/sign", |bencher| bencher.iter(sign));
    criterion.bench_function("hop/check", |bencher| {
        let check = |value: HeaderValue| {
            checker.check(value.as_bytes(), "POST", "/mcp", now).expect("a new hop")
        };
        bencher.iter_batched(sign, check, BatchSize::SmallInput);
    });
}

/// An access log onto the null device, so that the writer thread's work counts and a disk's not.
fn log(included_headers: Vec<HeaderName>, chain: bool) -> AccessLog {
    let metrics = Metrics::new(Subjects { tools: &[], backends: &[], workers: 0 })
        .expect("the metrics are well formed");
    let null = config::Target::File(config::LogFile::at(PathBuf::from("/dev/null")));
    let mut config = config::AccessLog {
        included_headers,
        redacted_headers: vec![http::header::AUTHORIZATION],
        ..config::AccessLog::to(null, 8 << 20)
    };
    config.audit.keys = vec![Secret::new("0123456789abcdef0123456789abcdef")];
    for sink in &mut config.sinks {
        sink.chain = chain;
    }
    let resource = Resource { service: "bench", instance: "bench" };
    AccessLog::start(&config, resource, &metrics).expect("the null device can be opened")
}

/// What is told of a usual call.
const CALL: Call<'static> = Call {
    backend: Some("prometheus"),
    tenant: None,
    upstream_status: Some(200),
    upstream_time: Some(Duration::from_micros(1217)),
    retries: Some(0),
    fingerprint: Some("0011223344556677"),
    form: Some("parsed"),
    metrics: &[],
    functions: &[],
    labels: &[],
    query: None,
    range: None,
    step: None,
    rows: Some(3),
    rows_total: Some(3),
    bytes: Some(1104),
    truncated: None,
};

/// The record of a usual call.
fn record<'a>(rules: &'a Rules, headers: &'a HeaderMap) -> Record<'a> {
    Record {
        rpc_method: Some("tools/call"),
        tool: Some("prometheus_query"),
        call: Some(&CALL),
        ..listed(rules, headers)
    }
}

/// The record of a `tools/list` in a session.
fn listed<'a>(rules: &'a Rules, headers: &'a HeaderMap) -> Record<'a> {
    Record {
        time: SystemTime::now(),
        request_id: b"0192f0c1a7d47b3e9a52f1c0de4b8a61",
        made_id: true,
        replica: Some("local"),
        listener: Some("clients"),
        method: "POST",
        path: b"/mcp",
        http_version: http::Version::HTTP_11,
        status: Some(200),
        duration: Duration::from_micros(1417),
        bytes_in: 151,
        bytes_out: 1204,
        peer: Some(SocketAddr::from((Ipv4Addr::new(192, 168, 100, 200), 51_234))),
        client: Some(Ipv4Addr::new(192, 168, 100, 200).into()),
        user_agent: Some(b"python-httpx/0.28.1"),
        era: Some("session"),
        protocol_version: Some("2025-11-25"),
        client_name: Some("bench"),
        client_version: Some("1.0.0"),
        rpc_method: Some("tools/list"),
        rpc_id: Some(b"17"),
        auth: Some("verified"),
        worker: Some(3),
        owner: Some(("local", 1)),
        outcome: Outcome::Ok,
        headers: rules.headers(headers),
        ..Record::default()
    }
}

fn access_log(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
    let accept = vec![http::header::ACCEPT];
    for (name, included, chain) in
        [("plain", Vec::new(), false), ("header", accept, false), ("chain", Vec::new(), true)]
    {
        let log = log(included, chain);
        let rules = log.rules().expect("the log is on");
        criterion.bench_function(&format!("access_log/record_{name}"), |bencher| {
            bencher
                .iter(|| log.write(black_box(&record(rules, &headers)), &mut Admission::default()));
        });
        log.flush_and_stop(Duration::from_secs(5)).expect("the null device takes everything");
    }
}

/// What it costs to write a record down, without the queue that takes it: with the pseudonym of its session and who
/// called, in each form.
fn written_record(criterion: &mut Criterion) {
    let pseudonyms = Pseudonyms::new(&[Secret::new("0123456789abcdef0123456789abcdef")]);
    let pseudonyms = Arc::new(pseudonyms.expect("a good key"));
    let rules = Rules::new(&config::AccessLog::off(), Some(Arc::clone(&pseudonyms)));
    let identities = Identities::new(config::Identity::default(), None);
    let identity = identities.of(&Principal {
        issuer: "https://login.example.com/realms/main".into(),
        subject: "0192f0c1-a7d4-7b3e-9a52-f1c0de4b8a61".into(),
        client_id: Some("claude".into()),
        groups: Vec::new(),
        scopes: Vec::new(),
    });
    let id = SessionId::parse(SESSION_ID.as_bytes()).expect("a good id");
    let headers = HeaderMap::new();
    for (name, format) in [("json", Format::Json), ("ecs", Format::Ecs), ("otlp", Format::Otlp)] {
        let mut out = Vec::with_capacity(4096);
        criterion.bench_function(&format!("access_log/written_{name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                let session = pseudonyms.session(black_box(&id));
                let record = Record {
                    session: Some(&session),
                    identity: Some(&identity),
                    ..listed(&rules, &headers)
                };
                black_box(&record).write(format, &rules, &mut out);
                black_box(&out);
            });
        });
    }
    // More clients than a thread remembers.
    let agents: Vec<String> = (0..20).map(|number| format!("client/{number}.0")).collect();
    criterion.bench_function("access_log/written_unknown_client", |bencher| {
        let mut out = Vec::with_capacity(4096);
        let mut agents = agents.iter().cycle();
        bencher.iter(|| {
            out.clear();
            let user_agent = agents.next().map(String::as_bytes);
            let record = Record { user_agent, ..listed(&rules, &headers) };
            black_box(&record).write(Format::Json, &rules, &mut out);
            black_box(&out);
        });
    });
    let query = "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m]))";
    criterion.bench_function("access_log/written_query", |bencher| {
        let mut out = Vec::with_capacity(4096);
        bencher.iter(|| {
            out.clear();
            let call = Call { query: Some(black_box(query)), ..CALL };
            let record = Record { call: Some(&call), ..record(&rules, &headers) };
            record.write(Format::Json, &rules, &mut out);
            black_box(&out);
        });
    });
}

/// A request of the load generator, taken apart again.
fn parts(request: &Bytes) -> (HeaderMap, Bytes) {
    let text = std::str::from_utf8(request).expect("a request is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a request has a head");
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers = fields.map(|(name, value)| {
        (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"))
    });
    (headers.collect(), request.slice_ref(body.as_bytes()))
}

const ACCEPTS: Accepts = Accepts { json: true, sse: true };

/// The answer of a worker, which waits for nothing here.
fn now(answer: impl Future<Output = Reply>) -> Reply {
    let reply = match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => Some(reply),
        Poll::Pending => None,
    };
    reply.expect("the stub answers at once")
}

fn message(criterion: &mut Criterion) {
    let (headers, body) = parts(&Case::ToolsCallStub.request(SESSION_ID));
    criterion.bench_function("wire/parse_tools_call", |bencher| {
        bencher.iter(|| wire::parse(black_box(&body)));
    });
    let message = wire::parse(&body).expect("a message");
    criterion.bench_function("era/route_stateless", |bencher| {
        bencher.iter(|| era::route(black_box(&message), &headers));
    });
    let (headers, body) = parts(&Case::PingSession.request(SESSION_ID));
    let message = wire::parse(&body).expect("a message");
    criterion.bench_function("era/route_session", |bencher| {
        bencher.iter(|| era::route(black_box(&message), &headers));
    });
}

/// From a body to an answer, without HTTP around it.
fn worker(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let stub = Stub::new().expect("the stub is well formed");
    let service = Arc::new(Service::new(stub, Changes::default()));
    let worker = Worker::new(service, WorkerLimits::default(), Arc::default());
    let caller = Caller::anyone();
    let asker = Asker { accepts: ACCEPTS, caller: &caller, trace: None };
    for (name, case) in
        [("tools_list", Case::ToolsListStateless), ("tools_call", Case::ToolsCallStub)]
    {
        let (_, body) = parts(&case.request(SESSION_ID));
        criterion.bench_function(&format!("worker/stateless_{name}"), |bencher| {
            bencher.iter(|| {
                let message = wire::parse(black_box(&body)).expect("a message");
                now(worker.stateless(message, &ProtocolVersion::LATEST, asker))
            });
        });
    }
    let id = open_session(&worker);
    for (name, case) in [("ping", Case::PingSession), ("tools_call", Case::ToolsCallStubSession)] {
        let (_, body) = parts(&case.request(SESSION_ID));
        criterion.bench_function(&format!("worker/session_{name}"), |bencher| {
            bencher.iter(|| {
                let message = wire::parse(black_box(&body)).expect("a message");
                now(worker.session(&id, message, asker))
            });
        });
    }
}

fn open_session(worker: &Worker) -> SessionId {
    let (headers, body) = parts(&cases::initialize("bench"));
    let message = wire::parse(&body).expect("a message");
    let route = era::route(&message, &headers).expect("a route");
    let expires = SystemTime::now() + Duration::from_hours(1);
    let keys = SessionKeys::random().expect("randomness");
    let seat = Seats::new().next().expect("randomness");
    let opening = Opening { id: keys.sign(&seat, None, expires), expires };
    let opened = match (route, message) {
        (Route::Initialize(params), Message::Request(request)) => {
            now(worker.initialize(
                opening,
                &request,
                *params,
                Asker { accepts: ACCEPTS, caller: &Caller::anyone(), trace: None },
            ))
            .session
        }
        _ => None,
    };
    opened.expect("the session opens")
}

/// A token that was verified before, and tokens that were not. A verifier that remembers one token forgets each
/// before it comes again.
fn token(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let minter = Minter::new();
    let keys = || Some(Jwks::fixed(KeySet::parse(minter.jwks().as_bytes()).expect("a key set")));
    let verifier = |remembered| {
        let issuer = Issuer { policy: tokens::policy(), keys: keys() };
        Verifier::new(vec![issuer], remembered, |_, _| ())
    };
    let (remembering, forgetful) = (verifier(1000), verifier(1));
    let now = SystemTime::now();
    for (name, signed) in [("rs256", Signed::Rs256), ("es256", Signed::Es256)] {
        let known = minter.mint(signed);
        runtime.block_on(remembering.verify(&known, now)).expect("a good token");
        criterion.bench_function(&format!("token/known_{name}"), |bencher| {
            bencher.iter(|| remembering.cached(black_box(&known), now).expect("it is known"));
        });
        let several: Vec<_> = (0..64).map(|_| minter.mint(signed)).collect();
        let mut next = several.iter().cycle();
        criterion.bench_function(&format!("token/new_{name}"), |bencher| {
            bencher.iter(|| {
                let token = next.next().expect("a cycle has no end");
                runtime.block_on(forgetful.verify(black_box(token), now)).expect("a good token")
            });
        });
    }
}

fn promql(criterion: &mut Criterion) {
    let query = r#"sum by (job, code) (rate(http_requests_total{job="api", code=~"5.."}[5m])) / on (job) group_left ()
        sum by (job) (rate(http_requests_total{job="api"}[5m])) > 0.05"#;
    criterion.bench_function("query_fingerprint", |bencher| {
        bencher.iter(|| Reading::of(black_box(query), false));
    });
    criterion.bench_function("query_masked", |bencher| {
        bencher.iter(|| Reading::of(black_box(query), true));
    });
    criterion.bench_function("query_fingerprint_lexical", |bencher| {
        let query = format!("{query} default 0");
        bencher.iter(|| Reading::of(black_box(&query), false));
    });
}

criterion_group!(
    micro,
    ring,
    session_id,
    hop,
    access_log,
    written_record,
    message,
    token,
    worker,
    promql
);
criterion_main!(micro);
