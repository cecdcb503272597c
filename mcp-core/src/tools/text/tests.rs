use serde_json::json;

use super::*;

fn sampled(series: &Value) -> String {
    let mut text = String::new();
    sample(&mut text, series);
    text
}

fn digested(series: &Value) -> String {
    let mut text = String::new();
    digest(&mut text, series);
    text
}

#[test]
fn a_sample_is_one_line_in_promql() {
    let series =
        json!({"metric": {"__name__": "up", "job": "a", "b": "x\"y\n"}, "value": [1, "1"]});
    assert_eq!(sampled(&series), r#"up{b="x\"y\n",job="a"} 1"#);
    assert_eq!(sampled(&json!({"metric": {"__name__": "up"}, "value": [1, "NaN"]})), "up NaN");
    assert_eq!(
        sampled(&json!({"metric": {}, "value": [1, "9007199254740993"]})),
        "{} 9007199254740993"
    );
}

#[test]
fn names_that_promql_wants_quoted_are_quoted() {
    let series = json!({"metric": {"__name__": "my.up", "k8s.pod": "a"}, "value": [1, "1"]});
    assert_eq!(sampled(&series), r#"{"my.up","k8s.pod"="a"} 1"#);
}

#[test]
fn a_native_histogram_shows_count_and_sum() {
    let histogram = json!({"count": "3", "sum": "6.5", "buckets": []});
    let series = json!({"metric": {"__name__": "h"}, "histogram": [1, histogram]});
    assert_eq!(sampled(&series), "h histogram(count 3, sum 6.5)");
    let series =
        json!({"metric": {"__name__": "h"}, "histograms": [[1, histogram], [2, histogram]]});
    assert_eq!(
        digested(&series),
        "h: 2 histograms, first histogram(count 3, sum 6.5) at 1970-01-01T00:00:01Z, \
         last histogram(count 3, sum 6.5) at 1970-01-01T00:00:02Z"
    );
}

#[test]
fn a_digest_has_first_last_min_max_and_mean() {
    let values: Vec<_> = (0..20).map(|i| json!([i * 60, (i * 2).to_string()])).collect();
    assert_eq!(
        digested(&json!({"metric": {"__name__": "x"}, "values": values})),
        "x: 20 points, first 0 at 1970-01-01T00:00:00Z, last 38 at 1970-01-01T00:19:00Z, \
         min 0, max 38, avg 19"
    );
}

#[test]
fn few_points_are_shown_one_by_one() {
    let values = json!([[60, "1"], [120.5, "NaN"], [180, "4"]]);
    assert_eq!(
        digested(&json!({"metric": {}, "values": values})),
        "{}: 3 points, first 1 at 1970-01-01T00:01:00Z, last 4 at 1970-01-01T00:03:00Z, min 1, \
         max 4, avg 2.5, 1 NaN; points 1970-01-01T00:01:00Z=1 1970-01-01T00:02:00.5Z=NaN \
         1970-01-01T00:03:00Z=4"
    );
}

#[test]
fn extremes_are_shown_as_written_and_do_not_overflow_the_mean() {
    let values = json!([[1, "1.7976931348623157e308"], [2, "1.7976931348623157e308"]]);
    let text = digested(&json!({"metric": {}, "values": values}));
    assert!(text.contains("max 1.7976931348623157e308"), "{text}");
    assert!(!text.contains("inf"), "{text}");
    let values = json!([[1, "-Inf"], [2, "9007199254740993"], [3, "+Inf"]]);
    let text = digested(&json!({"metric": {}, "values": values}));
    assert!(text.contains("min -Inf, max +Inf"), "{text}");
    let values = json!([[1, "NaN"], [2, "NaN"]]);
    let text = digested(&json!({"metric": {}, "values": values}));
    assert!(text.contains("2 points, first NaN") && !text.contains("avg"), "{text}");
}

fn lined(answer_bytes_max: usize, lines: &[String]) -> String {
    let mut shown = Lines::of_answer(answer_bytes_max);
    for line in lines {
        shown.add(usize::MAX, |text| text.push_str(line));
    }
    let mut text = String::new();
    shown.end(&mut text, lines.len());
    text
}

#[test]
fn lines_over_the_bounds_are_counted() {
    let text = lined(1 << 20, &vec!["x".to_owned(); 60]);
    assert_eq!(text.lines().filter(|line| *line == "x").count(), LINES_MAX);
    assert!(text.ends_with("\n… and 10 more in the structured content"), "{text}");
    let text = lined(1 << 20, &vec!["x".repeat(10_000); 3]);
    assert!(text.len() < BYTES_MAX + 100);
    assert!(text.ends_with("\n… and 2 more in the structured content"), "{text}");
    assert!(lined(4 << 10, &vec!["x".repeat(100); 40]).len() < 1100);
    assert_eq!(lined(1 << 20, &["x".to_owned()]), "\nx");
}

#[test]
fn a_line_takes_no_more_than_the_room_given_and_leaves_no_gap() {
    let mut lines = Lines::of_answer(1 << 20);
    // A break and a quotation mark are two bytes each as JSON, and the quotes around are two.
    assert_eq!(lines.add(6, |text| text.push('"')), 6);
    assert_eq!(lines.add(5, |text| text.push('"')), 0);
    assert_eq!(lines.add(100, |text| text.push('x')), 0, "after one that did not fit");
    let mut text = String::new();
    lines.end(&mut text, 3);
    assert_eq!(text, "\n\"\n… and 2 more in the structured content");
}

#[test]
fn a_text_is_cut_to_its_bytes_as_json() {
    assert_eq!(fitted("abc", 5), "abc");
    for text in ["x".repeat(1000), "\u{1}".repeat(1000), "é\"".repeat(500)] {
        let cut = fitted(&text, 100);
        assert!(json_bytes(&cut) <= 100 && json_bytes(&cut) > 80, "{cut}");
        assert!(cut.ends_with("… (cut)"), "{cut}");
    }
}
