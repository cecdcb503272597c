//! What queries name exists: metrics, labels, and values of labels.

use promgate::metrics::{
    Metrics,
    catalogue::{Catalogue, Described, Kind},
};

use super::{
    expression::{Selector, selectors},
    files,
};

/// Labels that Prometheus itself adds.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

fn catalogue() -> Catalogue {
    Metrics::catalogue().unwrap()
}

/// The metric that a series belongs to.
fn metric<'c>(catalogue: &'c Catalogue, series: &str) -> Option<&'c Described> {
    let parts = ["_bucket", "_count", "_sum"];
    let base = parts.iter().find_map(|part| series.strip_suffix(part));
    catalogue.all().iter().find(|metric| {
        let is_part = metric.kind == Kind::Histogram && base == Some(metric.name.as_str());
        is_part || (metric.kind != Kind::Histogram && metric.name == series)
    })
}

/// What is wrong with a selector, if it is of a metric of ours.
fn fault(catalogue: &Catalogue, recorded: &[String], selector: &Selector) -> Option<String> {
    let name = selector.name.as_str();
    if recorded.iter().any(|known| known == name) || ["up", "ALERTS"].contains(&name) {
        return None;
    }
    let Some(metric) = metric(catalogue, name) else { return Some(format!("no metric {name}")) };
    for matcher in &selector.matchers {
        let label = matcher.label.as_str();
        if OF_PROMETHEUS.contains(&label) || (label == "le" && name.ends_with("_bucket")) {
            continue;
        }
        let Some(key) = metric.keys.iter().find(|key| key.name == label) else {
            return Some(format!("{name} has no label {label}"));
        };
        if let Some(value) = matcher.values().into_iter().find(|value| !key.allows(value)) {
            return Some(format!("{label} of {name} is never {value}"));
        }
    }
    None
}

#[test]
fn every_query_names_metrics_labels_and_values_that_exist() {
    let catalogue = catalogue();
    let rules = files::rules(files::RULES);
    let recorded: Vec<String> =
        rules.iter().map(|rule| rule["record"].as_str().unwrap().to_owned()).collect();
    let mut faults = Vec::new();
    for (place, expression) in files::expressions() {
        let found = selectors(&expression);
        let is_constant = expression.starts_with("vector(");
        assert!(!found.is_empty() || is_constant, "{place} names no metric: {expression}");
        let wrong = found.iter().filter_map(|selector| fault(&catalogue, &recorded, selector));
        faults.extend(wrong.map(|fault| format!("{place}: {fault}")));
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_name_that_does_not_exist_is_noticed() {
    let catalogue = catalogue();
    let fault = |text: &str| fault(&catalogue, &[], &selectors(text)[0]);
    assert_eq!(fault(r#"promgate_requests_total{code="200"}"#), None);
    for wrong in [
        "promgate_requests",
        "promgate_request_duration_seconds",
        "promgate_requests_total_bucket",
        r#"promgate_requests_total{status="200"}"#,
        r#"promgate_requests_total{code=~"200|299"}"#,
        "job:promgate_never:ratio_rate5m",
    ] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let queries = files::queries();
    let used: Vec<String> = queries
        .iter()
        .flat_map(|query| selectors(&query.expression))
        .map(|selector| selector.name)
        .collect();
    let catalogue = catalogue();
    let shown: Vec<_> = used.iter().filter_map(|name| metric(&catalogue, name)).collect();
    let missing: Vec<_> = catalogue
        .all()
        .iter()
        .filter(|metric| !shown.contains(metric))
        .map(|metric| metric.name.as_str())
        .collect();
    // Memory that is only reserved tells nothing; durations are shown by the message instead of by the method of HTTP.
    assert_eq!(
        missing,
        ["process_virtual_memory_bytes", "promgate_request_duration_seconds"],
        "neither on the dashboard nor excused"
    );
}
