//! Costs that every request pays: one lookup on the ring, one access record.
#![expect(clippy::expect_used, reason = "a benchmark that cannot start says why and stops")]

use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use promgate::{
    access_log::{AccessLog, Record},
    config,
    metrics::{Metrics, Subjects, labels::Outcome},
    ring::{Ring, SharedRing, WorkerIndex},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSION_ID: &str = "zm5dO4pEJ0m3mGWMSrYh8fV2cYdXTR0aLq9w1B7uKxE";

fn ring(criterion: &mut Criterion) {
    for workers in [4, 64] {
        let ring = SharedRing::new(Ring::new((0..workers).map(WorkerIndex)));
        criterion.bench_function(&format!("ring/owner_of_{workers}"), |bencher| {
            bencher.iter(|| ring.owner(black_box(SESSION_ID)));
        });
    }
    criterion.bench_function("ring/build_64", |bencher| {
        bencher.iter(|| Ring::new((0..64).map(WorkerIndex)));
    });
}

/// An access log onto the null device, so that the writer thread's work counts and a disk's not.
fn log(included_headers: Vec<HeaderName>) -> AccessLog {
    let metrics = Metrics::new(Subjects { tools: &[], backends: &[], workers: 0 })
        .expect("the metrics are well formed");
    let config = config::AccessLog {
        output: config::AccessLogOutput::File(PathBuf::from("/dev/null")),
        included_headers,
        excluded_headers: Vec::new(),
        redacted_headers: vec![http::header::AUTHORIZATION],
        queue_bytes_max: 8 << 20,
    };
    AccessLog::start(&config, metrics.access_log()).expect("the null device can be opened")
}

fn record<'a>(log: &'a AccessLog, headers: &'a HeaderMap) -> Record<'a> {
    Record {
        time: SystemTime::now(),
        request_id: "0192f0c1a7d47b3e9a52f1c0de4b8a61",
        method: "POST",
        path: b"/mcp",
        http_version: http::Version::HTTP_11,
        status: Some(200),
        duration: Duration::from_micros(1417),
        bytes_in: 151,
        bytes_out: 1204,
        peer: Some(SocketAddr::from((Ipv4Addr::new(192, 168, 100, 200), 51_234))),
        user_agent: Some(b"python-httpx/0.28.1"),
        rpc_method: Some("tools/call"),
        tool: Some("prometheus_query"),
        backend: Some("prometheus"),
        worker: Some(3),
        era: Some("session"),
        outcome: Outcome::Ok,
        headers: log.shown(headers),
    }
}

fn access_log(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
    for (name, included) in [("plain", Vec::new()), ("header", vec![http::header::ACCEPT])] {
        let log = log(included);
        criterion.bench_function(&format!("access_log/record_{name}"), |bencher| {
            bencher.iter(|| log.write(black_box(&record(&log, &headers))));
        });
        log.flush_and_stop(Duration::from_secs(5)).expect("the null device takes everything");
    }
}

criterion_group!(micro, ring, access_log);
criterion_main!(micro);
