use std::{collections::HashMap, fs, path::Path, process::Command};

use super::*;

const NOW: f64 = 1_795_201_234.5;

/// Every sample of the past by series, in order of time.
fn past() -> HashMap<String, Vec<(f64, f64)>> {
    let mut text = Vec::new();
    Shop::with_past_until(NOW).write_past(&mut text).unwrap();
    let mut series: HashMap<String, Vec<(f64, f64)>> = HashMap::new();
    for line in String::from_utf8(text).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.rsplitn(3, ' ');
        let time = words.next().unwrap().parse().unwrap();
        let value = words.next().unwrap().parse().unwrap();
        series.entry(words.next().unwrap().to_owned()).or_default().push((time, value));
    }
    series
}

fn at(series: &[(f64, f64)], before_end_s: f64) -> f64 {
    let end = series.last().unwrap().0;
    series.iter().find(|(time, _)| *time >= end - before_end_s).unwrap().1
}

#[test]
fn no_counter_ever_goes_down() {
    for (name, samples) in past().iter().filter(|(name, _)| name.starts_with("http_")) {
        assert!(samples.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}");
    }
}

#[test]
fn the_past_has_no_gap_and_ends_just_before_now() {
    for (name, samples) in past() {
        assert_eq!(samples.len(), 721, "{name}");
        let last = samples.last().unwrap().0;
        assert!(last <= NOW && NOW - last < f64::from(STEP_S), "{name} ends at {last}");
    }
}

#[test]
fn buckets_grow_with_their_bound_and_end_at_the_count() {
    let past = past();
    for path in ["/products", "/cart", "/checkout"] {
        let target = r#"{job="shop",instance="shop-2:8080","#;
        let labels = format!(r#"{target}handler="{path}""#);
        let bounds = BUCKETS.iter().map(|(le, _)| *le).chain(["+Inf"]);
        let name = "http_request_duration_seconds";
        let last: Vec<f64> = bounds
            .map(|le| past[&format!(r#"{name}_bucket{labels},le="{le}"}}"#)].last().unwrap().1)
            .collect();
        assert!(last.is_sorted(), "{last:?}");
        let count = past[&format!("{name}_count{labels}}}")].last().unwrap().1;
        assert_eq!(last.last(), Some(&count));
        let served = past.iter().filter(|(series, _)| {
            series.starts_with(&format!("http_requests_total{target}"))
                && series.contains(&format!(r#"handler="{path}""#))
        });
        let served: f64 = served.map(|(_, samples)| samples.last().unwrap().1).sum();
        assert!((served - count).abs() < f64::EPSILON, "{served} requests, {count} durations");
    }
}

#[test]
fn the_trouble_can_be_seen() {
    let past = past();
    let failed = |instance: &str| {
        let series = format!(
            r#"http_requests_total{{job="shop",instance="{instance}",method="GET",handler="/products",status="500"}}"#
        );
        let samples = &past[&series];
        (at(samples, 1500.0) - at(samples, 2700.0)) / 1200.0
    };
    assert!(failed("shop-2:8080") > 3.0, "{}", failed("shop-2:8080"));
    assert!(failed("shop-1:8080") < 0.1, "{}", failed("shop-1:8080"));
    let depth = &past[r#"shop_orders_queue_depth{job="shop",instance="shop-2:8080"}"#];
    assert!(at(depth, 1500.0) > 200.0 && at(depth, 0.0) < 10.0);
}

#[test]
fn the_present_goes_on_where_the_past_ends() {
    let shop = Shop::with_past_until(NOW);
    let mut text = Vec::new();
    shop.write_present(&mut text, &INSTANCES[0], NOW + 15.0).unwrap();
    let text = String::from_utf8(text).unwrap();
    let labels = r#"method="GET",handler="/products",status="200""#;
    let line = text.lines().find(|line| line.contains(labels)).unwrap();
    let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let series = format!(r#"http_requests_total{{job="shop",instance="shop-1:8080",{labels}}}"#);
    let last = past()[&series].last().unwrap().1;
    assert!(last < value && value - last < 30.0 * 40.0, "{last} then {value}");
    assert!(!text.contains("job="), "the target's labels are Prometheus' own to set");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn promtool_makes_blocks_of_the_past() {
    let promtool =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/prometheus/usr/bin/promtool");
    assert!(promtool.exists(), "run `make setup-test` first");
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("past.txt");
    Shop::with_past_until(NOW).write_past(&mut fs::File::create(&text).unwrap()).unwrap();
    let data = folder.path().join("data");
    let run = Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "--quiet", "openmetrics"])
        .args([&text, &data])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(fs::read_dir(data).unwrap().count() >= 2);
}
