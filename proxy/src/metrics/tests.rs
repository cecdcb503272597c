use std::time::SystemTime;

use prometheus::{
    core::Collector as _,
    proto::{LabelPair, MetricFamily},
};

use super::{
    catalogue::Kind,
    labels::{HttpMethod, Label as _, Outcome, StoreOperation, StoreOutcome},
    *,
};

fn metrics() -> Metrics {
    let backends = [BackendName::parse("eu").unwrap()];
    Metrics::new(Subjects { tools: &["prometheus_query"], backends: &backends, workers: 2 })
        .unwrap()
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render().unwrap()).unwrap()
}

/// Asserts that `line` is one of the lines of the text.
#[track_caller]
fn shows(metrics: &Metrics, line: &str) {
    let text = text(metrics);
    assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
}

#[test]
fn the_page_in_the_repository_is_what_the_code_says() {
    let page = Metrics::catalogue().unwrap().to_string();
    let listed = include_str!("../../../docs/metrics.md");
    assert!(page == listed, "write it anew: promgate metrics > docs/metrics.md");
}

#[test]
fn every_series_is_of_a_described_metric_and_every_described_metric_has_series() {
    let metrics = metrics();
    metrics.read_admission_from(Box::new(|| admission(&["https://id.example.com"])));
    metrics.certify(&[CertificateEnd { place: "cluster".to_owned(), ends: 7 }]);
    let count =
        StoreCount { operation: StoreOperation::Load, outcome: StoreOutcome::Done, count: 1 };
    metrics.read_replicas_from(Box::new(move || ReplicaFigures {
        store: vec![count],
        ..ReplicaFigures::default()
    }));
    metrics.sink("audit").unwrap();
    drop(metrics.render().unwrap());
    let catalogue = Metrics::catalogue().unwrap();
    let families = metrics.registry.gather();
    let shown: Vec<_> = families.iter().map(MetricFamily::name).collect();
    let described: Vec<_> = catalogue.all().iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(shown, described);
    for (family, described) in families.iter().zip(catalogue.all()) {
        let name = family.name();
        assert_eq!(family.help(), described.help, "{name}");
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        assert_eq!(kind, described.kind.word(), "{name}");
        for series in family.get_metric() {
            let mut keys: Vec<_> = described.keys.iter().collect();
            keys.sort_by_key(|key| key.name);
            let labels: Vec<_> = series.get_label().iter().map(LabelPair::name).collect();
            assert_eq!(labels, keys.iter().map(|key| key.name).collect::<Vec<_>>(), "{name}");
            for (label, key) in series.get_label().iter().zip(keys) {
                assert!(key.allows(label.value()), "{name} {}={}", label.name(), label.value());
            }
        }
    }
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for metric in Metrics::catalogue().unwrap().all() {
        let name = metric.name.as_str();
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_duration_seconds"), metric.kind == Kind::Histogram, "{name}");
        assert!(metric.help.ends_with('.') && !metric.help.contains(['|', '\n']), "{name}");
    }
}

fn figures(issuer: &str) -> KeyFigures {
    let read = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    let issuer = issuer.to_owned();
    KeyFigures { issuer, usable: 2, rejected: 1, read: Some(read), loaded: 5, failed: 3 }
}

fn admission(issuers: &[&str]) -> AdmissionFigures {
    let keys = issuers.iter().map(|issuer| figures(issuer)).collect();
    AdmissionFigures { keys, tokens: 3, tokens_max: 9 }
}

#[test]
fn an_issuer_that_is_configured_no_longer_is_shown_no_longer() {
    let metrics = metrics();
    metrics.read_admission_from(Box::new(|| admission(&["https://a.example", "b"])));
    shows(&metrics, "promgate_jwks_keys{issuer=\"https://a.example\"} 2");
    shows(&metrics, "promgate_jwks_keys_rejected{issuer=\"b\"} 1");
    shows(&metrics, "promgate_jwks_last_success_timestamp_seconds{issuer=\"b\"} 100");
    shows(&metrics, "promgate_jwks_loads_total{issuer=\"b\",outcome=\"failed\"} 3");
    shows(&metrics, "promgate_jwks_loads_total{issuer=\"b\",outcome=\"loaded\"} 5");
    metrics.read_admission_from(Box::new(|| admission(&["b"])));
    shows(&metrics, "promgate_jwks_keys{issuer=\"b\"} 2");
    assert!(!text(&metrics).contains("a.example"));
    shows(&metrics, "promgate_token_cache_entries 3");
    shows(&metrics, "promgate_token_cache_entries_max 9");
}

#[test]
fn a_reload_that_was_refused_shows_until_one_is_applied() {
    let metrics = metrics();
    shows(&metrics, "promgate_config_last_reload_successful 1");
    metrics.reloaded(ReloadOutcome::Refused);
    shows(&metrics, "promgate_config_last_reload_successful 0");
    shows(&metrics, "promgate_config_reloads_total{outcome=\"refused\"} 1");
    metrics.reloaded(ReloadOutcome::Applied);
    shows(&metrics, "promgate_config_last_reload_successful 1");
}

#[test]
fn a_finished_request_is_counted_by_method_code_and_outcome() {
    let metrics = metrics();
    metrics.request_finished(&Finished { took: Duration::from_millis(3), ..finished(Some(200)) });
    metrics.request_finished(&Finished { outcome: Outcome::ClientGone, ..finished(Some(299)) });
    shows(&metrics, r#"promgate_requests_total{code="200",method="POST"} 1"#);
    shows(&metrics, r#"promgate_requests_total{code="other",method="POST"} 1"#);
    shows(&metrics, r#"promgate_requests_total{code="200",method="GET"} 0"#);
    shows(&metrics, r#"promgate_request_outcomes_total{outcome="client_gone"} 1"#);
    shows(&metrics, r#"promgate_request_duration_seconds_count{method="POST"} 2"#);
    shows(&metrics, r#"promgate_rpc_duration_seconds_count{rpc_method="tools/list"} 2"#);
    shows(&metrics, r#"promgate_rpc_duration_seconds_count{rpc_method="ping"} 0"#);
    shows(&metrics, "promgate_received_bytes_total 60");
    shows(&metrics, "promgate_sent_bytes_total 80");
    shows(&metrics, r#"promgate_request_duration_seconds_bucket{method="POST",le="0.0025"} 1"#);
    shows(&metrics, r#"promgate_request_duration_seconds_bucket{method="POST",le="0.005"} 2"#);
}

#[test]
fn a_flood_of_refusals_does_not_make_calls_look_fast() {
    let metrics = metrics();
    let call = Finished { rpc: Some(RpcMethod::ToolsCall), ..finished(Some(200)) };
    let ended = |outcome| metrics.request_finished(&Finished { outcome, ..call });
    let slow = Finished { took: Duration::from_secs(20), outcome: Outcome::Timeout, ..call };
    metrics.request_finished(&slow);
    for refused in [Outcome::Forbidden, Outcome::RateLimited, Outcome::Overloaded] {
        ended(refused);
    }
    shows(&metrics, r#"promgate_rpc_duration_seconds_bucket{rpc_method="tools/call",le="2.5"} 0"#);
    for served in [Outcome::Ok, Outcome::CallerError, Outcome::ClientGone] {
        ended(served);
    }
    shows(&metrics, r#"promgate_rpc_duration_seconds_count{rpc_method="tools/call"} 4"#);
    shows(&metrics, r#"promgate_request_duration_seconds_count{method="POST"} 7"#);
}

/// A request that was over at once.
fn finished(status: Option<u16>) -> Finished {
    Finished {
        method: HttpMethod::Post,
        status,
        outcome: Outcome::Ok,
        rpc: Some(RpcMethod::ToolsList),
        took: Duration::ZERO,
        bytes_in: 30,
        bytes_out: 40,
    }
}

#[test]
fn what_is_held_is_counted_until_it_is_dropped() {
    let metrics = metrics();
    let request = metrics.request_started();
    let stream = metrics.stream_opened(StreamKind::Listen);
    let connection = metrics.connection_opened(Listener::Clients);
    shows(&metrics, "promgate_requests_in_flight 1");
    shows(&metrics, r#"promgate_streams_open{kind="listen"} 1"#);
    shows(&metrics, r#"promgate_connections_open{listener="clients"} 1"#);
    shows(&metrics, r#"promgate_connections_open{listener="admin"} 0"#);
    drop((request, stream, connection));
    shows(&metrics, "promgate_requests_in_flight 0");
    shows(&metrics, r#"promgate_streams_open{kind="listen"} 0"#);
    shows(&metrics, r#"promgate_connections_open{listener="clients"} 0"#);
}

#[test]
fn a_tool_or_backend_that_was_not_configured_is_other() {
    let metrics = metrics();
    let took = Duration::from_millis(1);
    metrics.tool_called("prometheus_query", ToolOutcome::CallerError, took);
    metrics.tool_called("made_up", ToolOutcome::Ok, took);
    metrics.backend_called(&BackendName::parse("eu").unwrap(), BackendOutcome::Timeout, took);
    metrics.backend_called(&BackendName::parse("us").unwrap(), BackendOutcome::Ok, took);
    shows(
        &metrics,
        r#"promgate_tool_calls_total{outcome="caller_error",tool="prometheus_query"} 1"#,
    );
    shows(&metrics, r#"promgate_tool_calls_total{outcome="ok",tool="other"} 1"#);
    shows(&metrics, r#"promgate_backend_requests_total{backend="eu",outcome="timeout"} 1"#);
    shows(&metrics, r#"promgate_backend_requests_total{backend="other",outcome="ok"} 1"#);
    assert!(!text(&metrics).contains("made_up"));
    assert!(!text(&metrics).contains("\"us\""));
}

#[test]
fn requests_to_backends_are_in_flight_until_they_have_left() {
    let metrics = metrics();
    let name = |name: &str| BackendName::parse(name).unwrap();
    for backend in ["eu", "eu", "us"] {
        metrics.backend_asked(&name(backend));
    }
    metrics.backend_left(&name("eu"));
    shows(&metrics, r#"promgate_backend_requests_in_flight{backend="eu"} 1"#);
    shows(&metrics, r#"promgate_backend_requests_in_flight{backend="other"} 1"#);
}

#[test]
fn a_certificate_that_took_the_place_of_another_is_shown() {
    let metrics = metrics();
    for ends in [1_800_000_000, 1_900_000_000] {
        metrics.certify(&[CertificateEnd { place: "sink siem".to_owned(), ends }]);
    }
    let line =
        r#"promgate_certificate_expiry_timestamp_seconds{certificate="sink siem"} 1900000000"#;
    shows(&metrics, line);
}

#[test]
fn a_backend_of_a_reload_has_series_of_its_own_and_those_of_a_removed_one_stay() {
    let metrics = metrics();
    let name = |name: &str| BackendName::parse(name).unwrap();
    let took = Duration::from_millis(1);
    metrics.backend_called(&name("eu"), BackendOutcome::Ok, took);
    metrics.backend_called(&name("us"), BackendOutcome::Ok, took);
    metrics.learn_backends(&[name("us")]).unwrap();
    shows(&metrics, r#"promgate_backend_requests_total{backend="us",outcome="ok"} 0"#);
    metrics.backend_called(&name("us"), BackendOutcome::Ok, took);
    metrics.learn_backends(&[name("us"), name("eu")]).unwrap();
    shows(&metrics, r#"promgate_backend_requests_total{backend="us",outcome="ok"} 1"#);
    shows(&metrics, r#"promgate_backend_requests_total{backend="eu",outcome="ok"} 1"#);
    shows(&metrics, r#"promgate_backend_requests_total{backend="other",outcome="ok"} 1"#);
}

#[test]
fn reloads_with_ever_new_backends_do_not_make_ever_more_series() {
    let metrics = metrics();
    let name = |number: usize| BackendName::parse(&format!("b{number}")).unwrap();
    for number in 0..1000 {
        metrics.learn_backends(&[name(number)]).unwrap();
    }
    metrics.backend_called(&name(999), BackendOutcome::Ok, Duration::ZERO);
    shows(&metrics, r#"promgate_backend_requests_total{backend="other",outcome="ok"} 1"#);
    let own = text(&metrics).matches("promgate_backend_request_duration_seconds_count{").count();
    assert_eq!(own, 256 + 1);
}

#[test]
fn counting_makes_no_series_that_was_not_there() {
    let metrics = metrics();
    let before = text(&metrics).lines().count();
    let took = Duration::from_secs(1);
    for status in 0..700 {
        let method = HttpMethod::Other;
        let rpc = Some(RpcMethod::of("made/up"));
        metrics.request_finished(&Finished { method, rpc, took, ..finished(Some(status)) });
    }
    for reason in Rejection::ALL {
        metrics.rejected(*reason);
    }
    metrics.rpc_called(RpcMethod::of("x\"} 1\nevil 2"));
    metrics.limit_reached(Limit::BodyBytes);
    metrics.connection_refused(Listener::Clients);
    metrics.panicked();
    assert_eq!(text(&metrics).lines().count(), before);
}

#[test]
fn the_workers_figures_are_read_at_each_scrape() {
    let metrics = metrics();
    let opened = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(3));
    let seen = std::sync::Arc::clone(&opened);
    metrics.read_workers_from(Box::new(move || {
        let sessions_opened = seen.load(std::sync::atomic::Ordering::Relaxed);
        let first = Figures { sessions: 2, sessions_opened, ..Figures::default() };
        vec![first, Figures { sessions_idle: 1, ..Figures::default() }]
    }));
    shows(&metrics, r#"promgate_sessions_open{worker="0"} 2"#);
    shows(&metrics, r#"promgate_sessions_opened_total{worker="0"} 3"#);
    shows(&metrics, r#"promgate_sessions_ended_total{reason="idle",worker="1"} 1"#);
    opened.store(5, std::sync::atomic::Ordering::Relaxed);
    shows(&metrics, r#"promgate_sessions_opened_total{worker="0"} 5"#);
}

#[test]
fn two_processes_worth_of_metrics_do_not_meet() {
    let (a, b) = (metrics(), metrics());
    a.panicked();
    shows(&a, "promgate_panics_total 1");
    shows(&b, "promgate_panics_total 0");
}

#[test]
fn the_build_and_the_process_are_described() {
    let metrics = metrics();
    let version = env!("CARGO_PKG_VERSION");
    shows(&metrics, &format!("promgate_build_info{{version=\"{version}\"}} 1"));
    assert_eq!(ProcessCollector::for_self().desc().len(), 7);
    assert!(text(&metrics).contains("\nprocess_resident_memory_bytes "));
}

#[test]
fn bounds_stand_beside_what_is_used_of_them() {
    let metrics = metrics();
    metrics.bound(&Bounds { bodies_bytes_max: 100, sessions_max: 7, calls_max: 5 });
    metrics.connections_bounded(Listener::Clients, 9);
    metrics.read_process_from(Box::new(|| ProcessFigures { is_ready: true, bodies_bytes: 30 }));
    shows(&metrics, "promgate_bodies_bytes 30");
    shows(&metrics, "promgate_bodies_bytes_max 100");
    shows(&metrics, r#"promgate_sessions_max{worker="1"} 7"#);
    shows(&metrics, r#"promgate_calls_max{worker="0"} 5"#);
    shows(&metrics, r#"promgate_connections_max{listener="clients"} 9"#);
    shows(&metrics, "promgate_ready 1");
}

#[test]
fn the_store_is_shown_by_operation() {
    let metrics = metrics();
    let count =
        StoreCount { operation: StoreOperation::Save, outcome: StoreOutcome::Full, count: 4 };
    metrics.read_replicas_from(Box::new(move || ReplicaFigures {
        store: vec![count],
        store_is_up: Some(false),
        ..ReplicaFigures::default()
    }));
    metrics.store_times().observe(StoreOperation::Save, Duration::from_millis(250));
    for _scrape in 0..2 {
        shows(&metrics, r#"promgate_store_operations_total{operation="save",outcome="full"} 4"#);
        shows(&metrics, r#"promgate_store_operation_duration_seconds_sum{operation="save"} 0.25"#);
        shows(&metrics, "promgate_store_up 0");
    }
}
